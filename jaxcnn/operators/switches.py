"""Max pooling that remembers where each maximum was, and its way back (Zeiler and Fergus 2013, arXiv:1311.2901)."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.operators.im2col import windows
from jaxcnn.operators.padding import Padding, check_image
from jaxcnn.operators.pooling import read_window


def max_pool_with_switches(
    x: jax.Array,
    *,
    window: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: Padding = 0,
    ceil: bool = False,
    exact: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """`max_pool`, and the place of each maximum in the image it came from.

    switches[i, j, c] = row * w + column of the largest x[row, column, c] in the window; the first row by row if several
    are, and the first NaN if there is one. Each image has switches of its own.

    Args:
      x: (n, h, w, c), any float type.
      window, stride, padding, ceil, exact: as in `max_pool`.
    Returns:
      pooled (n, h', w', c), the dtype of x, whose gradient goes to the switches; switches (n, h', w', c), int32.
    Raises:
      ValueError: as in `max_pool`.
    """
    options = {"window": window, "stride": stride, "padding": padding, "ceil": ceil, "exact": exact}
    window, stride, _, padding = read_window(x.shape, **options)
    n, h, w, c = x.shape
    geometry: dict[str, Any] = {"window": window, "stride": stride, "padding": padding}
    seen = windows(x, fill=-np.inf, **geometry)  # (n, h', w', window, c)
    place = windows(jnp.arange(h * w, dtype=jnp.int32).reshape(1, h, w, 1), fill=-1, **geometry)
    largest = (seen == jnp.max(seen, axis=3, keepdims=True)) | jnp.isnan(seen)
    winner = jnp.argmax(largest & (place >= 0), axis=3, keepdims=True)
    place = jnp.broadcast_to(place, (n, *place.shape[1:4], c))
    switches = jnp.take_along_axis(place, winner, axis=3)[:, :, :, 0]
    pooled = jnp.take_along_axis(x.reshape(n, h * w, c), switches.reshape(n, -1, c), axis=1)
    return pooled.reshape(switches.shape), switches


def unpool(pooled: jax.Array, switches: jax.Array, *, shape: Sequence[int]) -> jax.Array:
    """Puts each value back to the place its switch names; every other place is zero.

    x[switches[i, j, c]] += pooled[i, j, c]

    Where windows overlap and share a maximum their values are added: this is the transpose of the pooling, so a
    deconvnet is its gradient up to the rectification. torch's max_unpool2d keeps one of them.

    Args:
      pooled: (n, h', w', c), any float type.
      switches: (n, h', w', c), int32, of `max_pool_with_switches`.
      shape: (n, h, w, c), of the image that was pooled, or (h, w).
    Returns:
      (n, h, w, c), the dtype of pooled.
    Raises:
      ValueError: pooled, switches and shape do not belong together.
    """
    check_image(pooled.shape)
    size = tuple(shape) if len(shape) == 2 else tuple(shape[1:3])
    expected = (pooled.shape[0], *size, pooled.shape[3])
    if pooled.shape != switches.shape or (len(shape) != 2 and tuple(shape) != expected):
        raise ValueError(f"pooled {pooled.shape}, switches {switches.shape} and shape {shape} do not belong together")
    n, h, w, c = expected
    image, channel = jnp.arange(n).reshape(n, 1, 1), jnp.arange(c).reshape(1, 1, c)
    flat = jnp.zeros((n, math.prod(size), c), pooled.dtype)
    flat = flat.at[image, switches.reshape(n, -1, c), channel].add(pooled.reshape(n, -1, c))
    return flat.reshape(n, h, w, c)
