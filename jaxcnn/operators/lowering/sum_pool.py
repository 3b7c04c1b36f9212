"""The sum of each window of an image, as a JAX primitive: average, L2 and LeNet-5's pooling are made of it.

    window_sum           y of x; linear
    window_sum_gradient  dx of dy; its transpose

On CPU small windows are shifted slices, twice as fast as XLA's reduce_window; elsewhere they are XLA's own.
"""

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.operators.lowering.primitive import batch_images, define, linear, vary
from jaxcnn.operators.lowering.window import Window, place_tap, tap_views, total

# Windows of more taps than this are left to reduce_window on CPU too.
SLICED = 9


def sum_of_windows(
    x: jax.Array, *, window: tuple[int, ...], stride: tuple[int, ...], padding: tuple[tuple[int, int], ...]
) -> jax.Array:
    """The sum of each window; the poolings check the arguments.

    Args:
      x: (n, h, w, c), any float type, in which the sum is taken.
      window, stride: (vertical, horizontal).
      padding: ((top, bottom), (left, right)) of zeros; a negative end cuts off.
    Returns:
      (n, oh, ow, c), the dtype of x.
    """
    return sum_p.bind(x, pool=Window(x.shape[1:3], window, stride, padding))


def plain_sum(x: jax.Array, *, pool: Window) -> jax.Array:
    """XLA's own sum of windows."""
    # an initial value that is not a plain scalar hides from lax which reducer this is, and with it the gradient
    window, stride, padding = (1, *pool.kernel, 1), (1, *pool.stride, 1), ((0, 0), *pool.padding, (0, 0))
    return lax.reduce_window(x, 0.0, lax.add, window, stride, padding)


def _plain_gradient(dy, *, pool):
    zeros = vary(jnp.zeros((dy.shape[0], *pool.image, dy.shape[3]), dy.dtype), like=dy)  # only a shape
    return jax.vjp(lambda x: plain_sum(x, pool=pool), zeros)[1](dy)[0]


def _on_cpu(x, *, pool):
    if len(pool.taps) > SLICED:
        return plain_sum(x, pool=pool)
    return total(tap_views(x, pool))


def _gradient_on_cpu(dy, *, pool):
    if len(pool.taps) > SLICED:
        return _plain_gradient(dy, pool=pool)
    return total(place_tap(dy, tap, pool) for tap in pool.taps)


def _shape(x, *, pool):
    return x.update(shape=(x.shape[0], *pool.output, x.shape[3]), weak_type=False)


def _gradient_shape(dy, *, pool):
    return dy.update(shape=(dy.shape[0], *pool.image, dy.shape[3]), weak_type=False)


sum_p = define("window_sum", _shape, plain_sum, _on_cpu, static="pool")
gradient_p = define("window_sum_gradient", _gradient_shape, _plain_gradient, _gradient_on_cpu, static="pool")
batch_images(sum_p)
batch_images(gradient_p)
linear(sum_p, lambda dy, x, *, pool: gradient_p.bind(dy, pool=pool))
linear(gradient_p, lambda dx, dy, *, pool: sum_p.bind(dx, pool=pool))
