"""Regions of an image as images of one size, with some of their surroundings (R-CNN)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.operators.padding import pair
from jaxcnn.operators.regions.boxes import sides
from jaxcnn.operators.regions.roi import check_regions

LEAST = 1.0  # pixels: shorter sides of a box count as this long


def warp(x: jax.Array, boxes: jax.Array, *, size: int | Sequence[int], context: float = 0) -> jax.Array:
    """Stretches each region of an image to one size, whatever its shape (Girshick et al. 2014, appendix A).

    The box fills all but `context` pixels on each side of the result, which show what surrounds it, at the same scale;
    16 of 227 in the paper. Outside of the image there are zeros: the mean of images that are normalised. Bilinear,
    antialiased where it shrinks, which the authors' code is not. Boxes get no gradient.

    Args:
      x: images (n, h, w, c), any float type.
      boxes: (n, m, 4), in pixels of the image.
      size: of the result, int or (height, width).
      context: pixels of it on each side.
    Returns:
      (n, m, *size, c), the dtype of x.
    Raises:
      ValueError: the shapes are not as above, or context leaves nothing of the size.
    """
    check_regions(x, boxes)
    size = pair(size)
    if context < 0 or 2 * context >= min(size):
        raise ValueError(f"context is {context} pixels on each side of {size}, which leave nothing for the box")
    boxes = lax.stop_gradient(boxes.astype(jnp.float32))
    across, down = (size[1 - axis] - 2 * context for axis in (0, 1))
    scales = jnp.array([across, down], jnp.float32).reshape(1, 1, 2) / jnp.maximum(sides(boxes), LEAST)
    shifts = context - boxes[..., :2] * scales

    def of_box(image, scale, shift):
        shape = (*size, image.shape[2])
        return jax.image.scale_and_translate(image, shape, (0, 1), scale[::-1], shift[::-1], "bilinear")

    return jax.vmap(jax.vmap(of_box, (None, 0, 0)))(x, scales, shifts).astype(x.dtype)
