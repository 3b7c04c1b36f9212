"""The task `detection`: where the objects of an image are, and of which class."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.operators import regions
from jaxcnn.tasks.detection import two_stages
from jaxcnn.tasks.detection.average_precision import average_precisions
from jaxcnn.tasks.detection.boxes import Detections, Objects, mean_of
from jaxcnn.tasks.detection.coco import check_installed, coco_measures
from jaxcnn.tasks.detection.examples import FIELDS, REGIONS, given_regions, prepare
from jaxcnn.tasks.detection.options import check
from jaxcnn.tasks.task import About, Kind, Measure, Player, Scores, Task, Terms

PROPOSAL_OVERLAP = 0.5  # IoU at which a proposal has found an object


def create(
    about: About,
    *,
    flip: bool = True,
    zoom: Sequence[float] = (1.0, 1.0),
    jitter: float = 0.0,
    measured: Sequence[str] = (),
    coco: bool = False,
    **settings: Any,
) -> Task:
    """The Task of finding the objects of images with boxes.

    The loss is the sum of the four of Faster R-CNN, or of those that the network has; one that proposes no regions
    itself gets those of config.data.proposals. Images are moved with their boxes by the options here; config.augment,
    which knows of no boxes, must be left as it is. Outputs of `infer` are those of `two_stages.detect`.

    Args:
      about: an About.
      flip: mirrors a training image with a probability of a half.
      zoom: (smallest, largest) factor by which a training image is scaled before a window is cut out.
      jitter: of brightness, contrast and saturation of training images.
      measured: the classes that means over classes are of; () for all that occur.
      coco: whether COCO's measures are computed too, by pycocotools.
      **settings: of two_stages.Settings.
    Raises:
      ValueError: an option does not fit, or the data have no boxes.
    """
    if missing := [name for name in FIELDS if name not in about.fields]:
        raise ValueError(
            f"an example of these data lacks {', '.join(missing)}: detection is of images with boxes, as voc:PATH, "
            "coco:PATH and scenes have them"
        )
    if unknown := sorted(set(settings) - set(two_stages.Settings._fields)):
        raise ValueError(f"unknown option {unknown[0]!r}; known: {', '.join(two_stages.Settings._fields)}")
    chosen = two_stages.Settings(**settings)
    check({**chosen._asdict(), "flip": flip, "zoom": zoom, "jitter": jitter, "measured": measured, "coco": coco})
    if unknown := [name for name in measured if name not in about.classes]:
        raise ValueError(f"measured names {', '.join(unknown)}; the classes are {', '.join(about.classes)}")
    if about.mix is not None:
        raise ValueError("mixup and cutmix mix labels of whole images")
    if coco:
        check_installed()
    return Task(
        players=(Player("detector", functools.partial(_objective, about, chosen)),),
        infer=functools.partial(_infer, about, chosen),
        score=_score,
        prepare=functools.partial(_prepare, flip=flip, zoom=zoom, jitter=jitter),
        finish=functools.partial(_finish, about, measured, coco),
        details=functools.partial(_details, about),
        describe=functools.partial(_describe, about),
        check=_check,
        reads=(*REGIONS, "view") if REGIONS[0] in about.fields else (),
        undefined=() if coco else tuple(COCO),
    )


def _prepare(key, example, numbers, **options):
    return prepare(key, example, **options)


def _objective(about, settings, module, batch, numbers):
    losses = two_stages.objective(settings, module, batch, about.normalise(batch["image"]))
    return Terms(sum(losses.values()), losses)  # ty: ignore[invalid-argument-type]  of two losses at least


def _infer(about, settings, module, batch):
    given = given_regions(batch, batch["image"].shape[1:3])
    return two_stages.detect(settings, module, about.normalise(batch["image"]), given)


def _score(outputs, batch):
    found = jax.vmap(functools.partial(_recalled, batch["image"].shape[1:3]))(
        outputs["proposals"], outputs["proposed"], batch["boxes"], batch["view"]
    )
    counted = batch["box_mask"] & ~batch["box_ignored"]
    recall = (found & counted).sum(axis=1).astype(jnp.float32), counted.sum(axis=1).astype(jnp.float32)
    boxes = jax.vmap(functools.partial(_original, batch["image"].shape[1:3]))(
        outputs["boxes"], batch["view"], batch["size"]
    )
    rows = {"found": boxes, **{name: outputs[name] for name in ("classes", "scores", "there")}}
    rows |= {name: batch[name] for name in ("boxes", "box_label", "box_mask", "box_ignored", "box_area", "mask")}
    return Scores({"proposal_recall": recall}, rows=rows)


def _recalled(size, proposals, proposed, boxes, view):
    overlap = regions.iou(regions.shown(boxes, view=view, size=size), proposals)
    return (jnp.where(proposed[None], overlap, 0) >= PROPOSAL_OVERLAP).any(axis=1)


def _original(shown, boxes, view, size):
    return regions.clip(regions.original(boxes, view=view, size=shown), size=(size[0], size[1]))


def _split(rows):
    """(Objects, Detections) of the images of a split that could be read."""
    rows = {name: value[rows["mask"] > 0] for name, value in rows.items()}
    truth = (rows[name] for name in ("boxes", "box_label", "box_mask", "box_ignored", "box_area"))
    return Objects(*truth), Detections(*(rows[name] for name in ("found", "classes", "scores", "there")))


def _finish(about, measured, coco, n, means, sums, rows):
    objects, found = _split(rows)
    chosen = [number for number, name in enumerate(about.classes) if not measured or name in measured]
    precisions = average_precisions(objects, found, classes=len(about.classes))
    values = {name: mean_of(precisions[kind][chosen]) for name, kind in (("ap50", "area"), ("ap50_2007", "eleven"))}
    if coco:
        values |= _coco_values(objects, found, chosen)
    return {**means, **values}


def _coco_values(objects, found, chosen):
    """COCO's measures over the chosen classes alone."""
    place = {number: new for new, number in enumerate(chosen)}
    numbers = np.array([place.get(number, -1) for number in range(max(place) + 2)])

    def only(boxes):
        own = numbers[np.minimum(boxes.classes, len(numbers) - 1)]
        return boxes._replace(classes=own, there=boxes.there & (own >= 0))

    values, _ = coco_measures(only(objects), only(found), classes=len(chosen))
    return {COCO_NAMES.get(name, name): value for name, value in values.items()}


def _details(about, n, means, sums, rows):
    """per_class: {class: its AP at 0.5, by area}, None for a class without objects."""
    precisions = average_precisions(*_split(rows), classes=len(about.classes))["area"]
    return {"per_class": {name: mean_of([value]) for name, value in zip(about.classes, precisions, strict=True)}}


def _describe(about, outputs):
    """The objects of an image, surest first, in pixels of the file, upright: its corners from 0, the last outside."""
    shown = np.asarray(outputs["boxes"])[outputs["there"]]
    boxes = np.asarray(_original(about.shape[:2], shown, outputs["view"], outputs["size"]))
    rows = zip(outputs["classes"][outputs["there"]], outputs["scores"][outputs["there"]], boxes, strict=True)
    return {
        "objects": [
            {"label": about.classes[label], "score": float(score), "box": [round(float(edge), 2) for edge in box]}
            for label, score, box in rows
        ]
    }


def _check(name, result, about):
    """Raises InputError where a network does not return the logits of a region, or lacks regions."""
    wanted = (2, len(about.classes) + 1)
    there = isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)
    if not there or "region" not in result[1] or result[0].shape != wanted:
        raise InputError(
            f"architecture {name} is no detector of {len(about.classes)} classes: rcnn, fast_rcnn and faster_rcnn are, "
            "on any backbone (config.model.options.backbone)."
        )
    if "rpn_score" not in result[1] and REGIONS[0] not in about.fields:
        raise InputError(
            f"architecture {name} classifies regions that it is given, and these data give none: set "
            "config.data.proposals, as {'count': 2000}; faster_rcnn proposes its regions itself."
        )


COCO_NAMES = {"ap50": "coco_ap50"}
COCO = {
    "ap": Measure("points", label="AP at 0.5 to 0.95"),
    "coco_ap50": Measure("points", label="COCO's AP at 0.5"),
    "ap75": Measure("points", label="AP at 0.75"),
    "ap_small": Measure("points", label="AP of small objects"),
    "ap_medium": Measure("points", label="AP of medium objects"),
    "ap_large": Measure("points", label="AP of large objects"),
    "recall": Measure("points", label="COCO's recall of 100 detections"),
}
DETECTION = Kind(
    measures={
        "loss": Measure(higher_is_better=False, label="loss"),
        "ap50": Measure("points", label="AP at 0.5"),
        "ap50_2007": Measure("points", label="AP at 0.5 by eleven points"),
        **COCO,
        "proposal_recall": Measure("points", label="recall of the proposals"),
        "rpn_class": Measure(higher_is_better=False, label="RPN's loss of objects"),
        "rpn_box": Measure(higher_is_better=False, label="RPN's loss of boxes"),
        "class": Measure(higher_is_better=False, label="loss of classes"),
        "box": Measure(higher_is_better=False, label="loss of boxes"),
    },
    selects=("ap50",),
    create=create,
)
