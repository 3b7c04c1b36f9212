"""The answers of a network to an image partly covered (Zeiler and Fergus 2013, arXiv:1311.2901, section 4.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

BATCH = 64


class Occlusion(NamedTuple):
    """The answers with the square at each of (rows, columns) places.

    Place (i, j) is around the pixel in the middle of rows i * stride to (i + 1) * stride, and of columns likewise.

    Attributes:
      probability: (rows, columns), of the class.
      predicted: (rows, columns) int, the most probable class.
      total: (rows, columns), the sum of the map `channel` of the stage.
      channel: of the stage, the map whose sum is largest when nothing is covered.
      whole: (probability, predicted, total) when nothing is covered.
      stride: pixels from one place to the next; the last ones may stand for pixels beyond the image.
    """

    probability: np.ndarray
    predicted: np.ndarray
    total: np.ndarray
    channel: int
    whole: tuple[float, int, float]
    stride: int


def occlude(
    answer: Callable[..., Any],
    image: np.ndarray,
    *,
    label: int,
    size: int,
    stride: int,
    grey: float = 0.5,
    report: Callable[[int, int], object] = lambda done, total: None,
) -> Occlusion:
    """Slides a grey square over an image.

    Args:
      answer: f(images (BATCH, h, w, c)) -> (class probabilities (BATCH, K), the sum of each map of a stage
        (BATCH, units)); the paper's stage is conv5.
      image: (h, w, c) float.
      label: the class whose probability is asked for.
      size: side of the square in pixels; at the border a part of it lies outside.
      stride: pixels from one place to the next.
      grey: the value of the square.
      report: called with how many squares are done, and of how many.
    Returns:
      An `Occlusion` of (ceil(h / stride), ceil(w / stride)) places.
    Raises:
      ValueError: size or stride is not positive.
    """
    if size < 1 or stride < 1:
        raise ValueError(f"the square and its stride are at least 1 pixel, not {size} and {stride}")
    rows, columns = (_centres(side, stride) for side in image.shape[:2])
    squares = [None, *((row, column) for row in rows for column in columns)]  # the first covers nothing
    found = []
    for first in range(0, len(squares), BATCH):
        part = squares[first : first + BATCH]
        part += [None] * (BATCH - len(part))  # one shape, one compilation
        found.append(answer(np.stack([_covered(image, square, size, grey) for square in part])))
        report(min(first + BATCH, len(squares)), len(squares))
    probabilities, sums = (np.concatenate(x)[: len(squares)] for x in zip(*found, strict=True))
    channel = int(sums[0].argmax())
    wanted = probabilities[:, label], probabilities.argmax(axis=1), sums[:, channel]
    grids = [x[1:].reshape(len(rows), len(columns)) for x in wanted]
    return Occlusion(*grids, channel, tuple(x[0].item() for x in wanted), stride)


def _centres(side, stride):
    return np.minimum(np.arange(-(-side // stride)) * stride + stride // 2, side - 1)


def _covered(image, centre, size, grey):
    """The image with a square of `size` pixels around a pixel, or whole."""
    if centre is None:
        return image
    rows, columns = (slice(max(at - size // 2, 0), max(at - size // 2 + size, 0)) for at in centre)
    covered = np.array(image)
    covered[rows, columns] = grey
    return covered
