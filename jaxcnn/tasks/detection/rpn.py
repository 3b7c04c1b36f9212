"""Regions that a network proposes itself: their learning and use (Ren et al. 2015, arXiv:1506.01497, section 3.1)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxcnn.operators import regions
from jaxcnn.tasks.detection.averaging import mean_where

if TYPE_CHECKING:
    from jaxcnn.tasks.detection.two_stages import Settings


def losses(
    settings: Settings,
    size: Sequence[int],
    anchors: jax.Array,
    keys: jax.Array,
    scores: jax.Array,
    offsets: Any,
    truth: Any,
) -> tuple[jax.Array, jax.Array]:
    """(loss of objects (n,), loss of boxes (n,)) of the RPN's outputs.

    Args:
      settings: two_stages.Settings.
      size: (height, width) of the images.
      anchors: (a, 4).
      keys: (n,).
      scores, offsets: (n, a), (n, a, 4).
      truth: objects (n, m, 4), their mask and whether they are a crowd, (n, m) each.
    """
    return jax.vmap(functools.partial(_losses, settings, size, anchors))(keys, scores, offsets, *truth)


def _losses(settings, size, anchors, key, scores, offsets, objects, mask, crowd):
    within = regions.inside(anchors, size=size, margin=settings.border)
    options = {"positive": 0.7, "negative": 0.3, "best": True}
    found = regions.assign(anchors, objects, mask, crowd=crowd, mask=within, **options)
    count = min(settings.anchors, len(anchors))
    rows, drawn = regions.sample(key, found.labels, count=count, positives=count // 2)
    positive = drawn & (found.labels[rows] == 1)
    targets = regions.encode(objects[found.objects[rows]], anchors[rows])
    wrong = optax.sigmoid_binary_cross_entropy(scores[rows], positive.astype(jnp.float32))
    off = regions.smooth_l1(offsets[rows] - targets, beta=1 / 9).sum(axis=1)
    return mean_where(drawn, wrong, drawn), mean_where(positive, off, drawn)


def propose(
    settings: Settings, use: int, size: Sequence[int], anchors: jax.Array, scores: jax.Array, offsets: Any
) -> tuple[jax.Array, jax.Array]:
    """(boxes (n, p, 4), whether there is one (n, p)) of the RPN's outputs; no gradient passes.

    Args:
      settings: two_stages.Settings.
      use: 0 in training, 1 in use.
      size: (height, width) of the images.
      anchors: (a, 4).
      scores, offsets: (n, a), (n, a, 4).
    """
    best, count = min(settings.best_of[use], len(anchors)), settings.proposals[use]

    def of_image(scores, offsets):
        scores, rows = lax.top_k(scores, best)
        boxes = regions.clip(regions.decode(offsets[rows], anchors[rows]), size=size)
        large = ((boxes[:, 2:] - boxes[:, :2]) >= settings.least_side).all(axis=1)
        kept, there = regions.non_maximum_suppression(boxes, scores, mask=large, threshold=0.7, count=count)
        return boxes[kept], there

    return jax.vmap(of_image)(*lax.stop_gradient((scores, offsets)))
