"""Pooling over images (n, h, w, c): three poolings over one function, and LeNet-5's trained sub-sampling."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.operators.window import check_fits, check_image, explicit_padding, pair


def _reduce(x, initial, reducer, window, stride, padding):
    check_image(x.shape)
    window = pair(window)
    stride = window if stride is None else pair(stride)
    padding = explicit_padding(padding, size=x.shape[1:3], window=window, stride=stride)
    check_fits(x.shape, window=window, padding=padding)
    if any(max(sides) >= size for sides, size in zip(padding, window, strict=True)):
        raise ValueError(f"padding {padding} would leave windows of {window} with nothing but padding")
    # an initial value that is not a plain scalar hides from lax which reducer this is, and with it the gradient
    return lax.reduce_window(x, initial, reducer, (1, *window, 1), (1, *stride, 1), ((0, 0), *padding, (0, 0)))


def max_pool(x, *, window, stride=None, padding=0):
    """Keeps the largest value of each window and channel; padding never wins.

    Args:
      x: (n, h, w, c), any float type.
      window: int or (vertical, horizontal).
      stride: int or (vertical, horizontal); None for the window's size.
      padding: as in `conv2d`, smaller than the window.
    Returns:
      (n, h', w', c), the dtype of x; h' = floor((h + top + bottom - window) / stride) + 1.
    Raises:
      ValueError: the window is larger than the padded image, or not larger than the padding.
    """
    return _reduce(x, -np.inf, lax.max, window, stride, padding)


def average_pool(x, *, window, stride=None, padding=0, count_padding=True):
    """Takes the mean of each window and channel.

    At a border, torch and Flax divide by the whole window (count_padding=True), TensorFlow by the pixels that exist
    (False): the corner of a 3x3 average with padding 1 over ones is .4444 or 1.0.

    Args:
      x: (n, h, w, c), any float type; the sum is taken in float32 at least.
      window: int or (vertical, horizontal).
      stride: int or (vertical, horizontal); None for the window's size.
      padding: as in `conv2d`, smaller than the window.
      count_padding: whether the padded zeros are part of the mean.
    Returns:
      (n, h', w', c), the dtype of x; h' = floor((h + top + bottom - window) / stride) + 1.
    Raises:
      ValueError: the window is larger than the padded image, or not larger than the padding.
    """
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    total = _reduce(wide, 0.0, lax.add, window, stride, padding)
    if count_padding:
        return (total / np.prod(pair(window))).astype(x.dtype)
    seen = _reduce(jnp.ones((1, *x.shape[1:3], 1), wide.dtype), 0.0, lax.add, window, stride, padding)
    return (total / seen).astype(x.dtype)


def global_average_pool(x):
    """Takes the mean of each channel over the whole image (Lin et al. 2013, arXiv:1312.4400).

    Args:
      x: (n, h, w, c), any float type; the mean is taken in float32 at least.
    Returns:
      (n, c), the dtype of x.
    Raises:
      ValueError: x does not have four axes.
    """
    check_image(x.shape)
    return jnp.mean(x, axis=(1, 2), dtype=jnp.promote_types(x.dtype, jnp.float32)).astype(x.dtype)


def sub_sampling(x, coefficient, bias, *, window=2):
    """Sums each window, multiplies by the map's coefficient, adds the map's bias (LeCun et al. 1998, section II.B).

    y[i, j, c] = coefficient[c] * sum_{u, v < window} x[i * window + u, j * window + v, c] + bias[c]

    The sum, not the mean: coefficient 1 / window**2 and bias 0 make it an average pooling. The squashing function
    that follows in the paper is not part of it.

    Args:
      x: (n, h, w, c), any float type; rows and columns that fill no window are dropped.
      coefficient, bias: (c,), the dtype of x.
      window: int or (vertical, horizontal), also the stride.
    Returns:
      (n, floor(h / window), floor(w / window), c), the dtype of x.
    Raises:
      ValueError: the window is larger than the image.
    """
    total = _reduce(x, 0.0, lax.add, window, None, 0)
    return total * coefficient.reshape(1, 1, 1, -1) + bias.reshape(1, 1, 1, -1)


class SubSampling(nn.Module):
    """`sub_sampling` with a trained `coefficient` (c,) and `bias` (c,), both float32; no nonlinearity inside.

    Attributes:
      window: int or (vertical, horizontal).
      coefficient_init: by default the average of a 2x2 window; called with the shape (c,).
      dtype: what it computes in; None promotes the dtypes of the input and the parameters.
    """

    window: int | Sequence[int] = 2
    coefficient_init: Callable = nn.initializers.constant(0.25)
    bias_init: Callable = nn.initializers.zeros_init()
    dtype: Any = None

    @nn.compact
    def __call__(self, x):
        coefficient = self.param("coefficient", self.coefficient_init, x.shape[-1:], jnp.float32)
        bias = self.param("bias", self.bias_init, x.shape[-1:], jnp.float32)
        x, coefficient, bias = nn.dtypes.promote_dtype(x, coefficient, bias, dtype=self.dtype)
        return sub_sampling(x, coefficient, bias, window=self.window)
