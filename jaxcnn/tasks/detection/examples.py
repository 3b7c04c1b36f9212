"""An example for a detector: its image, and its objects in pixels of that image, moved together."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn.augment import brightness, contrast, saturation
from jaxcnn.augment.boxes import horizontal_flip_with_boxes, random_zoom_with_boxes
from jaxcnn.operators.regions import areas, clip, shown

REGIONS = ("proposals", "proposal_mask")  # fields of data that give regions, see jaxcnn.data.detection.proposed
FIELDS = ("boxes", "box_label", "box_mask", "box_ignored", "box_area", "view", "size")
VISIBLE = 0.4  # of an object, under which a zoom leaves too little of it to learn from


def prepare(
    key: jax.Array, example: Mapping[str, Any], *, flip: bool, zoom: Sequence[float], jitter: float
) -> dict[str, Any]:
    """A training example with its objects in the pixels that the network sees.

    Args:
      key: of the image.
      example: {"image" float (h, w, c), the fields of jaxcnn.data.detection}, of one image.
      flip: whether it is mirrored with a probability of a half.
      zoom: (smallest, largest) factor of `random_zoom_with_boxes`; (1, 1) is off.
      jitter: of brightness, contrast and saturation; 0 is off.
    Returns:
      The example with "image" and, in its pixels, "objects" (m, 4), "object_mask" (m,) and "crowd" (m,), which is True
      for objects that are ignored and for those of which a zoom left less than VISIBLE; of data that give regions also
      "regions" (p, 4) and "region_mask" (p,).
    """
    flip_key, zoom_key, colour_key = jax.random.split(key, 3)
    image, size = example["image"], example["image"].shape[:2]
    given = [example[name] for name in REGIONS[:1] if name in example]
    boxes = shown(jnp.concatenate([example["boxes"], *given]), view=example["view"], size=size)
    if flip:
        image, boxes = horizontal_flip_with_boxes(flip_key, image, boxes)
    if tuple(zoom) != (1, 1):
        image, boxes = random_zoom_with_boxes(zoom_key, image, boxes, scale=zoom)
    if jitter:
        operations = (brightness, contrast, saturation) if image.shape[2] == 3 else (brightness, contrast)
        for number, (operation, strength) in enumerate(zip(operations, (0.5, 1.0, 1.0), strict=False)):
            image = operation(jax.random.fold_in(colour_key, number), image, magnitude=jitter * strength)
    boxes, moved = jnp.split(boxes, [len(example["boxes"])])
    objects = clip(boxes, size=size)
    left = areas(objects) / jnp.maximum(areas(boxes), 1e-6)
    hidden = example["box_ignored"] | (left < VISIBLE)
    there = example["box_mask"] & (areas(objects) > 0)
    found = {"image": image, "objects": objects, "object_mask": there, "crowd": there & hidden}
    return {**example, **found, **(_regions(moved, example["proposal_mask"], size) if given else {})}


def given_regions(batch: Mapping[str, Any], size: Sequence[int]) -> tuple[jax.Array, jax.Array] | None:
    """The regions that a batch gives, (boxes (n, p, 4), mask (n, p)) in pixels of images of a size, or None."""
    if not set(REGIONS) <= set(batch):
        return None
    boxes = shown(batch["proposals"], view=batch["view"], size=size)
    return tuple(_regions(boxes, batch["proposal_mask"], size).values())


def _regions(boxes, mask, size):
    boxes = clip(boxes, size=size)
    return {"regions": boxes, "region_mask": mask & (areas(boxes) > 0)}
