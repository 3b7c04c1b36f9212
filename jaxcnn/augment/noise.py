"""Augmentations by noise: on every value, on coarse cells, and on one square."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxcnn.augment.box import random_box
from jaxcnn.augment.photometric import photometric


@photometric
def additive_gaussian_noise(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array) -> jax.Array:
    """Adds to each value an independent N(0, s**2), s uniform on [0, magnitude] for the image.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: the largest standard deviation, on the [0, 1] scale.
    Returns:
      (h, w, c), the dtype of image.
    """
    strength_key, noise_key = jax.random.split(key)
    deviation = jax.random.uniform(strength_key, maxval=magnitude)
    return image + deviation * jax.random.normal(noise_key, image.shape)


@photometric
def coarse_salt(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array, cell: int = 4) -> jax.Array:
    """Sets each cell of a grid to 1, independently with probability p, uniform on [0, magnitude] for the image.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: the largest expected fraction of the cells that turn white, in [0, 1].
      cell: side of a cell in pixels; static, positive. Cells at the lower and right border may be cut off.
    Returns:
      (h, w, c), the dtype of image.
    Raises:
      ValueError: cell is not positive.
    """
    if cell < 1:
        raise ValueError(f"cell is {cell}; it is a number of pixels, 1 or more.")
    height, width, _ = image.shape
    strength_key, cell_key = jax.random.split(key)
    fraction = jax.random.uniform(strength_key, maxval=magnitude)
    white = jax.random.bernoulli(cell_key, fraction, (-(-height // cell), -(-width // cell)))
    white = jnp.repeat(jnp.repeat(white, cell, axis=0), cell, axis=1)[:height, :width]
    return jnp.where(white[..., None], 1.0, image)


@photometric
def coarse_dropout(
    key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array, fill: float | Sequence[float] | jax.Array = 0.0
) -> jax.Array:
    """Cutout (DeVries and Taylor 2017, arXiv:1708.04552): fills one square around a uniformly random pixel.

    Its side is not random: magnitude times the short side of the image, rounded. As in the paper (section 3.2), the
    square may reach over the border, so that often less than all of it falls on the image.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: side of the square, as a fraction of the short side of the image; on CIFAR-10 the paper takes 0.5.
      fill: a number or (c,) in [0, 1]; the mean of the data set is the paper's 0 after normalisation.
    Returns:
      (h, w, c), the dtype of image.
    """
    side = jnp.round(magnitude * min(image.shape[:2])).astype(jnp.int32)
    inside = random_box(key, image.shape[:2], sides=(side, side))
    fill = jnp.broadcast_to(jnp.asarray(fill, jnp.float32), image.shape[-1:])
    return jnp.where(inside[..., None], fill[None, None], image)
