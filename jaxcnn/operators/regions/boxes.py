"""Areas of boxes, their overlap, and the border of the image."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def sides(boxes: jax.Array) -> jax.Array:
    """Widths and heights, (..., 2); 0 where an edge lies beyond its opposite."""
    return jnp.maximum(boxes[..., 2:] - boxes[..., :2], 0)


def areas(boxes: jax.Array) -> jax.Array:
    """Areas in pixels.

    A = max(x2 - x1, 0) * max(y2 - y1, 0)

    Args:
      boxes: (..., 4).
    Returns:
      (...), the dtype of boxes.
    """
    return jnp.prod(sides(boxes), axis=-1)


def clip(boxes: jax.Array, *, size: Sequence[int] | jax.Array) -> jax.Array:
    """Cuts boxes at the border of the image; one that lies outside becomes a line or a point on it.

    Args:
      boxes: (..., 4).
      size: (height, width) of the image, numbers or traced scalars.
    Returns:
      (..., 4), the dtype of boxes.
    """
    height, width = (jnp.asarray(side, boxes.dtype) for side in size)
    x, y = jnp.clip(boxes[..., 0::2], 0, width), jnp.clip(boxes[..., 1::2], 0, height)
    return jnp.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], axis=-1)


def inside(boxes: jax.Array, *, size: Sequence[int] | jax.Array, margin: float = 0.0) -> jax.Array:
    """Whether boxes lie within the image; anchors that cross its border are left out of training (Ren et al. 2015).

    Args:
      boxes: (..., 4).
      size: (height, width) of the image, numbers or traced scalars.
      margin: pixels by which a box may reach over the border.
    Returns:
      (...), bool.
    """
    height, width = size
    first = (boxes[..., 0] >= -margin) & (boxes[..., 1] >= -margin)
    return first & (boxes[..., 2] <= width + margin) & (boxes[..., 3] <= height + margin)


def _intersections(boxes, others):
    if boxes.ndim != 2 or others.ndim != 2:
        raise ValueError(
            f"expected boxes (n, 4) and (m, 4) of one image, got {boxes.shape} and {others.shape}: jax.vmap maps images"
        )
    first = jnp.maximum(boxes[:, None, :2], others[None, :, :2])
    last = jnp.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return jnp.prod(jnp.maximum(last - first, 0), axis=-1)


def iou(boxes: jax.Array, others: jax.Array) -> jax.Array:
    """The overlap of every box with every other: intersection over union.

    IoU = A(a & b) / (A(a) + A(b) - A(a & b)), 0 where both are empty

    An empty box overlaps nothing, itself included.

    Args:
      boxes: (n, 4).
      others: (m, 4).
    Returns:
      (n, m), the dtype of boxes, from 0 to 1.
    Raises:
      ValueError: another number of axes.
    """
    shared = _intersections(boxes, others)
    union = areas(boxes)[:, None] + areas(others)[None] - shared
    return jnp.where(shared > 0, shared / jnp.where(shared > 0, union, 1), 0)


def covered(boxes: jax.Array, others: jax.Array) -> jax.Array:
    """The share of every box that lies inside each other one: intersection over the area of the first.

    COCO measures so how far a detection lies in a crowd.

    Args:
      boxes: (n, 4).
      others: (m, 4).
    Returns:
      (n, m), the dtype of boxes, from 0 to 1; 0 of an empty box.
    Raises:
      ValueError: another number of axes.
    """
    shared = _intersections(boxes, others)
    return jnp.where(shared > 0, shared / jnp.where(shared > 0, areas(boxes)[:, None], 1), 0)


def shown(boxes: jax.Array, *, view: Sequence[float] | jax.Array, size: Sequence[float] | jax.Array) -> jax.Array:
    """Boxes of images as they lie in a part of them that is shown at a size.

    Args:
      boxes: (..., 4), in pixels of the image.
      view: (top, left, height, width) of the part in the same pixels, (4,), or of each image, (n, 4) for boxes
        (n, ..., 4); it may reach over the image.
      size: (height, width) that it is shown at, numbers.
    Returns:
      (..., 4), in pixels of what is shown; not cut at its border.
    """
    corner, scale = _corner_and_scale(boxes, view, size)
    return (boxes - corner) * scale


def original(boxes: jax.Array, *, view: Sequence[float] | jax.Array, size: Sequence[float] | jax.Array) -> jax.Array:
    """The inverse of `shown`: boxes of what is shown, in pixels of the image.

    Args:
      boxes: (..., 4), in pixels of what is shown.
      view, size: as in `shown`.
    Returns:
      (..., 4), in pixels of the image; not cut at its border.
    """
    corner, scale = _corner_and_scale(boxes, view, size)
    return boxes / scale + corner


def _corner_and_scale(boxes, view, size):
    view = jnp.asarray(view)
    top, left, height, width = (view[..., i] for i in range(4))
    shape = view.shape[:-1] + (1,) * (boxes.ndim - view.ndim) + (4,)
    corner = jnp.stack([left, top, left, top], axis=-1).reshape(shape)
    # of a record that was skipped the view is zeros
    down, across = (wanted / jnp.where(side > 0, side, 1) for wanted, side in zip(size, (height, width), strict=True))
    return corner, jnp.stack([across, down, across, down], axis=-1).reshape(shape)
