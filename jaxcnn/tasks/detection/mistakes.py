"""Mistakes of a detector by their kind (Hoiem et al. 2012, "Diagnosing error in object detectors", section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxcnn.tasks.detection.average_precision import answers
from jaxcnn.tasks.detection.boxes import Detections, Objects, overlaps

KINDS = ("right", "ignored", "localisation", "similar class", "other class", "background")
MISTAKES = KINDS[2:]
MISSED = "missed"
NEAR = 0.1  # the least IoU with an object that a mistake is about
SIMILAR = (  # the paper's groups of PASCAL VOC's classes; other classes are similar to none
    {"aeroplane", "bicycle", "boat", "bus", "car", "motorbike", "train"},
    {"bird", "cat", "cow", "dog", "horse", "person", "sheep"},
    {"chair", "diningtable", "sofa"},
    {"aeroplane", "bird"},
)


class Judged(NamedTuple):
    """The detections and the objects of n images.

    Attributes:
      kinds: int8 (n, d), the place in KINDS of each detection, -1 where there is none.
      missed: bool (n, k), whether an object that counts was not found.
    """

    kinds: np.ndarray
    missed: np.ndarray


def judge(objects: Objects, found: Detections, *, classes: Sequence[str], threshold: float = 0.5) -> Judged:
    """The kind of every detection, and which objects were missed.

    What is right or ignored is so for average precision. A mistake is of localisation where its IoU with an object of
    its class is 0.1 or more (too little, or the object was found already); else of a similar or of another class where
    its IoU with an object of such a class is; else of background.

    Args:
      objects, found: Objects and Detections of the same images.
      classes: names, in the order of the labels.
      threshold: the least IoU of a right one.
    Returns:
      Judged.
    """
    kinds = np.full(found.there.shape, -1, np.int8)
    missed = objects.there & ~objects.ignored
    for number in range(len(classes)):
        similar = [label for label in range(len(classes)) if label != number and _similar(classes, label, number)]
        for one in answers(objects, found, number, threshold):
            kind = "right" if one.right else "ignored" if one.ignored else _mistake(objects, found, one, similar)
            kinds[one.image, one.place] = KINDS.index(kind)
            if one.right:
                missed[one.image, one.object] = False
    return Judged(kinds, missed)


def _similar(classes, one, other):
    return any({classes[one], classes[other]} <= group for group in SIMILAR)


def _mistake(objects, found, one, similar):
    near = objects.there[one.image] & (overlaps(found.boxes[one.image, one.place], objects.boxes[one.image]) >= NEAR)
    labels = objects.classes[one.image][near]
    if (labels == found.classes[one.image, one.place]).any():
        return "localisation"
    if np.isin(labels, similar).any():
        return "similar class"
    return "other class" if len(labels) else "background"


def surest(found: Detections, judged: Judged, objects: Objects, *, classes: int) -> np.ndarray:
    """The kinds of the surest detections of each class, as many as it has objects that count: the paper's table.

    Args:
      found, judged, objects: as above.
      classes: their number.
    Returns:
      int (classes, len(KINDS)): how many are of each kind; ignored ones are passed over.
    """
    counts = np.zeros((classes, len(KINDS)), int)
    for number in range(classes):
        own = (found.classes == number) & (judged.kinds >= 0) & (judged.kinds != KINDS.index("ignored"))
        wanted = int((objects.there & ~objects.ignored & (objects.classes == number)).sum())
        order = np.argsort(-found.scores[own], kind="stable")[:wanted]
        counts[number] = np.bincount(judged.kinds[own][order], minlength=len(KINDS))
    return counts
