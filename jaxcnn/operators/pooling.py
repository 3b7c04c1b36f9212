"""Pooling over images (n, h, w, c): windows reduced to a number each, and LeNet-5's trained sub-sampling.

Overlapping pooling is a stride smaller than the window. The pooling that is learned, a convolution with a stride
(Springenberg et al. 2014, arXiv:1412.6806), is `Conv(channels, 3, stride=2)`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.operators.lowering.max_pool import max_of_windows
from jaxcnn.operators.lowering.sum_pool import sum_of_windows
from jaxcnn.operators.padding import Padding, ceil_padding, check_exact, check_fits, check_image, explicit_padding, pair
from jaxcnn.operators.precision import root, wide


def read_window(
    x_shape: Sequence[int],
    *,
    window: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: Padding,
    ceil: bool,
    exact: bool,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Reads the options that all poolings share.

    Args:
      x_shape: (n, h, w, c).
      window: int or (vertical, horizontal).
      stride: int or (vertical, horizontal); None for the window's size.
      padding: as in `conv2d`.
      ceil, exact: as in `max_pool`.
    Returns:
      window and stride (vertical, horizontal), the padding, and the padding under which the windows are those of
      ceil: the same one without it.
    Raises:
      ValueError: as in `max_pool`.
    """
    check_image(x_shape)
    window = pair(window)
    stride = window if stride is None else pair(stride)
    padding = explicit_padding(padding, size=x_shape[1:3], window=window, stride=stride)
    if any(max(sides) >= size for sides, size in zip(padding, window, strict=True)):
        raise ValueError(f"padding {padding} would leave windows of {window} with nothing but padding")
    if exact:
        check_exact(x_shape, window=window, stride=stride, padding=padding)
    if ceil:
        return window, stride, padding, ceil_padding(x_shape, window=window, stride=stride, padding=padding)
    check_fits(x_shape, window=window, padding=padding)
    return window, stride, padding, padding


def max_pool(
    x: jax.Array,
    *,
    window: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: Padding = 0,
    ceil: bool = False,
    exact: bool = False,
) -> jax.Array:
    """Keeps the largest value of each window and channel; padding never wins, and NaN does.

    y[i, j, c] = max_{u, v < window} x[i * stride + u, j * stride + v, c]

    A stride smaller than the window makes the windows overlap (AlexNet: window 3, stride 2). Where several are
    largest, the first of them, row by row, gets the whole gradient; the papers leave this open. The
    gradient of a window of nothing but -inf is not defined: `max_pool_with_switches` has one.

    Args:
      x: (n, h, w, c), any float type.
      window: int or (vertical, horizontal).
      stride: int or (vertical, horizontal); None for the window's size.
      padding: as in `conv2d`, smaller than the window.
      ceil: rounds the size up, as Caffe and GoogLeNet do (112-56-28-14-7); a window may then reach beyond the padded
        image and sees what is there, and one that would start behind the image is left out.
      exact: refuses a stride that would leave out the last rows or columns.
    Returns:
      (n, h', w', c), the dtype of x; h' = floor((h + top + bottom - window) / stride) + 1, see `output_size` for ceil.
    Raises:
      ValueError: the window is larger than the padded image, or not larger than the padding, or exact and the stride
        does not divide; the message has the nearest padding that fits.
    """
    options = {"window": window, "stride": stride, "padding": padding, "ceil": ceil, "exact": exact}
    window, stride, _, padding = read_window(x.shape, **options)
    return max_of_windows(x, window=window, stride=stride, padding=padding)


def average_pool(
    x: jax.Array,
    *,
    window: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: Padding = 0,
    count_padding: bool = True,
    ceil: bool = False,
    exact: bool = False,
) -> jax.Array:
    """Takes the mean of each window and channel.

    At a border, torch and Flax divide by the whole window (count_padding=True), TensorFlow by the pixels that exist
    (False): the corner of a 3x3 average with padding 1 over ones is .4444 or 1.0. What a window sees beyond the padded
    image, under ceil, is not part of the mean in either, as in Caffe and torch.

    Args:
      x: (n, h, w, c), any float type; the sum is taken in float32 at least.
      window: int or (vertical, horizontal).
      stride: int or (vertical, horizontal); None for the window's size.
      padding: as in `conv2d`, smaller than the window.
      count_padding: whether the padded zeros are part of the mean.
      ceil, exact: as in `max_pool`.
    Returns:
      (n, h', w', c), the dtype of x; the size is that of `max_pool`.
    Raises:
      ValueError: as in `max_pool`.
    """
    options = {"window": window, "stride": stride, "padding": padding, "ceil": ceil, "exact": exact}
    window, stride, padding, reach = read_window(x.shape, **options)
    total = sum_of_windows(wide(x), window=window, stride=stride, padding=reach)
    if count_padding and reach == padding:
        return (total / np.prod(window)).astype(x.dtype)
    ones = jnp.ones((1, *x.shape[1:3], 1), total.dtype)
    if count_padding:  # the padding is there to be counted, what ceil added behind it is not
        existing = tuple((before, min(after, end)) for (before, after), (_, end) in zip(padding, reach, strict=True))
        ones = jnp.pad(ones, ((0, 0), *existing, (0, 0)), constant_values=1)
        reach = tuple((0, end - after) for (_, after), (_, end) in zip(existing, reach, strict=True))
    return (total / sum_of_windows(ones, window=window, stride=stride, padding=reach)).astype(x.dtype)


def l2_pool(
    x: jax.Array,
    *,
    window: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: Padding = 0,
    average: bool = False,
    ceil: bool = False,
    exact: bool = False,
) -> jax.Array:
    """Takes the Euclidean norm of each window and channel (Hyvarinen and Hoyer 2001; Le et al. 2012).

    y[i, j, c] = sqrt(sum_{u, v < window} x[i * stride + u, j * stride + v, c]**2)

    The sum, as in the papers and in torch's LPPool; average=True divides it by window**2 under the root, padding
    included. The gradient of an all-zero window is 0.

    Args:
      x: (n, h, w, c), any float type; the sum is taken in float32 at least.
      window: int or (vertical, horizontal).
      stride: int or (vertical, horizontal); None for the window's size.
      padding: as in `conv2d`, smaller than the window.
      average: takes the root of the mean of the squares.
      ceil, exact: as in `max_pool`.
    Returns:
      (n, h', w', c), the dtype of x; the size is that of `max_pool`.
    Raises:
      ValueError: as in `max_pool`.
    """
    options = {"window": window, "stride": stride, "padding": padding, "ceil": ceil, "exact": exact}
    window, stride, _, padding = read_window(x.shape, **options)
    energy = sum_of_windows(jnp.square(wide(x)), window=window, stride=stride, padding=padding)
    return root(energy / np.prod(window) if average else energy).astype(x.dtype)


def l2_pool_features(x: jax.Array, *, group: int, average: bool = False) -> jax.Array:
    """Takes the Euclidean norm over groups of neighbour feature maps at each pixel (Kavukcuoglu et al. 2009).

    y_c = sqrt(sum_{j < group} x_{c * group + j}**2)

    The output does not change where the energy moves from one map of a group to another: the maps learn to be
    variants of one feature. The gradient of an all-zero group is 0.

    Args:
      x: (..., c * group), any float type; the sum is taken in float32 at least.
      group: number of maps in a group.
      average: takes the root of the mean of the squares.
    Returns:
      (..., c), the dtype of x.
    Raises:
      ValueError: group does not divide the channels.
    """
    if group < 1 or x.shape[-1] % group:
        raise ValueError(f"{x.shape[-1]} channels are no whole number of groups of {group}: input {x.shape}")
    energy = jnp.sum(jnp.square(wide(x)).reshape(*x.shape[:-1], -1, group), axis=-1)
    return root(energy / group if average else energy).astype(x.dtype)


def global_average_pool(x: jax.Array) -> jax.Array:
    """Takes the mean of each channel over the whole image (Lin et al. 2013, arXiv:1312.4400).

    Args:
      x: (n, h, w, c), any float type; the mean is taken in float32 at least.
    Returns:
      (n, c), the dtype of x.
    Raises:
      ValueError: x does not have four axes.
    """
    check_image(x.shape)
    return jnp.mean(wide(x), axis=(1, 2)).astype(x.dtype)


def global_max_pool(x: jax.Array) -> jax.Array:
    """Keeps the largest value of each channel over the whole image.

    Args:
      x: (n, h, w, c), any float type.
    Returns:
      (n, c), the dtype of x; the first of several that are largest gets the gradient, as in `max_pool`.
    Raises:
      ValueError: x does not have four axes.
    """
    check_image(x.shape)
    return max_pool(x, window=x.shape[1:3])[:, 0, 0]


def sub_sampling(
    x: jax.Array, coefficient: jax.Array, bias: jax.Array, *, window: int | Sequence[int] = 2
) -> jax.Array:
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
    window, stride, _, padding = read_window(x.shape, window=window, stride=None, padding=0, ceil=False, exact=False)
    total = sum_of_windows(x, window=window, stride=stride, padding=padding)
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
    def __call__(self, x: jax.Array) -> jax.Array:
        coefficient = self.param("coefficient", self.coefficient_init, x.shape[-1:], jnp.float32)
        bias = self.param("bias", self.bias_init, x.shape[-1:], jnp.float32)
        x, coefficient, bias = nn.dtypes.promote_dtype(x, coefficient, bias, dtype=self.dtype)
        return sub_sampling(x, coefficient, bias, window=self.window)
