"""A printed number, and what printing it to so many digits claims."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

QUANTITIES = (
    "parameters", "macs", "shape", "receptive_field", "error", "squared error", "recipe", "activations", "connections",
    "mean average precision", "seconds an image", "PSNR", "factor",
)  # fmt: skip
STATUSES = ("match", "erratum", "protocol")

_NUMBER = re.compile(r"(?P<below><?)(?P<digits>[\d,]+(?:\.\d+)?)(?:e(?P<exponent>\d+))?(?P<unit>[KMG]?)(?P<rest>\D*)")
ILSVRC = "ILSVRC-2012 validation"


@dataclasses.dataclass(frozen=True)
class Entry:
    """One number of a paper or a lecture.

    Attributes:
      name: unique, "subject/what".
      subject: the architecture, or "lectures" for an example of no named network.
      quantity: one of QUANTITIES.
      printed: the number as printed: "0.27M", "<25M", "1.8e9", "28x28x6"; errors as "top-1/top-5" in percent, "-" for
        one that is not printed; recipes as text.
      source: paper or lecture, and the table, figure or section in it.
      status: "match", the recomputed value rounds to the printed one; "erratum", it does not, and `true` is right;
        "protocol", it cannot be recomputed here.
      measure: what recomputes it from an `audit.Network` of the subject.
      formula: what recomputes it from nothing.
      from_images: what recomputes it from the images of `data`, f(train, test), uint8 (n, h, w, c) each; only one of
        the three.
      true: the right value of an erratum.
      reason: why an erratum is one, or why a number is of this architecture, where that can be asked.
      to: what it is rounded to, where that is not the last digit that is printed: 10e6 for the "60M" of AlexNet.
      kilo: 1000, or 1024 where the K of the source is that.
      options: of the architecture, where the number is of another variant than the default.
      data, protocol, images: of an error: data set and split, how it is tested, on how many images; data of a number
        that is recomputed from images: the name under which they are loaded.
    """

    name: str
    subject: str
    quantity: str
    printed: str
    source: str
    status: str
    measure: Callable | None = None
    formula: Callable | None = None
    from_images: Callable | None = None
    true: Any = None
    reason: str = ""
    to: float | None = None
    kilo: int = 1000
    options: Mapping = dataclasses.field(default_factory=dict)
    data: str = ""
    protocol: str = ""
    images: int | None = None

    @property
    def value(self) -> Any:
        """The printed number; a shape as a tuple, errors as (top-1, top-5) in percent, a recipe as None."""
        if self.quantity == "recipe":
            return None
        if self.quantity == "shape":
            return tuple(int(side) for side in self.printed.split("x"))
        if self.quantity == "error":
            return tuple(None if part == "-" else float(part) for part in self.printed.split("/"))
        return self._parse()[1]

    def agrees(self, value: Any) -> bool:
        """Whether a recomputed value rounds to the printed one."""
        if self.quantity in ("shape", "error"):
            return value == self.value
        below, printed, step = self._parse()
        return value < printed if below else abs(value - printed) <= step / 2

    def verdict(self, recomputed: Any) -> str:
        """ "match", "erratum" or "protocol", or "drift" where the recomputed value no longer gives the status."""
        if self.status == "protocol":
            return "protocol"
        if self.status == "match":
            return "match" if self.agrees(recomputed) else "drift"
        if isinstance(self.true, float):
            kept = math.isclose(recomputed, self.true, rel_tol=1e-3)
        else:
            kept = recomputed == self.true
        return "erratum" if kept and not self.agrees(self.true) else "drift"  # an erratum that agrees is none

    def _parse(self):
        found = _NUMBER.fullmatch(self.printed)
        if not found:
            raise ValueError(f"{self.name}: {self.printed!r} is not a number")
        digits = found["digits"].replace(",", "")
        scale = 10 ** int(found["exponent"] or 0) * self.kilo ** " KMG".index(found["unit"] or " ")
        step = self.to or scale * 10 ** -len(digits.partition(".")[2])
        return bool(found["below"]), float(digits) * scale, step


def match(
    subject: str,
    what: str,
    quantity: str,
    printed: str,
    source: str,
    measure: Callable[..., Any] | None = None,
    **options: Any,
) -> Entry:
    """An entry whose recomputed value rounds to the printed one."""
    name = f"{subject}/{what}"
    return Entry(name, subject, quantity, printed, source, "match", measure=measure, **options)


def erratum(
    subject: str,
    what: str,
    quantity: str,
    printed: str,
    source: str,
    measure: Callable[..., Any] | None = None,
    *,
    true: Any,
    reason: str,
    **options: Any,
) -> Entry:
    """An entry whose printed value is not the right one."""
    name = f"{subject}/{what}"
    options = {"true": true, "reason": reason, **options}
    return Entry(name, subject, quantity, printed, source, "erratum", measure=measure, **options)


def error(
    subject: str,
    printed: str,
    source: str,
    protocol: str,
    *,
    data: str = ILSVRC,
    images: int = 50_000,
    reason: str = "",
) -> Entry:
    """A published error, "top-1/top-5" or one number, in percent."""
    name = f"{subject}/error/{data}/{protocol}"
    options: dict[str, Any] = {"data": data, "protocol": protocol, "images": images, "reason": reason}
    return Entry(name, subject, "error", printed, source, "protocol", **options)


def precision(subject: str, printed: str, source: str, protocol: str, *, trained: str) -> Entry:
    """A published mean average precision on VOC 2007 test by eleven points, in per cent; trained names the images."""
    name = f"{subject}/precision/{trained}/{protocol}"
    return Entry(
        name, subject, "mean average precision", printed, source, "protocol", protocol=f"{protocol}; {trained}"
    )


def seconds(subject: str, printed: str, source: str, protocol: str) -> Entry:
    """A published time of one image in use, in seconds."""
    name = f"{subject}/seconds/{protocol}"
    return Entry(name, subject, "seconds an image", printed, source, "protocol", protocol=protocol)


def recipe(subject: str, printed: str, source: str, what: str = "recipe") -> Entry:
    """How it was trained, in words."""
    return Entry(f"{subject}/{what}", subject, "recipe", printed, source, "protocol", protocol="training")


def shapes(subject: str, source: str, rows: Mapping[str, str], **options: Any) -> list[Entry]:
    """Entries of what stages put out.

    Args:
      rows: dict from the stage's name in the features to the shape that is printed, "28x28x6"; where no channels are
        printed, "28x28".
    """
    return [
        match(subject, f"{stage}/shape", "shape", printed, source, _shape(stage, printed.count("x") + 1), **options)
        for stage, printed in rows.items()
    ]


def _shape(stage, sides):
    return lambda network: network.shape(stage)[:sides]
