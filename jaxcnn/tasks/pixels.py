"""From stored pixels to what a network takes."""

from typing import Any

import jax
import jax.numpy as jnp


def as_float(images: jax.Array) -> jax.Array:
    """uint8 images to float32 in [0, 1]; float images pass."""
    return images.astype(jnp.float32) / 255 if images.dtype == jnp.uint8 else images.astype(jnp.float32)


def normalise(images: jax.Array, mean: Any, std: Any) -> jax.Array:
    """(images - mean) / std of images (n, h, w, c) on the [0, 1] scale; mean and std (c,) or (h, w, c)."""
    mean, std = (jnp.asarray(x).reshape((1,) * (4 - jnp.ndim(x)) + jnp.shape(x)) for x in (mean, std))
    return (images - mean) / std
