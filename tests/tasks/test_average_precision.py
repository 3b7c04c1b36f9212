"""AP of VOC on examples computed by hand and by loops, COCO's against pycocotools' own way from files."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from jaxcnn.tasks.detection.average_precision import average_precisions
from jaxcnn.tasks.detection.boxes import Detections, Objects
from jaxcnn.tasks.detection.coco import coco_measures

WIDE = 10.0


def column(place, *, shift=0.0):
    """The place-th of boxes of 10 x 10 that do not touch, moved to the right."""
    return [20 * place + shift, 0, 20 * place + shift + WIDE, WIDE]


def truth(*images):
    """Objects of [(box, class, ignored), ...] for each image."""
    most = max(map(len, images)) + 1  # one padded place at least
    shape = (len(images), most)
    boxes, classes = np.zeros((*shape, 4), np.float32), np.zeros(shape, np.int32)
    there, ignored = np.zeros(shape, bool), np.zeros(shape, bool)
    for i, image in enumerate(images):
        for j, (box, number, difficult) in enumerate(image):
            boxes[i, j], classes[i, j], there[i, j], ignored[i, j] = box, number, True, difficult
    return Objects(boxes, classes, there, ignored)


def answers(*images):
    """Detections of [(box, class, score), ...] for each image."""
    most = max(map(len, images)) + 1
    shape = (len(images), most)
    boxes, classes = np.zeros((*shape, 4), np.float32), np.zeros(shape, np.int32)
    scores, there = np.full(shape, 9.0, np.float32), np.zeros(shape, bool)
    for i, image in enumerate(images):
        for j, (box, number, score) in enumerate(image):
            boxes[i, j], classes[i, j], scores[i, j], there[i, j] = box, number, score, True
    return Detections(boxes, classes, scores, there)


def test_an_example_computed_by_hand():
    """Five objects of class 0, one of them difficult, in two images; seven answers, surest first:

    right, second of the same object, of the difficult one (left out), right, off by more than a third, right.
    Of the counted: right wrong right wrong right of 4 objects: precision 1, 1/2, 2/3, 1/2, 3/5 at recall 1/4, 1/4, 2/4,
    2/4, 3/4. The highest from there on: 1 (recall up to 1/4), 2/3 (up to 1/2), 3/5 (up to 3/4), 0.
    """
    objects = truth(
        [(column(0), 0, False), (column(1), 0, True), (column(2), 0, False), (column(0), 1, False)],
        [(column(0), 0, False), (column(3), 0, False)],
    )
    found = answers(
        [(column(0), 0, 0.9), (column(0, shift=1), 0, 0.8), (column(1), 0, 0.7), (column(2, shift=5), 0, 0.5)],
        [(column(0), 0, 0.6), (column(3, shift=3), 0, 0.4), (column(3), 1, 0.3)],
    )
    ap = average_precisions(objects, found, classes=3)
    # recalls 0, 0.1, 0.2: 1; 0.3, 0.4, 0.5: 2/3; 0.6, 0.7: 3/5; 0.8, 0.9, 1: 0
    np.testing.assert_allclose(ap["eleven"][0], (3 * 1 + 3 * 2 / 3 + 2 * 3 / 5) / 11, rtol=1e-12)
    np.testing.assert_allclose(ap["area"][0], (1 + 2 / 3 + 3 / 5) / 4, rtol=1e-12)
    assert ap["eleven"][1] == ap["area"][1] == 0  # its object is missed, its answer lies in the other image
    assert np.isnan(ap["eleven"][2]) and np.isnan(ap["area"][2])


def test_a_second_answer_is_wrong_even_where_another_object_is_near():
    """It goes to the object that it overlaps most; a free one that it overlaps by more than half does not take it."""
    near = [0, 0, 10, 10], [2, 0, 12, 10]
    objects = truth([(near[0], 0, False), (near[1], 0, False)])
    found = answers([(near[0], 0, 0.9), (near[0], 0, 0.8), (near[1], 0, 0.7)])
    np.testing.assert_allclose(average_precisions(objects, found, classes=1)["area"], [(1 + 2 / 3) / 2], rtol=1e-12)


def test_half_an_overlap_is_enough_and_recall_of_three_tenths_counts():
    objects = truth([(column(i), 0, False) for i in range(10)])
    half = [(column(i)[:2] + [20 * i + 5, 10], 0, 0.9) for i in range(3)]
    assert average_precisions(objects, answers(half), classes=1)["eleven"] == 4 / 11
    assert average_precisions(objects, answers(half), classes=1, threshold=0.51)["eleven"] == 0


def random_split(seed, *, images=12, classes=4, objects=6, found=20):
    """(Objects, Detections) that overlap well, less well and not at all, with equal scores and ignored objects."""
    random = np.random.default_rng(seed)
    corners, sides = random.uniform(0, 150, (images, objects, 2)), np.exp(random.uniform(2, 5.5, (images, objects, 2)))
    boxes = np.concatenate([corners, corners + sides], axis=2).astype(np.float32)
    kinds = random.integers(0, classes, (images, objects))
    there, ignored = random.random((images, objects)) < 0.7, random.random((images, objects)) < 0.2
    areas = (random.uniform(0.4, 1, (images, objects)) * sides.prod(axis=2)).astype(np.float32)
    source = random.integers(0, objects, (images, found))
    taken = np.take_along_axis(boxes, source[..., None], axis=1)
    size = np.tile(taken[..., 2:] - taken[..., :2], 2)
    noise = random.normal(0, 0.1, (images, found, 4)) * size
    labels = np.where(random.random((images, found)) < 0.8, np.take_along_axis(kinds, source, axis=1), 0)
    scores = (random.integers(0, 50, (images, found)) / 50).astype(np.float32)
    kept = random.random((images, found)) < 0.8
    detections = Detections((taken + noise).astype(np.float32), labels, scores, kept)
    return Objects(boxes, kinds, there, there & ignored, areas), detections


def as_json(boxes, i, j):
    corners = boxes.boxes[i, j].astype(np.float64)
    box = [*corners[:2].tolist(), *(corners[2:] - corners[:2]).tolist()]
    return {"image_id": 1000 + i, "category_id": 11 + 3 * int(boxes.classes[i, j]), "bbox": box}


@pytest.mark.parametrize("seed", range(3))
def test_cocos_measures_equal_pycocotools_from_files(seed, tmp_path):
    """Files as one writes them for COCO's own evaluation, with ids of their own; the printed measures to 1e-9."""
    objects, found = random_split(seed)
    truth = [
        {**as_json(objects, i, j), "id": 7 + i * 100 + j, "area": float(objects.areas[i, j])}
        | {"iscrowd": int(objects.ignored[i, j])}
        for i, j in np.argwhere(objects.there).tolist()
    ]
    results = [
        {**as_json(found, i, j), "score": float(found.scores[i, j])} for i, j in np.argwhere(found.there).tolist()
    ]
    content = {
        "images": [{"id": 1000 + i} for i in range(12)],
        "categories": [{"id": 11 + 3 * k} for k in range(4)],
        "annotations": truth,
    }
    (tmp_path / "truth.json").write_text(json.dumps(content))
    (tmp_path / "found.json").write_text(json.dumps(results))
    with contextlib.redirect_stdout(io.StringIO()):
        given = COCO(str(tmp_path / "truth.json"))
        evaluation = COCOeval(given, given.loadRes(str(tmp_path / "found.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    values, of_class = coco_measures(objects, found, classes=4)
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
    expected = dict(zip(names, evaluation.stats[:6], strict=True)) | {"recall": evaluation.stats[8]}
    assert values == pytest.approx(expected, abs=1e-9) and 0.05 < values["ap"] < values["ap50"] < 0.9
    np.testing.assert_allclose(of_class.mean(), values["ap"], rtol=1e-12)


def test_cocos_measures_of_nothing():
    objects, found = random_split(0)
    nothing = found._replace(there=np.zeros_like(found.there))
    values, _ = coco_measures(objects, nothing, classes=4)
    assert values["ap"] == values["ap_small"] == values["recall"] == 0
    values, of_class = coco_measures(objects._replace(there=np.zeros_like(objects.there)), found, classes=4)
    assert set(values.values()) == {None} and np.isnan(of_class).all()


def test_area_and_eleven_points_agree_with_loops_on_random_boxes():
    """The definitions of the devkit, spelled out: a list of recalls, a list of precisions."""
    objects, found = random_split(5)
    ap = average_precisions(objects, found, classes=4, threshold=0.4)
    for number in range(4):
        answers = np.argwhere(found.there & (found.classes == number)).tolist()
        ranked = sorted(((-found.scores[i, j], i, j) for i, j in answers), key=lambda row: row[0])
        own = {(i, j) for i, j in zip(*np.nonzero(objects.there & (objects.classes == number)), strict=True)}
        count, seen, hits, said, recalls, precisions = sum(not objects.ignored[o] for o in own), set(), 0, 0, [], []
        for _, i, j in ranked:
            overlap = {}
            for o in own:
                if o[0] == i:
                    a, b = found.boxes[i, j].astype(float), objects.boxes[o].astype(float)
                    wide, tall = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
                    shared = max(wide, 0) * max(tall, 0)
                    overlap[o] = shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)
            best = max(overlap, key=overlap.get, default=None)
            if best is not None and overlap[best] >= 0.4 and objects.ignored[best]:
                continue
            said += 1
            if best is not None and overlap[best] >= 0.4 and best not in seen:
                seen.add(best)
                hits += 1
            recalls.append(hits / count)
            precisions.append(hits / said)
        at = [
            max([p for p, r in zip(precisions, recalls, strict=True) if r >= t / 10 - 1e-9], default=0)
            for t in range(11)
        ]
        area = sum(
            (r - before) * max(precisions[k:])
            for k, (r, before) in enumerate(zip(recalls, [0, *recalls[:-1]], strict=True))
        )
        np.testing.assert_allclose([ap["eleven"][number], ap["area"][number]], [np.mean(at), area], rtol=1e-9)
