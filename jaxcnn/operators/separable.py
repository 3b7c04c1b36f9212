"""Convolutions in two steps: each channel alone and then across them, or along each axis in turn."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.operators.convolution import HE_FAN_IN, Conv, conv2d
from jaxcnn.operators.padding import Padding, check_image, pair


def depthwise_conv2d(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    exact: bool = False,
) -> jax.Array:
    """Convolves each channel by kernels of its own (Sifre 2014; Howard et al. 2017, arXiv:1704.04861).

    y[..., c * multiplier + m] = b[c * multiplier + m] + x[..., c] * k[:, :, c, m]   (* a two-dimensional correlation)

    It is `conv2d` with as many groups as channels, whose kernel (kh, kw, 1, c * multiplier) is this one reshaped.

    Args:
      x: (n, h, w, c), any float type.
      kernel: (kh, kw, c, multiplier), the dtype of x.
      bias: (c * multiplier,), the dtype of x, or None.
      stride, padding, dilation, exact: as in `conv2d`.
    Returns:
      (n, h', w', c * multiplier), the dtype of x.
    Raises:
      ValueError: the kernel has another number of channels than x, or as in `conv2d`.
    """
    check_image(x.shape)
    if kernel.ndim != 4 or kernel.shape[2] != x.shape[3]:
        raise ValueError(f"expected a kernel (h, w, {x.shape[3]}, multiplier) for input {x.shape}, got {kernel.shape}")
    kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "exact": exact}
    return conv2d(x, kernel, bias, groups=x.shape[3], **options)


class DepthwiseConv(nn.Module):
    """`depthwise_conv2d` with a trained `kernel` (kh, kw, c, multiplier) and `bias` (c * multiplier,), both float32.

    Attributes:
      kernel_size, stride, padding, dilation, exact: as in `Conv`.
      multiplier: number of output channels for each input channel.
      kernel_init: called with (kh, kw, 1, c * multiplier), so the fan-in is kh * kw.
      dtype: as in `Conv`.
    """

    kernel_size: int | Sequence[int]
    multiplier: int = 1
    stride: int | Sequence[int] = 1
    padding: Any = "SAME_TORCH"
    dilation: int | Sequence[int] = 1
    use_bias: bool = True
    kernel_init: Callable = HE_FAN_IN
    bias_init: Callable = nn.initializers.zeros_init()
    dtype: Any = None
    exact: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        window, channels = pair(self.kernel_size), x.shape[-1]

        def init(key, dtype):
            kernel = self.kernel_init(key, (*window, 1, channels * self.multiplier), dtype)
            return kernel.reshape(*window, channels, self.multiplier)

        kernel = self.param("kernel", init, jnp.float32)
        bias = self.param("bias", self.bias_init, (channels * self.multiplier,), jnp.float32) if self.use_bias else None
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        options = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "exact": self.exact}
        return depthwise_conv2d(x, kernel, bias, **options)


class SeparableConv(nn.Module):
    """A `depthwise` convolution without bias, then a `pointwise` (1x1) one (Chollet 2016, arXiv:1610.02357).

    It has kh * kw * c * multiplier + c * multiplier * features weights where a full one has kh * kw * c * features.
    Between the two there is nothing, as in Xception (section 4.7); MobileNet puts `between` there.

    Attributes:
      features: number of output channels.
      kernel_size, stride, padding, dilation, multiplier, exact: of the depthwise one, as in `DepthwiseConv`.
      between: a function of the array between the two, or None.
      kernel_init, bias_init, dtype: as in `Conv`.
    """

    features: int
    kernel_size: int | Sequence[int]
    multiplier: int = 1
    stride: int | Sequence[int] = 1
    padding: Any = "SAME_TORCH"
    dilation: int | Sequence[int] = 1
    between: Callable | None = None
    use_bias: bool = True
    kernel_init: Callable = HE_FAN_IN
    bias_init: Callable = nn.initializers.zeros_init()
    dtype: Any = None
    exact: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        options: dict[str, Any] = {"kernel_init": self.kernel_init, "bias_init": self.bias_init, "dtype": self.dtype}
        x = DepthwiseConv(
            self.kernel_size,
            self.multiplier,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            exact=self.exact,
            use_bias=False,
            name="depthwise",
            **options,
        )(x)
        if self.between is not None:
            x = self.between(x)
        return Conv(self.features, 1, use_bias=self.use_bias, name="pointwise", **options)(x)


class FactorizedConv(nn.Module):
    """An NxN convolution as a 1xN and an Nx1 one (Szegedy et al. 2015, arXiv:1512.00567, section 3.2).

    It has 2 / N of the weights where all widths are equal, and is an NxN convolution of rank one where nothing is
    between. The two are `horizontal` (1xN) and `vertical` (Nx1); each strides and pads along its own axis.

    Attributes:
      features: number of output channels.
      kernel_size: N.
      middle: channels between the two; None for features.
      vertical_first: Nx1 and then 1xN; the paper's figures have both orders.
      stride: int or (vertical, horizontal).
      padding: along the axis of each: int or (before, after); None for N // 2.
      between: a function of the array between the two (the paper: batch norm and relu), or None.
      kernel_init, bias_init, dtype, exact: as in `Conv`.
    """

    features: int
    kernel_size: int
    middle: int | None = None
    vertical_first: bool = False
    stride: int | Sequence[int] = 1
    padding: Any = None
    between: Callable | None = None
    use_bias: bool = True
    kernel_init: Callable = HE_FAN_IN
    bias_init: Callable = nn.initializers.zeros_init()
    dtype: Any = None
    exact: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        size, (down, right) = self.kernel_size, pair(self.stride)
        padding = size // 2 if self.padding is None else self.padding
        axes: dict[str, Any] = {
            "horizontal": {"kernel_size": (1, size), "stride": (1, right), "padding": (0, padding)},
            "vertical": {"kernel_size": (size, 1), "stride": (down, 1), "padding": (padding, 0)},
        }
        options = {"kernel_init": self.kernel_init, "bias_init": self.bias_init, "dtype": self.dtype}
        options |= {"use_bias": self.use_bias, "exact": self.exact}
        first, second = ("vertical", "horizontal") if self.vertical_first else ("horizontal", "vertical")
        x = Conv(self.middle or self.features, name=first, **axes[first], **options)(x)
        if self.between is not None:
            x = self.between(x)
        return Conv(self.features, name=second, **axes[second], **options)(x)
