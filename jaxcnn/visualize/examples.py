"""Predictions on single images: what went right, and the mistakes the model was surest of."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence

import numpy as np

from jaxcnn.data.formats import to_pillow
from jaxcnn.visualize.page import Html, bar, element, image, join, percent

LARGEST = 168  # pixels, twice the width on the page: sharp on a dense screen, and a page of photographs stays small


@dataclasses.dataclass(frozen=True, eq=False)
class Example:
    """One image and what the model says: image uint8 (h, w, c) with c of 1, 3 or 4; label; probabilities (K,)."""

    image: np.ndarray
    label: int
    probabilities: np.ndarray

    @property
    def predicted(self) -> int:
        """The class of highest probability."""
        return int(np.argmax(self.probabilities))

    @property
    def confidence(self) -> float:
        """The probability of the predicted class."""
        return float(np.max(self.probabilities))


def class_name(classes: Sequence[str], index: int) -> str:
    """The name of a class; "class 7" where the list ends before."""
    return str(classes[index]) if 0 <= index < len(classes) else f"class {index}"


def example_grids(examples: Sequence[Example], classes: Sequence[str], *, limit: int = 12) -> Html:
    """The first right predictions in the order given, and the wrong ones by falling confidence: up to `limit` each."""
    right = [example for example in examples if example.predicted == example.label]
    wrong = sorted((e for e in examples if e.predicted != e.label), key=lambda e: -e.confidence)
    return join(
        element("p", f"{len(right)} of {len(examples)} held-out images right.", class_="quiet"),
        _grid("Mistakes, the most confident first", wrong, classes, limit),
        _grid("Right, in the order of the data", right, classes, limit),
    )


def example_png(pixels: np.ndarray) -> bytes:
    """uint8 (h, w, c) as PNG, made smaller where a side is longer than 168 pixels.

    Raises:
      ValueError: not uint8, or not 1, 3 or 4 channels.
    """
    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] not in (1, 3, 4):
        raise ValueError(f"an example is uint8 (h, w, 1 | 3 | 4), not {pixels.dtype} {pixels.shape}")
    picture = to_pillow(pixels)
    picture.thumbnail((LARGEST, LARGEST))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def _grid(heading, examples, classes, limit):
    if not examples:
        return None
    cards = join(*(_card(example, classes) for example in examples[:limit]))
    shown = f"{heading} ({min(limit, len(examples))} of {len(examples)})"
    return join(element("h3", shown), element("div", cards, class_="cards"))


def _card(example, classes):
    name, guess = class_name(classes, example.label), class_name(classes, example.predicted)
    alt = f"true {name}, predicted {guess}"
    small = max(np.shape(example.image)[:2]) < LARGEST
    top = np.argsort(-np.asarray(example.probabilities, dtype=np.float64), kind="stable")[:3].tolist()
    bars = [
        bar(
            class_name(classes, index),
            float(example.probabilities[index]),
            percent(example.probabilities[index], 1),
            kind=_kind(index, example),
        )
        for index in top
    ]
    picture = image(example_png(example.image), alt, class_="pixels" if small else None)
    return element("div", picture, element("div", *_verdict(example, name, guess), *bars, class_="what"), class_="card")


def _verdict(example, name, guess):
    yield element("div", name, class_="true", title=f"true class: {name}")
    mistake = "right" if example.predicted == example.label else f"predicted {guess}"
    yield element("div", mistake, class_="verdict quiet", title=mistake)


def _kind(index, example):
    if index == example.label:
        return "hit"
    return "miss" if index == example.predicted else None
