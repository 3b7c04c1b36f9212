"""ResNets and plain nets for CIFAR-10 (He, Zhang, Ren and Sun 2015, arXiv:1512.03385, section 4.2).

    output map size   32x32    16x16   8x8
    layers            1 + 2n   2n      2n      depth 6n + 2, every kernel 3x3
    channels          16       32      64

A stage is n blocks of two convolutions; its first convolution halves the map, but not in the first stage. Each
convolution has no bias and is followed by batch normalisation. Global average pooling and a linear layer end the
network. Plain nets are the same without shortcuts, so they have the same parameters as ResNets with shortcut A.

The paper draws weights as in He et al. 2015 (arXiv:1502.01852), which leaves the fan open: here N(0, 2 / n) with
n = 3 * 3 * c_out, as in the authors' Torch release. The linear layer, of which it says
nothing, is N(0, 0.01**2) with a bias of zero, so that training starts at the loss of guessing.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.operators.activation import relu
from jaxcnn.operators.convolution import HE_FAN_OUT, Conv
from jaxcnn.operators.dense import HEAD_INIT
from jaxcnn.operators.normalization import BatchNorm
from jaxcnn.operators.pooling import global_average_pool
from jaxcnn.operators.remat import rematerialised

WIDTHS = (16, 32, 64)

VARIANTS: dict[str, dict[str, Any]] = {
    "resnet20": {"depth": 20, "residual": True},
    "resnet32": {"depth": 32, "residual": True},
    "resnet44": {"depth": 44, "residual": True},
    "resnet56": {"depth": 56, "residual": True},
    "resnet110": {"depth": 110, "residual": True},
    "resnet1202": {"depth": 1202, "residual": True},
    "plain20": {"depth": 20, "residual": False},
    "plain32": {"depth": 32, "residual": False},
    "plain44": {"depth": 44, "residual": False},
    "plain56": {"depth": 56, "residual": False},
    "plain110": {"depth": 110, "residual": False},
}

COUNTS = {  # parameters (0.27M ... 19.4M in table 6) and multiply-adds
    20: (269_722, 40_551_040),
    32: (464_154, 68_862_592),
    44: (658_586, 97_174_144),
    56: (853_018, 125_485_696),
    110: (1_727_962, 252_887_680),
    1202: (19_421_274, 2_829_238_912),
}

CLAIMS = {
    name: Claim(
        (32, 32, 3), *COUNTS[variant["depth"]], "He et al. 2015, table 6 (rounded); from its layers, shortcut A"
    )
    for name, variant in VARIANTS.items()
}

SHORTCUTS = ("A", "B", "C")


def identity_shortcut(x: jax.Array, *, width: int, stride: int) -> jax.Array:
    """Shortcut A: every stride-th pixel, and zeros for the channels that are new, half of them on either side.

    The paper does not say on which side the zeros are. There are no parameters and no multiply-adds.

    Args:
      x: (n, h, w, c), any float type.
      width: number of channels that come out, c or more.
      stride: int.
    Returns:
      (n, ceil(h / stride), ceil(w / stride), width), the dtype of x.
    """
    extra = width - x.shape[-1]
    return jnp.pad(x[:, ::stride, ::stride, :], ((0, 0), (0, 0), (0, 0), (extra // 2, extra - extra // 2)))


def shortcut_of(
    x: jax.Array, *, kind: str, width: int, stride: int, norm: Callable[..., Any], dtype: Any, train: bool
) -> jax.Array:
    """The shortcut around a block, for use inside the block's compact method.

    A is `identity_shortcut`. B projects by a 1x1 convolution and a norm where the block changes the shape, and is the
    identity elsewhere; C projects in every block.

    Args:
      x: (n, h, w, c), what the block reads.
      kind: "A", "B" or "C".
      width, stride: of the block as a whole.
      norm, dtype, train: as in the block.
    """
    changes = stride > 1 or x.shape[-1] != width
    if kind == "C" or (kind == "B" and changes):
        options: dict[str, Any] = {"use_bias": False, "kernel_init": HE_FAN_OUT, "dtype": dtype}
        x = Conv(width, 1, stride=stride, padding=0, name="shortcut", **options)(x)
        return norm(name="shortcut_norm")(x, train=train)
    return identity_shortcut(x, width=width, stride=stride) if changes else x


class Block(nn.Module):
    """Two 3x3 convolutions, and the shortcut around them where it is residual, see `shortcut_of`."""

    width: int
    stride: int
    residual: bool
    shortcut: str
    norm: Callable
    dtype: Any
    zero_init_last_norm: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:  # (n, h, w, c)
        options: dict[str, Any] = {"use_bias": False, "kernel_init": HE_FAN_OUT, "dtype": self.dtype}
        last = {"scale_init": nn.initializers.zeros_init()} if self.zero_init_last_norm else {}
        y = Conv(self.width, 3, stride=self.stride, padding=1, name="conv1", **options)(x)
        y = relu(self.norm(name="norm1")(y, train=train))
        y = Conv(self.width, 3, padding=1, name="conv2", **options)(y)
        y = self.norm(name="norm2", **last)(y, train=train)  # (n, h / stride, ..., width)
        if not self.residual:
            return relu(y)
        around = {"norm": self.norm, "dtype": self.dtype, "train": train}
        return relu(shortcut_of(x, kind=self.shortcut, width=self.width, stride=self.stride, **around) + y)


class ResNetCIFAR(nn.Module):
    """A ResNet or a plain net for small images; the paper's are 32x32x3.

    Attributes:
      depth: 6n + 2.
      residual: False for the plain net.
      shortcut: "A" (the paper's choice on CIFAR-10), "B" or "C", see `shortcut_of`.
      num_classes: any number.
      norm: the normalisation after each convolution, called with train.
      dtype: what the layers compute in; parameters, batch statistics, the linear layer and logits are float32.
      remat: computes the inside of each block again in the backward pass instead of keeping it.
    Raises:
      ValueError: the depth is not 6n + 2, or the shortcut is unknown.
    """

    depth: int
    residual: bool = True
    shortcut: str = "A"
    num_classes: int = 10
    norm: Callable = BatchNorm
    dtype: Any = jnp.float32
    remat: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth < 8 or self.depth % 6 != 2:
            raise ValueError(f"depth must be 6n + 2 (8, 14, 20, ...), got {self.depth}")
        if self.shortcut not in SHORTCUTS:
            raise ValueError(f"unknown shortcut {self.shortcut!r}; known: {', '.join(SHORTCUTS)}")

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, 32, 32, 3)
        common = {"residual": self.residual, "shortcut": self.shortcut, "norm": self.norm, "dtype": self.dtype}
        block_class = rematerialised(Block, self.remat)
        features = {}
        x = Conv(16, 3, padding=1, use_bias=False, kernel_init=HE_FAN_OUT, dtype=self.dtype, name="conv1")(x)
        x = features["conv1"] = relu(self.norm(name="norm1")(x, train=train))  # (n, 32, 32, 16)
        for stage, width in enumerate(WIDTHS, start=1):
            for block in range(1, (self.depth - 2) // 6 + 1):
                stride = 2 if stage > 1 and block == 1 else 1
                x = block_class(width, stride, name=f"stage{stage}_block{block}", **common)(x, train)
            features[f"stage{stage}"] = x  # (n, 32 / 2**(stage - 1), ...)
        x = features["pool"] = global_average_pool(x)  # (n, 64)
        return nn.Dense(self.num_classes, kernel_init=HEAD_INIT, name="fc")(x.astype(jnp.float32)), features


MODELS = {name: functools.partial(ResNetCIFAR, **variant) for name, variant in VARIANTS.items()}
