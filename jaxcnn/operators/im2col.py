"""Windows laid out as rows of a matrix, and convolution as one product over them (Chellapilla et al. 2006)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxcnn.operators.convolution import check_channels
from jaxcnn.operators.lowering.window import Window, tap_views
from jaxcnn.operators.padding import Padding, check_exact, check_fits, check_image, explicit_padding, pair


def windows(
    x: jax.Array,
    *,
    window: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...] = (1, 1),
    fill: float = 0,
) -> jax.Array:
    """Copies what each position of a window sees, pixel by pixel.

    Args:
      x: (n, h, w, c), any type.
      window, stride, dilation: (vertical, horizontal).
      padding: ((top, bottom), (left, right)).
      fill: the value of the padding.
    Returns:
      (n, h', w', window[0] * window[1], c), the dtype of x; the pixels of a window row by row.
    """
    views = tap_views(x, Window(x.shape[1:3], window, stride, padding, dilation), fill)
    return jnp.stack(views, axis=3)


def im2col(
    x: jax.Array,
    *,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    exact: bool = False,
) -> jax.Array:
    """Lays the window under each position of the kernel out as one row.

    y[i, j, (u * kw + v) * c_in + c] = x[i * stride + u * dilation, j * stride + v * dilation, c]

    x here is the padded image. AlexNet's first layer, 11x11 at stride 4 on 227x227x3, makes 3025 rows of 363 numbers
    out of an image: 7 times its size. The order is that of a kernel (kh, kw, c_in, c_out) reshaped to a matrix; torch's
    unfold has the channel first: c * kh * kw + u * kw + v.

    Args:
      x: (n, h, w, c_in), any type.
      kernel_size, stride, dilation: int or (vertical, horizontal).
      padding, exact: as in `conv2d`.
    Returns:
      (n, h', w', kh * kw * c_in), the dtype of x.
    Raises:
      ValueError: as in `conv2d`.
    """
    check_image(x.shape)
    window, stride, dilation = pair(kernel_size), pair(stride), pair(dilation)
    padding = explicit_padding(padding, size=x.shape[1:3], window=window, stride=stride, dilation=dilation)
    check_fits(x.shape, window=window, padding=padding, dilation=dilation)
    if exact:
        check_exact(x.shape, window=window, stride=stride, padding=padding, dilation=dilation)
    seen = windows(x, window=window, stride=stride, padding=padding, dilation=dilation)
    return seen.reshape(*seen.shape[:3], -1)


def conv2d_as_product(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    exact: bool = False,
) -> jax.Array:
    """`conv2d` as one matrix product of `im2col` and the kernel; the same numbers up to the order of the sums.

    Y = X W + b with X (n * h' * w', kh * kw * c_in) and W (kh * kw * c_in, c_out)

    Args:
      x: (n, h, w, c_in), any float type.
      kernel: (kh, kw, c_in, c_out), the dtype of x.
      bias: (c_out,), the dtype of x, or None.
      stride, padding, dilation, exact: as in `conv2d`; there are no groups.
    Returns:
      (n, h', w', c_out), the dtype of x.
    Raises:
      ValueError: as in `conv2d`.
    """
    check_channels(x.shape, kernel.shape, None if bias is None else bias.shape, groups=1)
    rows = im2col(x, kernel_size=kernel.shape[:2], stride=stride, padding=padding, dilation=dilation, exact=exact)
    y = jnp.matmul(rows.reshape(-1, rows.shape[-1]), kernel.reshape(-1, kernel.shape[-1]))
    y = y.reshape(*rows.shape[:3], -1)
    return y if bias is None else y + bias.reshape(1, 1, 1, -1)
