"""The mean over the boxes of an image that a step learns from."""

import jax
import jax.numpy as jnp


def mean_where(mask: jax.Array, values: jax.Array, counted: jax.Array) -> jax.Array:
    """The sum of values (m,) over a mask, divided by the number of what is counted, 1 at least."""
    return jnp.sum(jnp.where(mask, values, 0)) / jnp.maximum(counted.sum(), 1)
