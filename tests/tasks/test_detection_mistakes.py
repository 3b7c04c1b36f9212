"""Kinds of mistakes of a detector: a hand-made image for each, and as many of the surest as there are objects."""

import numpy as np

from jaxcnn.tasks.detection.boxes import Detections, Objects
from jaxcnn.tasks.detection.mistakes import KINDS, judge, surest

CLASSES = ("cat", "dog", "car", "mug")
CAT, DOG, CAR, MUG = range(4)
SQUARE, BESIDE, FAR = (0, 0, 10, 10), (5, 0, 15, 10), (50, 50, 60, 60)  # IoU of the first two: a third
# (objects: (box, class, ignored), found: (box, class, score), the kind of each)
ROWS = [
    ([(SQUARE, CAT, False)], [(SQUARE, CAT, 0.5), (SQUARE, CAT, 0.9)], ["localisation", "right"]),  # found before
    ([(SQUARE, CAT, False)], [(BESIDE, CAT, 0.8), (FAR, CAT, 0.7)], ["localisation", "background"]),
    ([(SQUARE, CAT, False)], [(SQUARE, DOG, 0.6), (SQUARE, CAR, 0.4)], ["similar class", "other class"]),
    ([(SQUARE, MUG, False), (BESIDE, CAR, True)], [(SQUARE, CAT, 0.3), (BESIDE, CAR, 0.2)], ["other class", "ignored"]),
    # what lies near an object of its class is about that one, whatever else is nearer
    ([(SQUARE, DOG, False), (BESIDE, CAT, False)], [(SQUARE, CAT, 0.1)], ["localisation"]),
]


def arrays():
    k = max(len(row[0]) for row in ROWS)
    d = max(len(row[1]) for row in ROWS)
    objects = Objects(np.zeros((5, k, 4)), np.zeros((5, k), int), np.zeros((5, k), bool), np.zeros((5, k), bool))
    found = Detections(np.zeros((5, d, 4)), np.zeros((5, d), int), np.zeros((5, d)), np.zeros((5, d), bool))
    for image, (truth, answers, _) in enumerate(ROWS):
        for place, (box, label, ignored) in enumerate(truth):
            objects.boxes[image, place], objects.classes[image, place] = box, label
            objects.there[image, place], objects.ignored[image, place] = True, ignored
        for place, (box, label, score) in enumerate(answers):
            found.boxes[image, place], found.classes[image, place] = box, label
            found.scores[image, place], found.there[image, place] = score, True
    return objects, found


def test_each_kind_of_mistake_is_told():
    objects, found = arrays()
    judged = judge(objects, found, classes=CLASSES)
    kinds = [[KINDS[kind] for kind in row if kind >= 0] for row in judged.kinds]
    assert kinds == [row[2] for row in ROWS]
    missed = [np.flatnonzero(row).tolist() for row in judged.missed]
    assert missed == [[], [0], [0], [0], [0, 1]]  # the first was found, ignored ones are not missed


def test_the_surest_detections_of_a_class_are_counted_as_many_as_it_has_objects():
    objects, found = arrays()
    counts = surest(found, judge(objects, found, classes=CLASSES), objects, classes=len(CLASSES))
    by_name = [dict(zip(KINDS, row.tolist(), strict=True)) for row in counts]
    # four cats that count: scores 0.9, 0.8, 0.7 and 0.5 of six detections
    assert by_name[CAT] == {**dict.fromkeys(KINDS, 0), "right": 1, "localisation": 2, "background": 1}
    assert by_name[DOG] == {**dict.fromkeys(KINDS, 0), "similar class": 1}
    assert not counts[CAR].any() and not counts[MUG].any()  # the car is ignored, and there is no detection of the mug
