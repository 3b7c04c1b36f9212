"""Reads an image between its pixels: at any points, and in a box that becomes an image of its own."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates


def sample(image: jax.Array, rows: jax.Array, columns: jax.Array, *, fill: float = 0.0) -> jax.Array:
    """The image at the given points, bilinear between pixel centres and fading into `fill` over one pixel outside.

    Args:
      image: (h, w, c), any float type; the weights are float32.
      rows, columns: arrays of one shape, float32; the centre of pixel (i, j) is at row i, column j.
      fill: the value outside the image, a float; static.
    Returns:
      (*shape of rows, c), the dtype of image.
    Raises:
      ValueError: image is not of a float type.
    """
    _check_float(image)
    height, width, _ = image.shape
    rows = jnp.clip(rows, -1, height)  # all fill from there on, and infinite coordinates would make NaN
    columns = jnp.clip(columns, -1, width)
    # dm_pix's affine_transform cuts at the border, where rounding turns a rotation by 90 degrees into a frame of
    # fill, knows no perspective, and interpolates between channels too, which takes twice the reads.
    return jax.vmap(
        lambda plane: map_coordinates(plane, (rows, columns), order=1, mode="constant", cval=fill),
        in_axes=-1,
        out_axes=-1,
    )(image)


def resample_box(
    image: jax.Array,
    *,
    top: float | jax.Array,
    left: float | jax.Array,
    height: float | jax.Array,
    width: float | jax.Array,
    size: Sequence[int],
    fill: float = 0.0,
) -> jax.Array:
    """The box of the image, resized to `size`: bilinear, and antialiased where it shrinks.

    The box is measured between pixel edges: (0, 0, h, w) is the whole image, and it may reach beyond. There is no
    intermediate image, so near its sides the triangle filter also sees what lies just outside the box.

    Args:
      image: (h, w, c), any float type; computed in float32.
      top, left, height, width: of the box in pixels, float scalars; may be traced.
      size: (h, w) of the result; static.
      fill: the value outside the image, a float; static.
    Returns:
      (*size, c), the dtype of image.
    Raises:
      ValueError: image is not of a float type.
    """
    _check_float(image)
    scale = jnp.stack([size[0] / height, size[1] / width])
    resized = jax.image.scale_and_translate(
        image.astype(jnp.float32) - fill,  # zero is what the library puts outside
        (*size, image.shape[2]),
        (0, 1),
        scale,
        -jnp.stack([top, left]) * scale,
        "bilinear",
    )
    return (resized + fill).astype(image.dtype)


def _check_float(image):
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise ValueError(f"image is {image.dtype}; what interpolates takes floats: divide uint8 by 255 first.")
