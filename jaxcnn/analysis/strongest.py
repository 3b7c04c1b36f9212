"""The images that activate each unit of a stage most, found in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np


class Strongest(NamedTuple):
    """For each unit its images by falling activation, one place an image.

    Attributes:
      values: (units, k), the activations.
      images: (units, k) int, the numbers of the images.
      places: (units, k, 2) int, (row, column) in the map.
    """

    values: np.ndarray
    images: np.ndarray
    places: np.ndarray


def find_strongest(answers: Iterable[tuple[Any, Any, Any]], *, count: int = 9) -> Strongest:
    """Keeps the strongest images of every unit of a stream.

    Args:
      answers: yields (numbers (n,), values (n, units), places (n, units, 2)) of a batch, of which the last two are what
        `units.strongest` returns. An image is given once; of equals the earlier is kept.
      count: how many images a unit keeps.
    Returns:
      `Strongest` of k = count images, or of all where there are fewer.
    Raises:
      ValueError: there is no image.
    """
    kept = None
    for numbers, values, places in answers:
        values, places = np.asarray(values).T, np.asarray(places).swapaxes(0, 1)
        new = Strongest(values, np.broadcast_to(np.asarray(numbers), values.shape), places)
        kept = new if kept is None else _joined(kept, new)
        order = np.argsort(-kept.values, axis=1, kind="stable")[:, :count]  # NaN comes last
        kept = Strongest(
            np.take_along_axis(kept.values, order, axis=1),
            np.take_along_axis(kept.images, order, axis=1),
            np.take_along_axis(kept.places, order[..., None], axis=1),
        )
    if kept is None or kept.values.shape[1] == 0:
        raise ValueError("there is no image to find the strongest of")
    return kept


def _joined(*parts):
    return Strongest(*(np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True)))
