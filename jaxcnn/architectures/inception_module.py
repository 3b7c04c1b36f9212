"""The inception module and the auxiliary head of GoogLeNet (Szegedy et al. 2014, arXiv:1409.4842, figures 2 and 3)."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.operators.activation import relu
from jaxcnn.operators.convolution import HE_FAN_IN, Conv
from jaxcnn.operators.dense import HEAD_INIT
from jaxcnn.operators.pooling import average_pool, max_pool
from jaxcnn.operators.pyramid import spatial_pyramid_pool
from jaxcnn.operators.regularization import Dropout


def convolution(
    x: jax.Array,
    width: int,
    size: int,
    *,
    name: str,
    norm: Callable[..., Any] | None,
    dtype: Any,
    train: bool,
    stride: int = 1,
) -> jax.Array:
    """Convolution, batch norm where there is one (then no bias), relu: (n, h, w, c) to (n, h / stride, ..., width)."""
    options: dict[str, Any] = {"use_bias": norm is None, "kernel_init": HE_FAN_IN, "dtype": dtype, "name": name}
    x = Conv(width, size, stride=stride, padding=size // 2, **options)(x)
    return relu(x if norm is None else norm(name=f"{name}_norm")(x, train=train))


class Inception(nn.Module):
    """Four branches of one input, their channels joined: 1x1, 3x3, 5x5 and a pooling (figure 2).

    Attributes:
      widths: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj, a row of table 1. 0 leaves out a reduction, or the
        projection of the pooled input.
      third_kernel: side of the kernel `5x5`.
      norm: after each convolution, called with train; None for biases.
      dtype: what the layers compute in.
      factorized: two 3x3 in the place of the 5x5 (Szegedy et al. 2015, arXiv:1512.00567, section 3.1).
      residual: the branches, joined by a linear 1x1, are added to the input (Szegedy et al. 2016, arXiv:1602.07261), or
        to a linear 1x1 of it where the widths differ.
    """

    widths: tuple[int, int, int, int, int, int]
    third_kernel: int = 5
    norm: Callable | None = None
    dtype: Any = jnp.float32
    factorized: bool = False
    residual: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:  # (n, h, w, c)
        conv = functools.partial(convolution, norm=self.norm, dtype=self.dtype, train=train)
        one, three_reduce, three, five_reduce, five, projection = self.widths
        branches = [conv(x, one, 1, name="1x1")]
        for name, size, reduce, width in (
            ("3x3", 3, three_reduce, three),
            ("5x5", self.third_kernel, five_reduce, five),
        ):
            y = conv(x, reduce, 1, name=f"{name}_reduce") if reduce else x
            if name == "5x5" and self.factorized:
                y, size = conv(y, width, 3, name="5x5_first"), 3
            branches.append(conv(y, width, size, name=name))
        pooled = max_pool(x, window=3, stride=1, padding=1)
        branches.append(conv(pooled, projection, 1, name="pool_proj") if projection else pooled)
        joined = jnp.concatenate(branches, axis=-1)  # (n, h, w, one + three + five + projection or c)
        return self._add(x, joined) if self.residual else joined

    def _add(self, x, joined):
        width = joined.shape[-1]
        options: dict[str, Any] = {"kernel_init": HE_FAN_IN, "dtype": self.dtype}
        shortcut = x if x.shape[-1] == width else Conv(width, 1, name="shortcut", **options)(x)
        return relu(shortcut + Conv(width, 1, name="join", **options)(joined))


class AuxiliaryHead(nn.Module):
    """Logits from the middle of the network, (n, num_classes) float32 (section 5, figure 3).

    Attributes:
      num_classes: any number.
      grid: averages a grid of so many bins a side, whatever the image; 0 for the paper's windows, 5x5 at stride 3. The
        parameters of `fc` then belong to one size of image: 4x4 windows at 224.
      dropout_rate: before `linear`.
      norm, dtype: as in `Inception`.
    """

    num_classes: int
    grid: int
    dropout_rate: Any
    norm: Callable | None
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:  # (n, 14, 14, c)
        n, grid = x.shape[0], self.grid
        if grid:
            x = spatial_pyramid_pool(x, levels=(grid,), pool="average").reshape(n, grid, grid, -1)
        else:
            x = average_pool(x, window=5, stride=3)
        x = convolution(x, 128, 1, name="conv", norm=self.norm, dtype=self.dtype, train=train)  # (n, 4, 4, 128)
        x = relu(nn.Dense(1024, kernel_init=HE_FAN_IN, dtype=self.dtype, name="fc")(x.reshape(n, -1)))
        x = Dropout(self.dropout_rate, name="dropout")(x, train=train)
        return nn.Dense(self.num_classes, kernel_init=HEAD_INIT, name="linear")(x.astype(jnp.float32))
