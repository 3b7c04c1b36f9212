"""COCO's measures, by its own code: pycocotools."""

import contextlib
import io

import numpy as np

from jaxcnn.errors import InputError, how_to_install
from jaxcnn.tasks.detection.boxes import Detections, Objects, mean_of

AREAS = ("", "_small", "_medium", "_large")  # all, under 32 x 32 pixels, up to 96 x 96, larger: COCOeval's order
THRESHOLDS = {"": slice(None), "50": 0, "75": 5}  # of 0.5, 0.55, ..., 0.95


def check_installed() -> None:
    """Raises InputError, which says how to install it, without pycocotools."""
    try:
        import pycocotools.cocoeval  # noqa: F401
    except ImportError as error:
        install = how_to_install("pycocotools", "detection")
        raise InputError(f"COCO's measures are computed by pycocotools, which is not installed: {install}") from error


def coco_measures(objects: Objects, found: Detections, *, classes: int) -> tuple[dict[str, float | None], np.ndarray]:
    """COCO's average precision and recall of boxes, 100 detections an image at most.

    What is ignored is a crowd: any number of detections may lie in it.

    Args:
      objects: Objects.
      found: Detections.
      classes: their number, K.
    Returns:
      ({"ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "recall"}: float, or None without such objects), over
      the ten thresholds from 0.5 to 0.95 but ap50 and ap75; and AP of each class, (K,), NaN of one without objects.
    Raises:
      InputError: pycocotools is not installed.
    """
    check_installed()
    from pycocotools.cocoeval import COCOeval

    images, numbers = range(len(objects.boxes)), range(1, classes + 1)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        truth = _indexed(images, numbers, _annotations(objects))
        evaluation = COCOeval(truth, _indexed(images, numbers, _results(found)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    # (thresholds, recalls, classes, areas, numbers of detections), -1 where there are no objects
    precision = np.where(evaluation.eval["precision"] < 0, np.nan, evaluation.eval["precision"])[..., -1]
    recall = np.where(evaluation.eval["recall"] < 0, np.nan, evaluation.eval["recall"])[:, :, 0, -1]
    values = {f"ap{name}": mean_of(precision[rows, ..., 0]) for name, rows in THRESHOLDS.items()}
    values |= {f"ap{area}": mean_of(precision[..., number]) for number, area in enumerate(AREAS)}
    of_class = [mean_of(precision[:, :, number, 0]) for number in range(classes)]
    return {**values, "recall": mean_of(recall)}, np.array(of_class, np.float64)


def _indexed(images, classes, annotations):
    """The COCO object of annotations."""
    from pycocotools.coco import COCO

    found = COCO()
    found.dataset = {
        "images": [{"id": image} for image in images],
        "categories": [{"id": number} for number in classes],
        "annotations": [{"id": number, **one} for number, one in enumerate(annotations, 1)],
    }
    found.createIndex()
    return found


def _annotations(objects):
    areas = objects.areas
    for image, place in np.argwhere(objects.there):
        found = _annotation(objects, image, place, iscrowd=int(objects.ignored[image, place]))
        yield found if areas is None else {**found, "area": float(areas[image, place])}


def _results(found):
    for image, place in np.argwhere(found.there):
        yield _annotation(found, image, place, iscrowd=0, score=float(found.scores[image, place]))


def _annotation(boxes, image, place, **more):
    x1, y1, x2, y2 = boxes.boxes[image, place].astype(np.float64).tolist()
    box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
    return {"image_id": int(image), "category_id": int(boxes.classes[image, place]) + 1, **box, **more}
