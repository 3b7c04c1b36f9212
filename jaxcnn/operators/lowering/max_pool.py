"""Max pooling as JAX primitives: which pixel won each window is kept, so that the gradient goes there directly.

    max_pool           y, tap of x: tap is the number of the winning pixel in its window, row by row
    max_pool_tangent   dy of dx, at the taps; linear
    max_pool_gradient  dx of dy, at the taps; the transpose of the tangent, and the other way round

On CPU everything is shifted slices: XLA's select-and-scatter is ten times slower there. Elsewhere the value and the
gradient are XLA's own, and the taps, which then nothing reads, are not computed.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.operators.lowering.primitive import batch_images, define, differentiable, linear
from jaxcnn.operators.lowering.window import Window, place_tap, tap_views, total


def max_of_windows(
    x: jax.Array, *, window: tuple[int, ...], stride: tuple[int, ...], padding: tuple[tuple[int, int], ...]
) -> jax.Array:
    """The largest value of each window; max_pool checks the arguments.

    Args:
      x: (n, h, w, c), any float type.
      window, stride: (vertical, horizontal).
      padding: ((top, bottom), (left, right)); a negative end cuts off.
    Returns:
      (n, oh, ow, c), the dtype of x.
    """
    return pool_p.bind(x, pool=Window(x.shape[1:3], window, stride, padding))[0]


def plain_value(x: jax.Array, *, pool: Window) -> jax.Array:
    """XLA's own max pooling."""
    window, stride, padding = (1, *pool.kernel, 1), (1, *pool.stride, 1), ((0, 0), *pool.padding, (0, 0))
    return lax.reduce_window(x, -np.inf, lax.max, window, stride, padding)


def _value_and_tap(x, *, pool):
    """The largest pixel, NaN before all others, and the number of the first tap that meets it."""
    if pool.stride == (1, 1):
        value, tap = _of_rows_then_columns(x, pool)
    else:
        # behind the barrier the slices are others to XLA, which would compute shared ones by themselves and keep them
        again = tap_views(lax.optimization_barrier(x), pool, -np.inf)
        value, tap = _largest(tap_views(x, pool, -np.inf), again, _tap_dtype(pool))
    return value, _kept(tap)


def _of_rows_then_columns(x, pool):
    """At stride 1 the largest of each row of the window first, kept by a barrier: a row serves as many windows."""
    (height, width), (vertical, horizontal), dtype = pool.kernel, pool.padding, _tap_dtype(pool)
    along = tap_views(x, Window(x.shape[1:3], (1, width), (1, 1), ((0, 0), horizontal)), -np.inf)
    best, column = map(lax.optimization_barrier, _largest(along, along, dtype))  # each its own: values alone need one
    down = Window(best.shape[1:3], (height, 1), (1, 1), (vertical, (0, 0)))
    rows = tap_views(best, down, -np.inf)
    value, row = _largest(rows, rows, dtype)
    tap = jnp.zeros_like(row)
    for number, own in enumerate(tap_views(column, down)):
        tap = jnp.where(row == number, own + jnp.array(number * width, dtype), tap)
    return value, tap


def _largest(pixels, again, dtype):
    """The largest of some arrays and the number of the first that has it; the second time they are read as `again`."""
    value = functools.reduce(lax.max, pixels)
    tap = jnp.full(value.shape, len(pixels) - 1, dtype)
    for number, pixel in reversed(list(enumerate(again[:-1]))):
        tap = jnp.where((pixel == value) | jnp.isnan(pixel), jnp.array(number, dtype), tap)
    return value, tap


def _kept(tap):
    """The taps themselves, as the maximum over each and a padded zero: XLA never computes a reduce_window again.

    Everything else it computes anew in each of its readers, and the gradient reads every tap. Under vmap that was wrong
    too: XLA (jaxlib 0.10.2) wrote the gradient over the image while the taps were still read from it, because behind
    the reshape it took them for two arrays.
    """
    n = tap.shape[0]
    window, ones, padding = (2, 1, 1, 1), (1, 1, 1, 1), ((n, 0), (0, 0), (0, 0), (0, 0))
    return lax.reduce_window(
        tap, jnp.zeros((), tap.dtype), lax.max, window, ones, padding, window_dilation=(n, 1, 1, 1)
    )


def _tap_dtype(pool):
    return jnp.uint8 if len(pool.taps) <= 256 else jnp.int32


def _tangent(x, tap, dx, *, pool):
    won = jnp.zeros(tap.shape, dx.dtype)
    for number, pixel in enumerate(tap_views(dx, pool)):
        won = jnp.where(tap == number, pixel, won)
    return won


def _gradient(x, tap, dy, *, pool):
    if pool.stride == (1, 1):
        return _gathered(tap, dy, pool)
    return total(place_tap(jnp.where(tap == number, dy, 0), at, pool) for number, at in enumerate(pool.taps))


def _gathered(tap, dy, pool):
    """At stride 1 each pixel asks the windows that hold it: placed tap by tap, XLA kept one image for each."""
    axes = zip(pool.kernel, pool.padding, pool.image, pool.output, strict=True)
    sides = [(taps - 1 - before, size + before - out) for taps, (before, _), size, out in axes]
    sides = ((0, 0, 0), *((before, after, 0) for before, after in sides), (0, 0, 0))
    tap, dy = lax.optimization_barrier([lax.pad(a, jnp.zeros((), a.dtype), sides) for a in (tap, dy)])
    turned = Window(dy.shape[1:3], pool.kernel, (1, 1), ((0, 0), (0, 0)))
    views = zip(tap_views(tap, turned), tap_views(dy, turned), strict=True)
    return total(jnp.where(own == number, near, 0) for number, (own, near) in enumerate(reversed(list(views))))


def _plain_gradient(x, tap, dy, *, pool):
    return jax.vjp(lambda x: plain_value(x, pool=pool), x)[1](dy)[0]


def _plain_value_and_tap(x, *, pool):
    return plain_value(x, pool=pool), _value_and_tap(x, pool=pool)[1]


def _pool_shapes(x, *, pool):
    value = x.update(shape=(x.shape[0], *pool.output, x.shape[3]), weak_type=False)
    return value, value.update(dtype=jnp.dtype(_tap_dtype(pool)))


def _tangent_shape(x, tap, dx, *, pool):
    return dx.update(shape=tap.shape, weak_type=False)


def _gradient_shape(x, tap, dy, *, pool):
    return dy.update(shape=x.shape, weak_type=False)


pool_p = define("max_pool", _pool_shapes, _plain_value_and_tap, _value_and_tap, static="pool", multiple_results=True)
tangent_p = define("max_pool_tangent", _tangent_shape, _tangent, _tangent, static="pool")
gradient_p = define("max_pool_gradient", _gradient_shape, _plain_gradient, _gradient, static="pool")

differentiable(pool_p, tangent_p.bind)
linear(tangent_p, lambda dy, x, tap, dx, *, pool: gradient_p.bind(x, tap, dy, pool=pool))
linear(gradient_p, lambda dx, x, tap, dy, *, pool: tangent_p.bind(x, tap, dx, pool=pool))

for _primitive in (pool_p, tangent_p, gradient_p):
    batch_images(_primitive)
