"""The errors of several networks and of their averages under several protocols, counted image by image."""

from __future__ import annotations

import csv
import itertools
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.files import replaced
from jaxcnn.tasks.classification import top_k_correct

MOST_MEMBERS = 6  # of which every subset is counted: 63 of them


class Row(NamedTuple):
    """The error of one protocol, averaged over all subsets of the members of one size.

    Attributes:
      protocol: "10 crops, scale 256".
      members: the run directory of one, or how many of how many.
      subsets: number of subsets that top1_error and top5_error are means over.
      n: images seen; those that could not be read are not among them.
      top1_error, top5_error: fractions; top5_error is None where there are 5 classes or fewer.
      top1_std, top5_std: sample standard deviation over the subsets; None for one.
    """

    protocol: str
    members: str
    subsets: int
    n: int
    top1_error: float
    top1_std: float | None
    top5_error: float | None
    top5_std: float | None


class Protocol(NamedTuple):
    """The mean of some of the averages that one pass gives of an image, by their numbers."""

    name: str
    parts: tuple


def _subsets(count):
    if count <= MOST_MEMBERS:
        return [s for size in range(1, count + 1) for s in itertools.combinations(range(count), size)]
    return [*((member,) for member in range(count)), tuple(range(count))]


@jax.jit
def _count(probabilities, labels, mask):
    """(2, protocols): how many of the images with mask 1 are right, and right among five; probabilities (n, p, K)."""

    def right(k):
        return jax.vmap(lambda p: jnp.sum(mask * top_k_correct(p, labels, k=k)), in_axes=1)(probabilities)

    return jnp.stack([right(1), right(5)])


class Tally:
    """Counts of right images for every subset of the members and every protocol.

    Args:
      members: their number.
      protocols: [Protocol].
      classes: their number.
    """

    def __init__(self, members: int, protocols: Sequence[Protocol], classes: int) -> None:
        self.subsets, self.protocols, self.classes, self.seen = _subsets(members), protocols, classes, 0
        self.right = np.zeros((len(self.subsets), 2, len(protocols)), np.int64)

    def add(self, averages: np.ndarray, labels: np.ndarray, size: int) -> None:
        """Adds images.

        Args:
          averages: mean softmax of each member under each base of the protocols, float32 (members, n, bases, K).
          labels: int32 (n,).
          size: n is padded to it, so that counting compiles once.
        """
        averages = np.stack([averages[:, :, list(p.parts)].mean(axis=2) for p in self.protocols], axis=2)
        n = len(labels)
        padding = [(0, size - n)]
        mask, labels = np.pad(np.ones(n, np.float32), padding), np.pad(labels, padding)
        for number, subset in enumerate(self.subsets):
            mean = averages[list(subset)].mean(axis=0)
            counted = _count(np.pad(mean, [*padding, (0, 0), (0, 0)]), labels, mask)
            self.right[number] += np.rint(counted).astype(np.int64)
        self.seen += n

    def _errors(self):
        """(subsets, protocols, 2) errors, top-1 and top-5; top-5 is NaN where there are 5 classes or fewer."""
        errors = ((self.seen - self.right) / self.seen).transpose(0, 2, 1)
        if self.classes <= 5:
            errors[..., 1] = np.nan
        return errors

    def each(self, workdirs: Sequence[str]) -> list[dict[str, Any]]:
        """[{"protocol", "members", "top1_error", "top5_error"}], every subset by itself."""
        return [
            {
                "protocol": protocol.name,
                "members": [workdirs[member] for member in subset],
                "top1_error": float(top1),
                "top5_error": _or_none(top5),
            }
            for subset, row in zip(self.subsets, self._errors(), strict=True)
            for protocol, (top1, top5) in zip(self.protocols, row, strict=True)
        ]

    def rows(self, workdirs: Sequence[str]) -> list[Row]:
        """[Row]: each member alone, then the means over the subsets of every size."""
        count, errors = len(workdirs), self._errors()
        groups = [(name, [number]) for number, name in enumerate(workdirs)]
        if count > 1:
            for size in dict.fromkeys(map(len, self.subsets)):
                numbers = [number for number, subset in enumerate(self.subsets) if len(subset) == size]
                groups.append((f"all {count}" if size == count else f"{size} of {count}", numbers))
        rows = []
        for column, protocol in enumerate(self.protocols):
            for name, numbers in groups:
                some = errors[numbers, column]
                means = [_or_none(value) for value in some.mean(axis=0)]
                stds = [_or_none(value) for value in some.std(axis=0, ddof=1)] if len(numbers) > 1 else [None, None]
                rows.append(Row(protocol.name, name, len(numbers), self.seen, means[0], stds[0], means[1], stds[1]))
        return rows


def _or_none(value):
    return None if np.isnan(value) else float(value)


def write_csv(path: str | os.PathLike[str], rows: Sequence[Any]) -> None:
    """Writes named tuples of one kind, the names of their fields first.

    Raises:
      InputError: the file cannot be written.
    """
    with replaced(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(rows[0]._fields)
        writer.writerows(rows)
