"""The sum of each channel and its neighbours, as a JAX primitive: local response normalisation is made of it.

    channel_sum  y_c = sum over |j - c| <= reach of x_j; linear, and its own transpose

On CPU it is XLA's reduce_window, which is computed once. Shifted slices XLA computes anew in each of their readers:
behind a max pooling the gradient of the normalisation was computed 45 times a pixel.
"""

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.operators.lowering.primitive import batch_images, define, linear
from jaxcnn.operators.lowering.window import total


def sum_of_channels(x: jax.Array, *, reach: int) -> jax.Array:
    """The sum of each channel and those near it.

    Args:
      x: (n, h, w, c), any float type, in which the sum is taken; the normalisation gives float32.
      reach: how many channels on each side, as far as there are.
    Returns:
      (n, h, w, c), the dtype of x.
    """
    return channels_p.bind(x, reach=reach)


def _slices(x, *, reach):
    padded = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (reach, reach)))
    return total(lax.slice_in_dim(padded, j, j + x.shape[3], axis=3) for j in range(2 * reach + 1))


def _window(x, *, reach):
    window, ones, padding = (1, 1, 1, 2 * reach + 1), (1, 1, 1, 1), ((0, 0), (0, 0), (0, 0), (reach, reach))
    return lax.reduce_window(x, 0.0, lax.add, window, ones, padding)


def _shape(x, *, reach):
    return x.update(weak_type=False)


channels_p = define("channel_sum", _shape, _slices, _window, static="reach")
batch_images(channels_p)
linear(channels_p, lambda dy, x, *, reach: channels_p.bind(dy, reach=reach))
