"""True boxes and found ones of the images of a split, as the measures read them: NumPy arrays, padded."""

from typing import Any, NamedTuple

import numpy as np


class Objects(NamedTuple):
    """The truth of n images, at most k objects each.

    Attributes:
      boxes: (n, k, 4), edges (x1, y1, x2, y2) in pixels of the original image; see jaxcnn.operators.regions.
      classes: (n, k) integers.
      there: (n, k) bool, False where nothing is.
      ignored: (n, k) bool: `difficult` of VOC, a crowd of COCO. It counts neither as missed nor, where it is found, as
        a mistake.
      areas: (n, k), by which COCO calls objects small, medium and large: of their outlines where a set has these. None
        for those of the boxes.
    """

    boxes: np.ndarray
    classes: np.ndarray
    there: np.ndarray
    ignored: np.ndarray
    areas: np.ndarray | None = None


class Detections(NamedTuple):
    """What was found in n images, at most d boxes each.

    Attributes:
      boxes: (n, d, 4), as those of Objects.
      classes: (n, d) integers.
      scores: (n, d), larger is surer.
      there: (n, d) bool, False where nothing is.
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    there: np.ndarray


def mean_of(values: Any) -> float | None:
    """The mean of the numbers of a sequence that are not NaN, or None without any."""
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else None


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """IoU of a box (4,) with boxes (k, 4), in float64, in which a threshold of 0.5 is met exactly."""
    box, boxes = np.asarray(box, np.float64), np.asarray(boxes, np.float64)
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    union = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
