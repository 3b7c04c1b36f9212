"""The edit distance of texts."""

import jax
import jax.numpy as jnp
from jax import lax


def edit_distance(found: jax.Array, wanted: jax.Array) -> jax.Array:
    """Counts the tokens that must be changed, put in or left out to make one text the other (Levenshtein 1966).

    d(i, j) = min(d(i - 1, j) + 1, d(i, j - 1) + 1, d(i - 1, j - 1) + [found_i differs from wanted_j])

    Args:
      found: (n, t), integers: tokens first, and then 0.
      wanted: (n, l), likewise.
    Returns:
      (n,), float32.
    """
    return jax.vmap(_distance)(found, wanted).astype(jnp.float32)


def _distance(found, wanted):
    places = jnp.arange(len(wanted) + 1)

    def advance(row, token):
        replaced = row[:-1] + (token != wanted)
        best = jnp.minimum(row + 1, jnp.concatenate([row[:1] + 1, replaced]))
        best = places + lax.cummin(best - places)  # of what is put in, one step for each place
        return jnp.where(token > 0, best, row), None

    row, _ = lax.scan(advance, places, found)
    return row[jnp.sum(wanted > 0)]
