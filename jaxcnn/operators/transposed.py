"""Transposed convolution: the way back through a convolution, from few pixels to many.

Zeiler, Krishnan, Taylor and Fergus 2010 ("Deconvolutional networks") call it deconvolution; Dumoulin and Visin 2016
(arXiv:1603.07285, chapter 4) have its arithmetic. It undoes the shapes of a convolution, not its values.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.operators.lowering.convolution import convolve_back
from jaxcnn.operators.padding import Padding, check_image, explicit_padding, pair


def conv2d_transpose(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    output_padding: int | Sequence[int] = 0,
) -> jax.Array:
    """Adds up a kernel at every stride-th pixel, weighted by the image: the gradient of `conv2d` in its image.

    y[i * stride + u * dilation - top, j * stride + v * dilation - left, o] += sum_c x[i, j, c] * kernel[u, v, o, c]

    All arguments are those of the convolution whose way back this is, so that with one kernel and one padding
    <conv2d(y, kernel), x> = <y, conv2d_transpose(x, kernel)>. The kernel is laid out as there, (h, w, here out, here
    in); so has TensorFlow it, and PyTorch (in, out, h, w).

    A convolution rounds its size down, so several sizes lead to one and the way back needs to know which:

        h' = (h - 1) * stride + dilation * (kh - 1) + 1 - top - bottom + output_padding

    is PyTorch's convention: output_padding, below the stride, adds rows at the end, which the kernel reaches or which
    are zero. With "SAME", TensorFlow's and Keras's, it is h' = h * stride, and output_padding has no place: 3x3 at
    stride 2 is padded by (0, 1). PyTorch's usual padding=1, output_padding=1 gives that size too, and an image shifted
    by a pixel. "VALID" is padding 0; Keras then adds rows of zeros where the kernel is smaller than the stride.

    A kernel whose side is no multiple of the stride reaches some pixels more often than others, which shows as a
    checkerboard (Odena et al. 2016); `resize_nearest` before a convolution has none.

    Args:
      x: (n, h, w, c_in), any float type.
      kernel: (kh, kw, c_out / groups, c_in), the dtype of x.
      bias: (c_out,), the dtype of x, or None.
      stride, dilation: int or (vertical, horizontal).
      padding: as in `conv2d`, cut off the result here.
      groups: int, a divisor of c_in: its i-th part makes the i-th part of the output channels.
      output_padding: int or (vertical, horizontal), from 0 and below the stride. (PyTorch allows it below the dilation
        too, where no convolution leads back.)
    Returns:
      (n, h', w', c_out), the dtype of x.
    Raises:
      ValueError: the shapes do not match, the padding leaves nothing or is unknown, or output_padding is out of range.
      TypeError: x and kernel differ in dtype.
    """
    _check_channels(x.shape, kernel.shape, None if bias is None else bias.shape, groups=groups)
    if x.dtype != kernel.dtype:
        raise TypeError(f"x is {x.dtype} and kernel {kernel.dtype}: convert one of them")
    stride, dilation, more, window = pair(stride), pair(dilation), pair(output_padding), kernel.shape[:2]
    if any(not 0 <= rows < step for rows, step in zip(more, stride, strict=True)):
        raise ValueError(f"output_padding is from 0 and below the stride {stride}, got {output_padding}")
    if padding == "SAME" and any(more):
        raise ValueError(f"padding 'SAME' fixes the size, h * stride: output_padding {output_padding} has no place")
    # "SAME" alone looks at the size of the image that it pads
    size = tuple(n * step for n, step in zip(x.shape[1:3], stride, strict=True))
    sides = explicit_padding(padding, size=size, window=window, stride=stride, dilation=dilation)
    if padding != "SAME":
        axes = zip(x.shape[1:3], stride, window, dilation, sides, more, strict=True)
        size = tuple((n - 1) * step + d * (k - 1) + 1 - sum(side) + m for n, step, k, d, side, m in axes)
    if min(size) < 1:
        raise ValueError(f"padding {padding!r} leaves {size} pixels: input {x.shape}, kernel {kernel.shape}")
    y = convolve_back(x, kernel, size=size, stride=stride, padding=sides, dilation=dilation, groups=groups)
    return y if bias is None else y + bias.reshape(1, 1, 1, -1)


def _check_channels(x_shape, kernel_shape, bias_shape, *, groups):
    check_image(x_shape)
    if len(kernel_shape) != 4:
        raise ValueError(f"expected a kernel (h, w, c_out, c_in), got shape {kernel_shape}")
    if x_shape[3] != kernel_shape[3] or kernel_shape[3] % groups:
        raise ValueError(
            f"channels do not match: input {x_shape}, kernel {kernel_shape}, groups {groups}; the kernel is (h, w, "
            f"c_out / groups, c_in) with c_in = {x_shape[3]}, a multiple of the groups"
        )
    channels = kernel_shape[2] * groups
    if bias_shape is not None and bias_shape != (channels,):
        raise ValueError(f"bias {bias_shape} does not match the {channels} output channels of {kernel_shape}")


class ConvTranspose(nn.Module):
    """`conv2d_transpose` with a trained `kernel` (kh, kw, features / groups, c_in) and `bias` (features,), float32.

    Attributes:
      features: number of output channels.
      kernel_size, stride, dilation: int or (vertical, horizontal).
      padding, output_padding: as in `conv2d_transpose`; by default the output has h * stride rows.
      kernel_init: None for He's N(0, 2 / n), n the pixels that an output sees: kh * kw * c_in over the stride on both
        axes and the groups. An initializer is called with the kernel's shape, whose last axis is the input here.
      dtype: as in `Conv`.
    """

    features: int
    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] = 1
    padding: Any = "SAME"
    output_padding: int | Sequence[int] = 0
    dilation: int | Sequence[int] = 1
    groups: int = 1
    use_bias: bool = True
    kernel_init: Callable | None = None
    bias_init: Callable = nn.initializers.zeros_init()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (*pair(self.kernel_size), self.features // self.groups, x.shape[-1])
        scale = 2.0 * prod(pair(self.stride)) * self.groups
        init = self.kernel_init or nn.initializers.variance_scaling(scale, "fan_out", "normal")
        kernel = self.param("kernel", init, shape, jnp.float32)
        bias = self.param("bias", self.bias_init, (self.features,), jnp.float32) if self.use_bias else None
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        return conv2d_transpose(
            x,
            kernel,
            bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            output_padding=self.output_padding,
        )
