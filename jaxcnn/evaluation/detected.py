"""Objects that a trained network finds: in files, and in a split beside the truth, with its mistakes by kind."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxcnn.operators import regions
from jaxcnn.tasks.detection.boxes import Detections, Objects
from jaxcnn.tasks.detection.mistakes import KINDS, MISSED, MISTAKES, Judged, judge

if TYPE_CHECKING:
    from jaxcnn.evaluation.trained import Trained


BATCH = 16  # images that the network gets at once
OUTPUTS = ("boxes", "classes", "scores", "there")


def detects(trained: Trained) -> bool:
    """Whether the task of a run finds objects: it gives `boxes`, `classes`, `scores` and `there`."""
    return set(OUTPUTS) <= trained.outputs().keys()


def coco_results(rows: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> list[dict[str, Any]]:
    """What was found in files, in the layout of COCO's results, which pycocotools' `loadRes` reads.

    Args:
      rows: of `Trained.predict`; those that could not be read have no results.
      classes: names in the order of the labels.
    Returns:
      [{"image_id", "category_id", "bbox", "score", "file_name", "category"}], image by image, surest first. image_id is
      the number that a file is named by, as COCO's are, where all names are different numbers, else its place among
      the files, from 1; category_id counts the classes from 1; bbox is (x, y, width, height) in pixels of the upright
      file.
    """
    numbers = {name: number for number, name in enumerate(classes, 1)}
    return [
        {
            "image_id": image,
            "category_id": numbers[one["label"]],
            "bbox": _bbox(one["box"]),
            "score": one["score"],
            "file_name": pathlib.Path(row["file"]).name,
            "category": one["label"],
        }
        for image, row in zip(_image_ids([row["file"] for row in rows]), rows, strict=True)
        for one in row.get("objects", ())
    ]


def _bbox(box):
    x1, y1, x2, y2 = box
    return [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)]


def _image_ids(files):
    names = [pathlib.Path(file).stem for file in files]
    numbers = {int(name) for name in names if name.isdecimal()}
    return [int(name) for name in names] if len(numbers) == len(names) else range(1, len(names) + 1)


class Detected(NamedTuple):
    """Images of a split as the network sees them, without what pads them, with their objects and what was found.

    Attributes:
      split: its name.
      positions: int (n,), of the images in the split.
      objects, found: Objects and Detections of the n images, in pixels of what the network sees.
      judged: Judged, their kinds.
      examples: the first of the n images, by their places.
      mistakes: {kind: [(image, place)]}, the surest of each kind, places of `found`; of the missed the largest, places
        of `objects`. Images are places from 0 to n - 1.
      images: {image: uint8 (h, w, c)} of the examples and of the mistakes.
    """

    split: str
    positions: np.ndarray
    objects: Objects
    found: Detections
    judged: Judged
    examples: tuple
    mistakes: dict
    images: dict


def detected_examples(trained: Trained, split: str, *, count: int, shown: int, mistakes: int) -> Detected:
    """The objects of the first images of a split and what a network finds there, surest mistakes by their kind.

    Args:
      trained: a Trained, of a task that finds objects.
      split: "validation", "test" or "train".
      count: how many images are looked at, at most; those that cannot be read are left out.
      shown: how many of them are examples.
      mistakes: how many of each kind.
    Returns:
      Detected.
    Raises:
      InputError: the data set is not there.
    """
    records = trained.open(split).records
    positions, objects, found = _look(trained, records, min(count, len(records)))
    judged = judge(objects, found, classes=trained.classes)
    chosen = _surest(objects, found, judged, mistakes)
    examples = tuple(range(min(shown, len(positions))))
    wanted = sorted({*examples, *(image for rows in chosen.values() for image, _ in rows)})
    images = _images(records, positions, wanted)
    return Detected(split, positions, objects, found, judged, examples, chosen, images)


def _look(trained, records, count):
    """(positions, Objects, Detections) of the first records; one batch of the network at a time lies in memory."""
    parts = []
    options = {"reads": trained.task.reads, "positions": np.arange(count), "batch_size": BATCH}
    for places, batch, outputs in trained.stream(trained.infer, records, **options):
        extents = _extents(batch)
        boxes = _shown(batch["boxes"], batch)
        corners = np.concatenate([extents, extents], axis=1)[:, None]  # what pads an image holds nothing
        found = np.clip(outputs["boxes"], 0, corners)
        truth = (batch[name] for name in ("box_label", "box_mask", "box_ignored"))
        parts.append((places, (boxes, *truth), (found, *(outputs[name] for name in OUTPUTS[1:]))))
    positions, objects, detections = zip(*parts, strict=True)
    joined = (map(np.concatenate, zip(*rows, strict=True)) for rows in (objects, detections))
    return np.concatenate(positions), Objects(*next(joined)), Detections(*next(joined))


def _shown(boxes, batch):
    """Boxes (n, k, 4) in pixels of the originals as they lie in the images of a batch."""
    return np.asarray(regions.shown(boxes, view=batch["view"], size=batch["image"].shape[1:3]))


def _extents(batch):
    """(n, 2), the right and the lower edge of the originals in the images of a batch."""
    height, width = batch["size"].T.astype(np.float32)
    whole = np.stack([np.zeros_like(width), np.zeros_like(width), width, height], axis=1)[:, None]
    return np.minimum(_shown(whole, batch)[:, 0, 2:], batch["image"].shape[2:0:-1])


def _surest(objects, found, judged, most):
    """{kind: [(image, place)]} of the mistakes of highest score, and of the largest objects that were missed."""
    chosen = {}
    for kind in MISTAKES:
        places = np.argwhere(judged.kinds == KINDS.index(kind))
        order = np.argsort(-found.scores[tuple(places.T)], kind="stable")
        chosen[kind] = [tuple(place) for place in places[order][:most].tolist()]
    places = np.argwhere(judged.missed)
    sides = np.diff(objects.boxes.reshape(*objects.boxes.shape[:2], 2, 2), axis=2)
    order = np.argsort(-np.prod(sides, axis=(2, 3))[tuple(places.T)], kind="stable")
    return {**chosen, MISSED: [tuple(place) for place in places[order][:most].tolist()]}


def _images(records, positions, wanted):
    """{image: its pixels without what pads them} of places of positions."""
    if not wanted:
        return {}
    batch = records.read(positions[wanted])
    sides = np.ceil(_extents(batch)).astype(int)
    rows = zip(wanted, batch["image"], sides.tolist(), strict=True)
    return {number: image[:height, :width] for number, image, (width, height) in rows}
