"""The mean over the boxes of an image that a step learns from."""

import jax.numpy as jnp


def mean_where(mask, values, counted):
    """The sum of values (m,) over a mask, divided by the number of what is counted, 1 at least."""
    return jnp.sum(jnp.where(mask, values, 0)) / jnp.maximum(counted.sum(), 1)
