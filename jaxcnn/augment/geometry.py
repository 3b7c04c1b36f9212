"""Mirror images."""

import jax
import jax.numpy as jnp


def horizontal_flip(key: jax.Array, image: jax.Array, *, probability: float | jax.Array = 0.5) -> jax.Array:
    """Mirrors the image left to right with the given probability.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), any dtype.
      probability: of the flip; may be traced.
    Returns:
      (h, w, c), the dtype of image.
    """
    return jnp.where(jax.random.bernoulli(key, probability), image[:, ::-1], image)


def vertical_flip(key: jax.Array, image: jax.Array, *, probability: float | jax.Array = 0.5) -> jax.Array:
    """Mirrors the image top to bottom with the given probability.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), any dtype.
      probability: of the flip; may be traced.
    Returns:
      (h, w, c), the dtype of image.
    """
    return jnp.where(jax.random.bernoulli(key, probability), image[::-1], image)
