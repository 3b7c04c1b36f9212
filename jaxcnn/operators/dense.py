"""Full connections: every output sees every input.

The module is Flax's own `Dense`: parameters `kernel` (inputs, features) and `bias` (features,) in float32, a dtype to
compute in, an initialiser. One of ours would have the same names and the same numbers and be a second thing to know.
It maps the last axis; behind a convolution flatten first: x.reshape(n, -1).
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen import Dense

from jaxcnn.operators.activation import maxout
from jaxcnn.operators.convolution import HE_FAN_IN, conv2d

# For the layer before a softmax: logits near zero, so that the loss starts at ln K (Krizhevsky et al. 2012, section 5;
# Goyal et al. 2017, arXiv:1706.02677, section 5.1, for ResNets).
HEAD_INIT = nn.initializers.normal(0.01)

__all__ = ["HEAD_INIT", "Dense", "Maxout", "SlidingDense", "dense"]


def dense(x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None) -> jax.Array:
    """y = x W + b along the last axis.

    Args:
      x: (..., inputs), any float type.
      kernel: (inputs, outputs), the dtype of x.
      bias: (outputs,), the dtype of x, or None.
    Returns:
      (..., outputs), the dtype of x.
    Raises:
      ValueError: the shapes do not match.
    """
    if kernel.ndim != 2 or kernel.shape[0] != x.shape[-1] or (bias is not None and bias.shape != kernel.shape[1:]):
        shapes = f"input {x.shape}, kernel {kernel.shape}" + ("" if bias is None else f", bias {bias.shape}")
        raise ValueError(f"expected (..., inputs), (inputs, outputs) and (outputs,), got {shapes}")
    y = jnp.matmul(x, kernel)
    return y if bias is None else y + bias.reshape((1,) * (x.ndim - 1) + (-1,))


class SlidingDense(nn.Module):
    """A full connection to a window of a map, slid over the whole map as a convolution.

    Its parameters are those of the `Dense` layer that sees one flattened window: `kernel` (window * window * c,
    features), its rows by (row, column, channel), and `bias` (features,), both float32.

    Attributes:
      features: number of outputs at each position.
      window: side of the window.
      kernel_init, bias_init, dtype: as in `Conv`.
    """

    features: int
    window: int
    kernel_init: Callable = HE_FAN_IN
    bias_init: Callable = nn.initializers.zeros_init()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:  # (n, h, w, c)
        window = (self.window, self.window, x.shape[-1])
        rows = self.window * self.window * x.shape[-1]
        kernel = self.param("kernel", self.kernel_init, (rows, self.features), jnp.float32)
        bias = self.param("bias", self.bias_init, (self.features,), jnp.float32)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        return conv2d(x, kernel.reshape(*window, self.features), bias)  # (n, h - window + 1, ..., features)


class Maxout(nn.Module):
    """`maxout` of a full connection with trained `kernel` (inputs, features * pieces) and `bias`, both float32.

    A convolutional maxout is `maxout` of `Conv(features * pieces, ...)`.

    Attributes:
      features: number of outputs.
      pieces: linear functions of which each output is the largest.
      kernel_init: as in `Conv`.
      dtype: what it computes in; None promotes the dtypes of the input and the parameters.
    """

    features: int
    pieces: int
    kernel_init: Callable = HE_FAN_IN
    bias_init: Callable = nn.initializers.zeros_init()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        outputs = self.features * self.pieces
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], outputs), jnp.float32)
        bias = self.param("bias", self.bias_init, (outputs,), jnp.float32)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        return maxout(dense(x, kernel, bias), pieces=self.pieces)
