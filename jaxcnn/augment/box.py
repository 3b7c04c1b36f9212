"""The random box that Cutout fills and CutMix pastes."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def random_box(key: jax.Array, shape: Sequence[int], *, sides: Sequence[int | jax.Array] | jax.Array) -> jax.Array:
    """Marks a box around a uniformly random pixel; what lies beyond the border is cut off.

    Args:
      key: PRNG key.
      shape: (h, w), static.
      sides: (vertical, horizontal) in whole pixels, traced or not; with a 0 the box is empty.
    Returns:
      (h, w) bool, True inside.
    """
    inside = []
    for axis_key, size, side in zip(jax.random.split(key), shape, sides, strict=True):
        start = jax.random.randint(axis_key, (), 0, size) - side // 2
        places = jnp.arange(size)
        inside.append((places >= start) & (places < start + side))
    return inside[0][:, None] & inside[1][None]
