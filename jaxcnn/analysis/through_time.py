"""How much of a gradient comes back through time (Hochreiter 1991; Bengio, Simard and Frasconi 1994)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def gradients_through_time(function: Callable[[jax.Array], jax.Array], x: jax.Array, *, key: jax.Array) -> jax.Array:
    """The size of the gradient of a last output with respect to the input of every step.

    g_t = sqrt(mean over sequences of |d(v . y) / dx_t|**2),   v drawn from N(0, 1) / sqrt(d)

    Where g falls as t lies further back, the gradient vanishes; where it grows, it explodes.

    Args:
      function: f(x) -> y (n, d), the output behind the last step, of each sequence by itself.
      x: (n, t, c) float32.
      key: of v.
    Returns:
      (t,) float32.
    """

    def projected(x):
        y = function(x)
        return jnp.sum(y * jax.random.normal(key, y.shape) / jnp.sqrt(y.shape[1]))

    squares = jnp.sum(jnp.square(jax.grad(projected)(x)), axis=2)
    return jnp.sqrt(jnp.mean(squares, axis=0))
