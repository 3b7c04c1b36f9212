"""The classes and boxes of regions: what the head of a detector learns from, and what it finds.

Girshick 2015 (arXiv:1504.08083), section 2.3; R-CNN's network and the second stage of Faster R-CNN are learned alike.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import optax

from jaxcnn.operators import regions
from jaxcnn.operators.regions.coding import STDS
from jaxcnn.tasks.detection.averaging import mean_where

if TYPE_CHECKING:
    from jaxcnn.tasks.detection.two_stages import Settings


def draw(
    settings: Settings, classes: int, keys: jax.Array, proposals: Any, labels: jax.Array, truth: Any
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """The regions that a step learns from.

    Args:
      settings: two_stages.Settings.
      classes: their number, K.
      keys: (n,).
      proposals: boxes (n, p, 4) and whether there is one (n, p). The objects themselves are proposals too.
      labels: (n, m), of the objects.
      truth: objects (n, m, 4), their mask and whether they are a crowd, (n, m) each.
    Returns:
      (boxes (n, r, 4), labels (n, r), K of background, targets (n, r, 4), drawn (n, r)).
    """
    return jax.vmap(functools.partial(_draw, settings, classes))(keys, *proposals, labels, *truth)


def _draw(settings, count, key, boxes, there, label, objects, mask, crowd):
    boxes, there = jnp.concatenate([boxes, objects]), jnp.concatenate([there, mask & ~crowd])
    options: dict[str, Any] = {"positive": 0.5, "negative": 0.5, "lowest": settings.background}
    found = regions.assign(boxes, objects, mask, crowd=crowd, mask=there, **options)
    number = min(settings.regions, len(boxes))
    rows, drawn = regions.sample(key, found.labels, count=number, positives=number // 4)
    own = found.objects[rows]
    labels = jnp.where(found.labels[rows] == 1, label[own], count)  # the background comes last
    return boxes[rows], labels, regions.encode(objects[own], boxes[rows], stds=STDS), drawn


def losses(
    classes: int, logits: jax.Array, offsets: Any, labels: jax.Array, targets: jax.Array, drawn: jax.Array
) -> dict[str, jax.Array]:
    """{"class": (n,), "box": (n,)} of the answers to drawn regions; no "box" of a network without offsets.

    Args:
      classes: K.
      logits, offsets: (n, r, K + 1), (n, r, K, 4) or None.
      labels, targets, drawn: of `draw`.
    """
    found = {"class": jax.vmap(_class_loss)(logits, labels, drawn)}
    if offsets is not None:
        found["box"] = jax.vmap(functools.partial(_box_loss, classes))(offsets, labels, targets, drawn)
    return found


def _class_loss(logits, labels, drawn):
    return mean_where(drawn, optax.softmax_cross_entropy_with_integer_labels(logits, labels), drawn)


def _box_loss(count, offsets, labels, targets, drawn):
    rows = jnp.arange(len(labels))
    off = regions.smooth_l1(offsets[rows, jnp.minimum(labels, count - 1)] - targets).sum(axis=1)
    return mean_where(drawn & (labels < count), off, drawn)


def find(
    settings: Settings, size: Sequence[int], proposals: Any, logits: jax.Array, offsets: Any
) -> dict[str, jax.Array]:
    """{"boxes" (n, d, 4), "classes" (n, d), "scores" (n, d), "there" (n, d)}, the surest first.

    Args:
      settings: two_stages.Settings.
      size: (height, width) of the images.
      proposals: boxes (n, p, 4) and whether there is one (n, p).
      logits, offsets: (n, p, K + 1), (n, p, K, 4) or None where boxes are not moved.
    """
    scores = jax.nn.softmax(logits)[..., :-1]
    boxes, there = proposals
    every = jnp.broadcast_to(boxes[:, :, None], (*scores.shape, 4))
    moved = every if offsets is None else regions.decode(offsets, every, stds=STDS)
    of_image = functools.partial(best, settings)
    found = jax.vmap(of_image)(regions.clip(moved, size=size), jnp.where(there[..., None], scores, -jnp.inf))
    return dict(zip(("boxes", "classes", "scores", "there"), found, strict=True))


def best(settings: Settings, boxes: jax.Array, scores: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """(boxes (d, 4), classes (d,), scores (d,), whether there is one (d,)) of an image.

    Every box with a score of `least_score` or more is a candidate. Each class is suppressed on its own, and the surest
    `detections` of all classes stay.

    Args:
      settings: two_stages.Settings; `least_score`, `overlap` and `detections` are used.
      boxes: (p, K, 4), of each proposal as each class.
      scores: (p, K), -inf of what is no proposal.
    """
    boxes, scores = boxes.swapaxes(0, 1), scores.T
    options = {"threshold": settings.overlap, "count": settings.detections}
    likely = scores >= settings.least_score
    label, kept, found = regions.non_maximum_suppression_by_class(boxes, scores, mask=likely, **options)
    return boxes[label, kept], label, scores[label, kept], found
