"""Average precision of detections as PASCAL VOC defines it (Everingham et al. 2010, section 4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxcnn.tasks.detection.boxes import Detections, Objects, overlaps

POINTS = 10  # recalls 0, 0.1, ..., 1 of VOC 2007


class Curve(NamedTuple):
    """The detections of a class, surest first, without those of ignored objects.

    Attributes:
      right: (m,) bool, whether each found an object first.
      objects: how many there are to find.
    """

    right: np.ndarray
    objects: int


class Answer(NamedTuple):
    """What a detection of a class is worth.

    Attributes:
      image, place: of the detection.
      object: the place of the object of its class that it overlaps most.
      right: whether it found that object first.
      ignored: whether it counts neither as right nor as a mistake.
    """

    image: int
    place: int
    object: int
    right: bool
    ignored: bool


def average_precisions(
    objects: Objects, found: Detections, *, classes: int, threshold: float = 0.5
) -> dict[str, np.ndarray]:
    """AP of each class, by VOC's two definitions.

    A detection goes to the object of its class that it overlaps most. It is right where IoU >= threshold and no surer
    detection had that object; one more of an object is a mistake. An ignored object is neither missed nor a mistake.

    Args:
      objects: Objects.
      found: Detections.
      classes: their number, K.
      threshold: the least IoU, of edges: VOC's own corners, which name pixels, give the same numbers.
    Returns:
      {"eleven": (K,), "area": (K,)} float64: `eleven_points` and `area_under` of each; NaN of a class without objects.
    """
    curves = [_curve(objects, found, number, threshold) for number in range(classes)]
    return {
        name: np.array([f(curve) for curve in curves]) for name, f in (("eleven", eleven_points), ("area", area_under))
    }


def eleven_points(curve: Curve) -> float:
    """AP of VOC 2007: the mean, over recalls r of 0, 0.1, ..., 1, of the highest precision at a recall of r or more."""
    if not curve.objects:
        return np.nan
    hits, precision = _precision(curve)
    # whole numbers: 3 of 10 are at 0.3, which floats may miss
    reached = [precision[hits * POINTS >= point * curve.objects] for point in range(POINTS + 1)]
    return float(np.mean([values.max(initial=0) for values in reached]))


def area_under(curve: Curve) -> float:
    """AP from VOC 2010 on: the area under the curve of the highest precision at each recall or more."""
    if not curve.objects:
        return np.nan
    hits, precision = _precision(curve)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(highest * np.diff(hits, prepend=0)) / curve.objects)


def _precision(curve):
    """(hits so far, precision) after each detection."""
    hits = np.cumsum(curve.right)
    return hits, hits / np.arange(1, len(hits) + 1)


def _curve(objects, found, number, threshold):
    right = [one.right for one in answers(objects, found, number, threshold) if not one.ignored]
    own = objects.there & (objects.classes == number) & ~objects.ignored
    return Curve(np.array(right, bool), int(own.sum()))


def answers(objects: Objects, found: Detections, number: int, threshold: float = 0.5) -> Iterator[Answer]:
    """Yields the Answer of each detection of a class, surest first; see `average_precisions`."""
    own = objects.there & (objects.classes == number)
    taken = own & objects.ignored  # an ignored object is never found first
    images, places = np.nonzero(found.there & (found.classes == number))
    order = np.argsort(-found.scores[images, places], kind="stable")
    for image, place in zip(images[order].tolist(), places[order].tolist(), strict=True):
        overlap = np.where(own[image], overlaps(found.boxes[image, place], objects.boxes[image]), -1)
        best = int(overlap.argmax())
        matched = bool(overlap[best] >= threshold)
        ignored = matched and bool(objects.ignored[image, best])
        yield Answer(image, place, best, matched and not taken[image, best], ignored)
        taken[image, best] |= matched
