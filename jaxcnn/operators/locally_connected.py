"""A convolution that shares no weights: each position has a kernel of its own."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.operators.convolution import HE_FAN_IN
from jaxcnn.operators.geometry import output_size
from jaxcnn.operators.im2col import im2col
from jaxcnn.operators.padding import Padding, check_fits, check_image, explicit_padding, pair


def locally_connected_conv2d(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    exact: bool = False,
) -> jax.Array:
    """Connects each output to its window of the image by weights of its own (LeCun 1989; Taigman et al. 2014).

    y[i, j, o] = b_ij[o] + sum_{u, v, c} x[i * stride + u * dilation, j * stride + v * dilation, c] * k_ij[u, v, c, o]

    Args:
      x: (n, h, w, c_in), any float type.
      kernel: (h', w', kh, kw, c_in, c_out), the dtype of x.
      bias: (h', w', c_out), as unshared as the kernel, the dtype of x, or None.
      stride, padding, dilation, exact: as in `conv2d`.
    Returns:
      (n, h', w', c_out), the dtype of x.
    Raises:
      ValueError: the kernel or the bias is not that of the positions and channels, or as in `conv2d`.
    """
    check_image(x.shape)
    if kernel.ndim != 6:
        raise ValueError(f"expected a kernel (h', w', h, w, c_in, c_out), got shape {kernel.shape}")
    options = {"stride": stride, "padding": padding, "dilation": dilation, "exact": exact}
    seen = im2col(x, kernel_size=kernel.shape[2:4], **options)
    if kernel.shape[:2] != seen.shape[1:3] or kernel.shape[4] != x.shape[3]:
        raise ValueError(f"input {x.shape} has {seen.shape[1:3]} windows of {x.shape[3]} channels, not {kernel.shape}")
    matrices = kernel.reshape(*kernel.shape[:2], -1, kernel.shape[-1])
    if bias is not None and bias.shape != (*kernel.shape[:2], kernel.shape[5]):
        raise ValueError(f"bias {bias.shape} does not match the kernel {kernel.shape}: it has one for each output")
    y = jnp.einsum("nijk,ijko->nijo", seen, matrices)
    return y if bias is None else y + bias[None]


class LocallyConnected(nn.Module):
    """`locally_connected_conv2d` with trained `kernel` (h', w', kh, kw, c_in, features) and `bias` (h', w', features).

    Both are float32 and belong to one size of image.

    Attributes:
      features, kernel_size, stride, padding, dilation, exact: as in `Conv`.
      kernel_init: called with (kh, kw, c_in, h' * w' * features), so the fan-in is kh * kw * c_in.
      dtype: as in `Conv`.
    """

    features: int
    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] = 1
    padding: Any = 0
    dilation: int | Sequence[int] = 1
    use_bias: bool = True
    kernel_init: Callable = HE_FAN_IN
    bias_init: Callable = nn.initializers.zeros_init()
    dtype: Any = None
    exact: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        window, rows, columns = pair(self.kernel_size), *self._positions(x)

        def init(key, dtype):
            kernel = self.kernel_init(key, (*window, x.shape[-1], rows * columns * self.features), dtype)
            kernel = kernel.reshape(*window, x.shape[-1], rows, columns, self.features)
            return kernel.transpose(3, 4, 0, 1, 2, 5)

        kernel = self.param("kernel", init, jnp.float32)
        bias = (
            self.param("bias", self.bias_init, (rows, columns, self.features), jnp.float32) if self.use_bias else None
        )
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        options = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "exact": self.exact}
        return locally_connected_conv2d(x, kernel, bias, **options)

    def _positions(self, x):
        check_image(x.shape)
        window, stride, dilation = pair(self.kernel_size), pair(self.stride), pair(self.dilation)
        padding = explicit_padding(self.padding, size=x.shape[1:3], window=window, stride=stride, dilation=dilation)
        check_fits(x.shape, window=window, padding=padding, dilation=dilation)
        axes = zip(x.shape[1:3], window, stride, padding, dilation, strict=True)
        return [output_size(s, kernel=k, stride=t, padding=p, dilation=d) for s, k, t, p, d in axes]
