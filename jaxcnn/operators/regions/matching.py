"""Which box answers for which object, and which of them a step learns from."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcnn.operators.regions.boxes import covered, iou

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


class Assignment(NamedTuple):
    """What boxes (m, 4) answer for.

    Attributes:
      labels: int32 (m,), 1 of an object, 0 of background, -1 for a box that is not learned from.
      objects: int32 (m,), the object of the largest IoU, by its place; 0 where there is none.
      overlaps: float32 (m,), the IoU with it.
    """

    labels: jax.Array
    objects: jax.Array
    overlaps: jax.Array


def assign(
    boxes: jax.Array,
    objects: jax.Array,
    object_mask: jax.Array,
    *,
    crowd: jax.Array | None = None,
    mask: jax.Array | None = None,
    positive: float,
    negative: float,
    lowest: float = 0.0,
    best: bool = False,
    inside_crowd: float = 0.7,
) -> Assignment:
    """Labels anchors or proposals by their overlap with the objects of an image.

    1 where IoU >= positive; with `best`, also every box that is the best of an object, all of them where several are
    equally good. 0 where lowest <= IoU < negative. -1 elsewhere, and of a background box more than `inside_crowd` of
    whose area lies in one crowd. Each answers for the object that it overlaps most, the first of equals.

    The RPN has positive 0.7, negative 0.3 and best (Ren et al. 2015, section 3.1.2); Fast R-CNN 0.5, 0.5 and lowest 0.1
    (Girshick 2015, section 2.3), which joint training in the authors' code of Faster R-CNN sets to 0.

    Args:
      boxes: (m, 4), of one image.
      objects: (k, 4), true boxes, padded.
      object_mask: (k,), 0 or False where there is no object to learn.
      crowd: (k,), True where `objects` holds a crowd, or another box that is neither right nor wrong; None for none.
      mask: (m,), 0 or False of boxes that take no part, as anchors over the border; None where all do.
      positive, negative, lowest: as above.
      best: as above.
      inside_crowd: as above.
    Returns:
      Assignment.
    """
    taken = jnp.ones(len(boxes), bool) if mask is None else jnp.asarray(mask, bool)
    there = jnp.asarray(object_mask, bool) & (True if crowd is None else ~jnp.asarray(crowd, bool))
    overlap = jnp.where(there[None] & taken[:, None], iou(boxes, objects), 0)
    largest = overlap.max(axis=1)
    labels = jnp.where((largest >= lowest) & (largest < negative), NEGATIVE, IGNORED)
    if crowd is not None:
        in_crowd = jnp.where(jnp.asarray(crowd, bool)[None], covered(boxes, objects), 0).max(axis=1) > inside_crowd
        labels = jnp.where((labels == NEGATIVE) & in_crowd, IGNORED, labels)
    right = largest >= positive
    if best:
        right |= ((overlap == overlap.max(axis=0)[None]) & (overlap > 0)).any(axis=1)
    labels = jnp.where(taken, jnp.where(right, POSITIVE, labels), IGNORED).astype(jnp.int32)
    return Assignment(labels, jnp.argmax(overlap, axis=1).astype(jnp.int32), largest)


def sample(key: jax.Array, labels: jax.Array, *, count: int, positives: int) -> tuple[jax.Array, jax.Array]:
    """Draws boxes to learn from: at most so many of objects, the others of background.

    Where there are fewer of objects, background fills the place; where there is too little of both, the rest is masked.
    Each set of a kind is as likely as any other, and the same key draws the same boxes.

    Args:
      key: of the image.
      labels: (m,), of `assign`.
      count: boxes that are drawn: 256 of anchors (Ren et al. 2015), 64 of proposals (Girshick 2015).
      positives: the most that are of objects, 128 and 16.
    Returns:
      (indices int32 (count,), those of objects first, and drawn bool (count,); the index of one that is not is 0).
    Raises:
      ValueError: count is larger than the number of boxes, or positives not from 0 to count.
    """
    if count > len(labels) or not 0 <= positives <= count:
        raise ValueError(f"{count} of {len(labels)} boxes, {positives} of them of objects, cannot be drawn")
    # one order for both kinds: which of a kind come first is as random
    order = jax.random.permutation(key, len(labels))
    own = labels[order]
    rank = jnp.cumsum(own == POSITIVE)
    of_object = (own == POSITIVE) & (rank <= positives)
    background = own == NEGATIVE
    first = jnp.argsort(jnp.where(of_object, 0, jnp.where(background, 1, 2)), stable=True)[:count]
    drawn = (of_object | background)[first]
    return jnp.where(drawn, order[first], 0).astype(jnp.int32), drawn
