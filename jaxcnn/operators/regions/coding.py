"""Boxes as what a network regresses: offsets from anchors or proposals, and the loss of them."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.operators.regions.boxes import sides

LEAST = 1e-3  # pixels: shorter sides count as this long, so that padded boxes have finite targets
LARGEST = float(np.log(1000 / 16))  # of log(w / w_a) when decoded: exp of an untrained output may overflow
MEANS, STDS = (0.0, 0.0, 0.0, 0.0), (0.1, 0.1, 0.2, 0.2)  # of the authors' codes for Fast and Faster R-CNN


def _centres_and_sides(boxes):
    return (boxes[..., :2] + boxes[..., 2:]) / 2, jnp.maximum(sides(boxes), LEAST)


def _constants(boxes, means, stds):
    """means and stds with the axes of boxes."""
    shape = (1,) * (boxes.ndim - 1) + (4,)
    return (jnp.asarray(value, boxes.dtype).reshape(shape) for value in (means, stds))


def encode(
    boxes: jax.Array, anchors: jax.Array, *, means: Sequence[float] = (0.0,) * 4, stds: Sequence[float] = (1.0,) * 4
) -> jax.Array:
    """The regression targets that move anchors (or proposals) to boxes.

    t = (((x - x_a) / w_a, (y - y_a) / h_a, log(w / w_a), log(h / h_a)) - means) / stds

    x, y are centres (Girshick et al. 2014, appendix C; Ren et al. 2015, eq. 2). stds of (0.1, 0.1, 0.2, 0.2) bring the
    targets of the second stage to about unit variance in the authors' codes; the RPN has none.

    Args:
      boxes: (..., 4).
      anchors: (..., 4), the shape of boxes; sides under 0.001 pixels, in both, count as that.
      means, stds: four numbers.
    Returns:
      (..., 4), the dtype of boxes; finite for boxes that are.
    """
    (centres, extents), (own, lengths) = _centres_and_sides(boxes), _centres_and_sides(anchors)
    moved = jnp.concatenate([(centres - own) / lengths, jnp.log(extents / lengths)], axis=-1)
    means, stds = _constants(moved, means, stds)
    return (moved - means) / stds


def decode(
    offsets: jax.Array,
    anchors: jax.Array,
    *,
    means: Sequence[float] = (0.0,) * 4,
    stds: Sequence[float] = (1.0,) * 4,
    largest: float = LARGEST,
) -> jax.Array:
    """The boxes that offsets make of anchors (or proposals): the inverse of `encode`.

    Args:
      offsets: (..., 4), a network's outputs.
      anchors: (..., 4), the shape of offsets.
      means, stds: as in `encode`.
      largest: bound of log(w / w_a) and log(h / h_a) from above; log(1000 / 16) in Detectron.
    Returns:
      (..., 4), the dtype of offsets; not clipped to an image.
    """
    means, stds = _constants(offsets, means, stds)
    moved = offsets * stds + means
    own, lengths = _centres_and_sides(anchors)
    centres = own + moved[..., :2] * lengths
    half = jnp.exp(jnp.minimum(moved[..., 2:], largest)) * lengths / 2
    return jnp.concatenate([centres - half, centres + half], axis=-1)


def smooth_l1(difference: jax.Array, *, beta: float = 1.0) -> jax.Array:
    """A square near zero, an absolute value beyond: outliers do not dominate (Girshick 2015, eq. 3).

    L = d**2 / (2 beta) where |d| < beta, |d| - beta / 2 elsewhere

    beta is 1 in Fast R-CNN and 1 / 9 in the authors' code of the RPN.

    Args:
      difference: d, of any shape (...), any float type.
      beta: where it changes, positive.
    Returns:
      (...), the dtype of difference.
    """
    size = jnp.abs(difference)
    return jnp.where(size < beta, jnp.square(size) / (2 * beta), size - beta / 2)
