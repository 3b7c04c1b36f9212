"""The parts of the Inception papers: convolution - batch norm - relu, and branches of them side by side.

A network is a table from the stage's name to what the stage is:

    (width, kernel, stride=1, padding)   one convolution; without a padding it keeps the size at stride 1 (kernel // 2
                                         on every side) and has none at stride 2 (marked V in the papers)
    MAX                                  3x3 max pooling at stride 2, no padding
    (branch, branch, ...)                branches from the same input, concatenated; a branch is a tuple of
                                         convolutions and poolings in turn, of AVERAGE, 3x3 at stride 1, or of
                                         tuples of convolutions that all see the same map and are concatenated

Names are those of TF-slim, from which the public weights come: Mixed_5b / Branch_1 / Conv2d_0b_5x5. The digit counts
the changes of the grid inside the branch, the letter the operations on that grid. TF-slim has a few slips (Mixed_5c
has Conv_1_0c_5x5, the 3x3 convolutions of Mixed_6a are called 1x1); here the rule has no exception.

The released networks keep 0.9997 of the running statistics and add 0.001 to the variance. With 0.9997 the running
statistics need some ten thousand steps: pass a norm with a smaller momentum for a short run.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.operators.activation import relu
from jaxcnn.operators.convolution import Conv
from jaxcnn.operators.normalization import BatchNorm
from jaxcnn.operators.pooling import average_pool, max_pool
from jaxcnn.operators.remat import rematerialised

RELEASED_NORM = functools.partial(BatchNorm, momentum=0.9997, epsilon=1e-3)

AVERAGE, MAX = "average", "max"


class ConvNorm(nn.Module):
    """A convolution without bias, batch normalisation, relu.

    Weights are He's with the fan-in, as in TF-slim's argument scope for these networks (it truncates, we do not).

    Attributes:
      features, kernel_size, stride, padding: as in `Conv`.
      norm: the normalisation, called with train.
      dtype: what it computes in.
    """

    features: int
    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] = 1
    padding: Any = 0
    norm: Callable = RELEASED_NORM
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:  # (n, h, w, c)
        options: dict[str, Any] = {
            "stride": self.stride,
            "padding": self.padding,
            "use_bias": False,
            "dtype": self.dtype,
        }
        x = Conv(self.features, self.kernel_size, name="conv", **options)(x)
        return relu(self.norm(name="norm")(x, train=train))


def read_layer(layer: Sequence[Any]) -> tuple[Any, Any, Any, Any]:
    """Completes a convolution of a table.

    Args:
      layer: (width, kernel), (width, kernel, stride) or (width, kernel, stride, padding).
    Returns:
      (width, (kh, kw), stride, padding).
    """
    defaults: tuple[Any, ...] = (1, None)
    width, kernel, stride, padding = (*layer, *defaults[len(layer) - 2 :])
    kernel = (kernel, kernel) if isinstance(kernel, int) else tuple(kernel)
    if padding is None:
        padding = tuple(k // 2 for k in kernel) if stride == 1 else 0
    return width, kernel, stride, padding


class Branch(nn.Module):
    """A chain of convolutions and poolings; see the file's docstring.

    Attributes:
      layers: the chain.
      count_padding: of the average pooling, as in `average_pool`.
      norm, dtype: as in `ConvNorm`.
    """

    layers: Sequence
    count_padding: bool
    norm: Callable
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:  # (n, h, w, c)
        grid, operation = 0, 0
        for layer in self.layers:
            if layer == AVERAGE:
                x = average_pool(x, window=3, stride=1, padding=1, count_padding=self.count_padding)
            elif layer == MAX:
                x = max_pool(x, window=3, stride=2, padding=0)
            elif isinstance(layer[0], int):
                if _changes_grid(layer):
                    grid, operation = grid + 1, 0
                x = self._conv(layer, grid, operation)(x, train=train)
            else:
                parts = [self._conv(part, grid, operation + i)(x, train=train) for i, part in enumerate(layer)]
                x = jnp.concatenate(parts, axis=-1)
            operation += 1
        return x

    def _conv(self, layer, grid, operation):
        width, kernel, stride, padding = read_layer(layer)
        name = f"Conv2d_{grid}{'abcdefg'[operation]}_{kernel[0]}x{kernel[1]}"
        return ConvNorm(width, kernel, stride, padding, norm=self.norm, dtype=self.dtype, name=name)


def _changes_grid(layer):
    _, kernel, stride, padding = read_layer(layer)
    return stride > 1 or (max(kernel) > 1 and padding == 0)


class Mixed(nn.Module):
    """Branches from one input, concatenated; where `residual`, their projection is scaled and added to the input.

    x + scale * W [branch_1(x), branch_2(x), ...]   (Szegedy et al. 2016, figure 20)

    W is a 1x1 convolution with a bias and without norm or relu; after the sum comes the relu.

    Attributes:
      branches: see the file's docstring.
      residual: whether there is the sum.
      scale: of the residual; a number or a traced scalar.
      activate: whether the relu comes after the sum.
      count_padding, norm, dtype: as in `Branch`.
    """

    branches: Sequence
    residual: bool = False
    scale: Any = 1.0
    activate: bool = True
    count_padding: bool = False
    norm: Callable = RELEASED_NORM
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool
    ) -> jax.Array:  # (n, h, w, c); train by position: nn.remat keeps only those static
        options: dict[str, Any] = {"count_padding": self.count_padding, "norm": self.norm, "dtype": self.dtype}
        parts = [
            Branch(layers, name=f"Branch_{i}", **options)(x, train=train) for i, layers in enumerate(self.branches)
        ]
        y = jnp.concatenate(parts, axis=-1)
        if not self.residual:
            return y
        y = Conv(x.shape[-1], 1, padding=0, dtype=self.dtype, name="Conv2d_1x1")(y)
        x = x + jnp.asarray(self.scale, y.dtype) * y
        return relu(x) if self.activate else x


def mixed(remat: bool) -> Callable[..., Any]:
    """Chooses the class of a block.

    Args:
      remat: whether its activations are computed again in the backward pass.
    Returns:
      `Mixed`, or the same under nn.remat with the same parameters.
    """
    return rematerialised(Mixed, remat)


def apply_stage(
    x: jax.Array,
    name: str,
    stage: Any,
    *,
    train: bool,
    remat: bool,
    norm: Callable[..., Any],
    dtype: Any,
    **options: Any,
) -> jax.Array:
    """Applies a stage of a table; to be called inside a compact method, whose module gets the parameters.

    Args:
      x: (n, h, w, c).
      name: of the stage and of its parameters.
      stage: see the file's docstring.
      train: whether it trains.
      remat: as in `mixed`.
      norm, dtype: as in `ConvNorm`.
      **options: further attributes of `Mixed`.
    Returns:
      (n, h', w', c').
    """
    if stage == MAX:
        return max_pool(x, window=3, stride=2, padding=0)
    if isinstance(stage[0], int):
        return ConvNorm(*read_layer(stage), norm=norm, dtype=dtype, name=name)(x, train=train)
    return mixed(remat)(stage, norm=norm, dtype=dtype, name=name, **options)(x, train)


def check_images(x: jax.Array, smallest: int, why: str) -> None:
    """Refuses images that a network has no grid for.

    Args:
      x: (n, h, w, c).
      smallest: the side that is needed.
      why: the subject of the message.
    Raises:
      ValueError: a side is smaller.
    """
    if min(x.shape[1:3]) < smallest:
        raise ValueError(f"{why} images of at least {smallest}x{smallest}, got {x.shape}")
