"""Convolution over images (n, h, w, c) with kernels (h, w, c_in, c_out)."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.operators.lowering.convolution import convolve
from jaxcnn.operators.padding import Padding, check_exact, check_fits, check_image, explicit_padding, pair

# He et al. 2015 (arXiv:1502.01852): N(0, 2 / n), not truncated. n = h * w * c_in keeps the variance of the
# activations (eq. 10), n = h * w * c_out that of the gradients (eq. 14); the paper finds either sufficient.
HE_FAN_IN = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
HE_FAN_OUT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


def conv2d(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    exact: bool = False,
) -> jax.Array:
    """Slides a kernel over an image (a cross-correlation, as every network paper means it).

    y[i, j, o] = b[o] + sum_{u, v, c} x[i * stride + u * dilation, j * stride + v * dilation, c] * kernel[u, v, c, o]

    x here is the padded image. With groups g, the output channels of the i-th of g equal parts see only the i-th part
    of the input channels. Padding is explicit: an int, (vertical, horizontal), ((top, bottom), (left, right)), or a
    convention by name: "VALID" none, "SAME" TensorFlow's (an odd total pads one more at the end), "SAME_TORCH"
    dilation * (kernel // 2) on both sides. The two differ at stride 2: see `window.explicit_padding`.

    Args:
      x: (n, h, w, c_in), any float type.
      kernel: (kh, kw, c_in / groups, c_out), the dtype of x.
      bias: (c_out,), the dtype of x, or None.
      stride, dilation: int or (vertical, horizontal).
      padding: as above.
      groups: int, a divisor of c_in and c_out.
      exact: refuses a stride that would leave out the last rows or columns, see `geometry.output_size`.
    Returns:
      (n, h', w', c_out), the dtype of x; h' = floor((h + top + bottom - dilation * (kh - 1) - 1) / stride) + 1.
    Raises:
      ValueError: the channels do not match, the kernel is larger than the padded image, a padding is unknown, or
        exact and the stride does not divide; the message has the nearest padding that fits.
      TypeError: x and kernel differ in dtype.
    """
    check_channels(x.shape, kernel.shape, None if bias is None else bias.shape, groups=groups)
    if x.dtype != kernel.dtype:
        raise TypeError(f"x is {x.dtype} and kernel {kernel.dtype}: convert one of them")
    stride, dilation = pair(stride), pair(dilation)
    window = kernel.shape[:2]
    padding = explicit_padding(padding, size=x.shape[1:3], window=window, stride=stride, dilation=dilation)
    check_fits(x.shape, window=window, padding=padding, dilation=dilation)
    if exact:
        check_exact(x.shape, window=window, stride=stride, padding=padding, dilation=dilation)
    y = convolve(x, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return y if bias is None else y + bias.reshape(1, 1, 1, -1)


def check_channels(
    x_shape: Sequence[int], kernel_shape: Sequence[int], bias_shape: Sequence[int] | None, *, groups: int
) -> None:
    """Refuses shapes of image, kernel and bias that do not belong together.

    Args:
      x_shape: (n, h, w, c_in).
      kernel_shape: (kh, kw, c_in / groups, c_out).
      bias_shape: (c_out,) or None.
      groups: int.
    Raises:
      ValueError: they do not match.
    """
    check_image(x_shape)
    if len(kernel_shape) != 4:
        raise ValueError(f"expected a kernel (h, w, c_in, c_out), got shape {kernel_shape}")
    if x_shape[3] != kernel_shape[2] * groups or kernel_shape[3] % groups:
        raise ValueError(
            f"channels do not match: input {x_shape}, kernel {kernel_shape}, groups {groups}; the kernel needs "
            f"c_in = {x_shape[3]} / {groups} and c_out a multiple of {groups}"
        )
    if bias_shape is not None and bias_shape != kernel_shape[3:]:
        raise ValueError(f"bias {bias_shape} does not match the {kernel_shape[3]} output channels of {kernel_shape}")


def partially_connected_conv2d(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    table: Sequence[Sequence[int]],
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
) -> jax.Array:
    """Convolves with only some of the connections between input and output maps (LeCun et al. 1998, table I).

    y[..., o] = b[o] + sum_{c in table[o]} x[..., c] * k[c, o]   (* a two-dimensional correlation)

    The kernels of the existing connections are scattered into a dense kernel for one convolution; absent ones are
    zero there and have no parameter.

    Args:
      x: (n, h, w, c_in), any float type.
      kernel: (kh, kw, connections), the dtype of x: output map by output map, in the order of its row of the table.
      bias: (c_out,), the dtype of x, or None.
      table: sequence of c_out sequences of int: the input maps that each output map sees.
      stride, padding: as in `conv2d`.
    Returns:
      (n, h', w', c_out), the dtype of x.
    Raises:
      ValueError: the table names an input map twice or one that is not there, or its length is not that of the kernel.
    """
    inputs, _ = _connections(table, x.shape[-1])
    if kernel.ndim != 3 or kernel.shape[2] != len(inputs):
        raise ValueError(f"the table has {len(inputs)} connections, the kernel is {kernel.shape}, not (h, w, that)")
    if bias is not None and bias.shape != (len(table),):
        raise ValueError(f"bias {bias.shape} does not match the {len(table)} output maps of the table")
    stride = pair(stride)
    padding = explicit_padding(padding, size=x.shape[1:3], window=kernel.shape[:2], stride=stride)
    y = _connected(x, kernel, tuple(map(tuple, table)), stride, padding)
    return y if bias is None else y + bias.reshape(1, 1, 1, -1)


def _scattered(x, kernel, table, stride, padding):
    inputs, outputs = _connections(table, x.shape[-1])
    dense = jnp.zeros((*kernel.shape[:2], x.shape[-1], len(table)), kernel.dtype)
    return conv2d(x, dense.at[:, :, inputs, outputs].set(kernel), stride=stride, padding=padding)


# One call by name in the jaxpr, which accounting reads by its arguments: a kernel of so many connections.
_scattered.__name__ = "partially_connected_conv2d"
_connected = jax.jit(_scattered, static_argnums=(2, 3, 4))


def _connections(table, channels):
    for row in table:
        if len(row) == 0 or len(set(row)) != len(row) or not all(0 <= i < channels for i in row):
            raise ValueError(f"each row of the table needs distinct input maps from 0 to {channels - 1}, got {row}")
    inputs = np.concatenate([np.asarray(row, np.int32) for row in table])
    outputs = np.repeat(np.arange(len(table), dtype=np.int32), [len(row) for row in table])
    return inputs, outputs


class Conv(nn.Module):
    """`conv2d` with a trained `kernel` (kh, kw, c_in / groups, features) and `bias` (features,), both float32.

    Attributes:
      features: number of output channels.
      kernel_size, stride, dilation: int or (vertical, horizontal).
      padding, exact: as in `conv2d`; by default kernel_size // 2 on every side, and rows or columns may be left out.
      kernel_init: He with the fan-in; HE_FAN_OUT is the other convention.
      dtype: what it computes in; None promotes the dtypes of the input and the parameters.
    """

    features: int
    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] = 1
    padding: Any = "SAME_TORCH"
    dilation: int | Sequence[int] = 1
    groups: int = 1
    use_bias: bool = True
    kernel_init: Callable = HE_FAN_IN
    bias_init: Callable = nn.initializers.zeros_init()
    dtype: Any = None
    exact: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (*pair(self.kernel_size), x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        bias = self.param("bias", self.bias_init, (self.features,), jnp.float32) if self.use_bias else None
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        return conv2d(
            x,
            kernel,
            bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            exact=self.exact,
        )


class PartialConv(nn.Module):
    """`partially_connected_conv2d` with trained `kernel` (kh, kw, connections) and `bias` (len(table),), float32.

    Attributes:
      table: the input maps that each output map sees.
      kernel_size, stride, padding: as in `Conv`.
      kernel_init: called with (kh, kw, inputs, maps) for the maps that see so many, so the fan-in is theirs.
      dtype: as in `Conv`.
    """

    table: Sequence[Sequence[int]]
    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] = 1
    padding: Any = 0
    kernel_init: Callable = HE_FAN_IN
    bias_init: Callable = nn.initializers.zeros_init()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        window = pair(self.kernel_size)

        def init(key, dtype):
            maps: list[Any] = [None] * len(self.table)
            for number in sorted({len(row) for row in self.table}):
                alike = [o for o, row in enumerate(self.table) if len(row) == number]
                shape = (*window, number, len(alike))
                kernels = self.kernel_init(jax.random.fold_in(key, number), shape, dtype)
                for i, o in enumerate(alike):
                    maps[o] = kernels[..., i]
            return jnp.concatenate(maps, axis=-1)

        kernel = self.param("kernel", init, jnp.float32)
        bias = self.param("bias", self.bias_init, (len(self.table),), jnp.float32)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        return partially_connected_conv2d(x, kernel, bias, table=self.table, stride=self.stride, padding=self.padding)
