"""DenseNets (Huang, Liu, van der Maaten and Weinberger 2016, arXiv:1608.06993, tables 1 and 2).

    ImageNet        output    121   169   201   161   264
    convolution     112x112   7x7, stride 2, 2k channels
    pooling         56x56     max 3x3, stride 2
    dense_block1    56x56     6     6     6     6     6
    transition1     28x28
    dense_block2    28x28     12    12    12    12    12
    transition2     14x14
    dense_block3    14x14     24    32    48    36    64
    transition3     7x7
    dense_block4    7x7       16    32    32    24    48
    global_pool     1x1       average, then a linear layer

A dense layer sees all maps of its block before it and adds k of its own; k is 32, in 161 layers 48. Every convolution
behind the first is the sequence batch normalisation, relu, convolution. With a bottleneck a dense layer is 1x1 to 4k
channels, 3x3 to k, without one 3x3 to k. A transition is 1x1 to half of the channels and 2x2 average pooling. Behind
the last block come a batch normalisation and a relu.

For CIFAR (depth L, growth k) there are three blocks at 32x32, 16x16 and 8x8 and the first convolution is 3x3 without a
norm. Basic: (L - 4) / 3 layers without bottleneck in a block, 16 channels before the first, transitions keep the
channels. BC: (L - 4) / 6 layers with bottleneck, 2k channels, transitions halve them.

Table 1 has DenseNet-161 as printed at CVPR 2017, DenseNet-264 in its place in the last version on arXiv. The blocks of
DenseNet-264 make 265 layers with weights, those of the others as many as their name says. The norm and relu between
the first convolution and its pooling on ImageNet, and the relu in a transition, are those of the authors' release.
Weights are as in He et al. 2015 (arXiv:1502.01852), with the fan-out as in that release; the linear layer is
N(0, 0.01**2), its bias zero.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.operators.activation import relu
from jaxcnn.operators.convolution import HE_FAN_OUT, Conv
from jaxcnn.operators.dense import HEAD_INIT
from jaxcnn.operators.normalization import BatchNorm
from jaxcnn.operators.pooling import average_pool, global_average_pool, max_pool
from jaxcnn.operators.regularization import Dropout
from jaxcnn.operators.remat import rematerialised

BASIC = {"bottleneck": False, "compression": 1.0, "stem_width": 16}

VARIANTS: dict[str, dict[str, Any]] = {
    "densenet121": {"blocks": (6, 12, 24, 16), "growth": 32},
    "densenet169": {"blocks": (6, 12, 32, 32), "growth": 32},
    "densenet201": {"blocks": (6, 12, 48, 32), "growth": 32},
    "densenet161": {"blocks": (6, 12, 36, 24), "growth": 48},
    "densenet264": {"blocks": (6, 12, 64, 48), "growth": 32},
}
CIFAR_VARIANTS: dict[str, dict[str, Any]] = {
    "densenet_40_12": {"blocks": (12, 12, 12), "growth": 12, **BASIC},
    "densenet_100_12": {"blocks": (32, 32, 32), "growth": 12, **BASIC},
    "densenet_100_24": {"blocks": (32, 32, 32), "growth": 24, **BASIC},
    "densenet_bc_100_12": {"blocks": (16, 16, 16), "growth": 12},
    "densenet_bc_250_24": {"blocks": (41, 41, 41), "growth": 24},
    "densenet_bc_190_40": {"blocks": (31, 31, 31), "growth": 40},
    "densenet_small": {"blocks": (6, 12, 24, 16), "growth": 12},  # the blocks of 121 for small images
}

COUNTS = {
    "densenet121": (7_978_856, 2_834_161_664, "Huang et al. 2016, table 1"),
    "densenet169": (14_149_480, 3_359_843_328, "Huang et al. 2016, table 1"),
    "densenet201": (20_013_928, 4_291_365_888, "Huang et al. 2016, table 1"),
    "densenet161": (28_681_000, 7_727_907_072, "Huang et al., table 1 of CVPR 2017"),
    "densenet264": (33_337_704, 5_751_653_376, "Huang et al. 2016, table 1"),
    "densenet_40_12": (1_019_722, 264_812_928, "Huang et al. 2016, table 2: 1.0M"),
    "densenet_100_12": (6_979_642, 1_769_516_448, "Huang et al. 2016, table 2: 7.0M"),
    "densenet_100_24": (27_249_082, 6_889_347_744, "Huang et al. 2016, table 2: 27.2M"),
    "densenet_bc_100_12": (769_162, 287_929_692, "Huang et al. 2016, table 2: 0.8M"),
    "densenet_bc_250_24": (15_324_406, 5_418_785_724, "Huang et al. 2016, table 2: 15.3M"),
    "densenet_bc_190_40": (25_624_430, 9_301_945_740, "Huang et al. 2016, table 2: 25.6M"),
    "densenet_small": (1_000_618, 125_341_440, "no paper's"),
}

CLAIMS = {
    name: Claim((32, 32, 3) if name in CIFAR_VARIANTS else (224, 224, 3), *counts, f"{source}; from its layers")
    for name, (*counts, source) in COUNTS.items()
}


class Composite(nn.Module):
    """A "conv" of table 1: batch normalisation, relu and convolution of all the maps that it is given.

    It joins the maps itself, so that where it is computed again nothing joined has to be kept (Pleiss et al. 2017,
    arXiv:1707.06990).
    """

    width: int
    kernel_size: int
    norm: Callable
    dtype: Any

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:  # a tuple of (n, h, w, c_i)
        x = relu(self.norm(name="norm")(jnp.concatenate(maps, axis=-1), train=train))
        options: dict[str, Any] = {"use_bias": False, "kernel_init": HE_FAN_OUT, "dtype": self.dtype}
        padding = self.kernel_size // 2
        return Conv(self.width, self.kernel_size, padding=padding, name="conv", **options)(x)  # (n, h, w, width)


class DenseNet(nn.Module):
    """A DenseNet for images of any size that its poolings allow; the paper's are 224x224x3 and 32x32x3.

    Attributes:
      blocks: number of dense layers in each block.
      growth: k, the channels that a dense layer adds.
      num_classes: any number.
      bottleneck: puts a 1x1 convolution to 4k channels before each 3x3.
      compression: the part of the channels that a transition lets through, rounded down.
      stem: "7x7", stride 2, with a norm and max pooling, or "3x3" at the size of the image.
      stem_width: channels of the first convolution; None is 2k.
      dropout_rate: after each convolution but the first; the paper uses 0.2 on CIFAR and SVHN without augmentation.
      norm: the normalisation before each convolution, called with train.
      dtype: what the layers compute in; parameters, batch statistics, the linear layer and logits are float32.
      remat: computes each convolution of a dense layer, with what comes before it, again in the backward pass.
    Raises:
      ValueError: the images are too small, or the stem is unknown.
    """

    blocks: Sequence[int]
    growth: int
    num_classes: int = 1000
    bottleneck: bool = True
    compression: float = 0.5
    stem: str = "7x7"
    stem_width: int | None = None
    dropout_rate: Any = 0.0
    norm: Callable = BatchNorm
    dtype: Any = jnp.float32
    remat: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stem not in ("7x7", "3x3"):
            raise ValueError(f"unknown stem {self.stem!r}; known: 7x7, 3x3")

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, 224, 224, 3)
        self._check_size(x.shape)
        features = {}
        x = self._stem(x, features, train)  # (n, 56, 56, 2k)
        for block, layers in enumerate(self.blocks, start=1):
            x = features[f"dense_block{block}"] = self._dense_block(x, block, layers, train)  # c + layers * k
            if block < len(self.blocks):
                width = int(x.shape[-1] * self.compression)
                x = self._composite((x,), width, 1, f"transition{block}", train)
                x = features[f"transition{block}"] = average_pool(x, window=2)  # (n, h / 2, w / 2, width)
        x = features["last_norm"] = relu(self.norm(name="last_norm")(x, train=train))
        x = features["global_pool"] = global_average_pool(x)
        return nn.Dense(self.num_classes, kernel_init=HEAD_INIT, name="fc")(x.astype(jnp.float32)), features

    def _check_size(self, shape):
        smallest = 2 ** (len(self.blocks) - 1)  # a pixel is left for the last block
        if self.stem == "7x7":
            smallest = 4 * smallest - 3  # both of its strides round up
        if min(shape[1:3]) < smallest:
            raise ValueError(f"this densenet needs images of at least {smallest}x{smallest}, got {shape}")

    def _stem(self, x, features, train):
        width = 2 * self.growth if self.stem_width is None else self.stem_width
        options: dict[str, Any] = {
            "use_bias": False,
            "kernel_init": HE_FAN_OUT,
            "dtype": self.dtype,
            "name": "convolution",
        }
        if self.stem == "3x3":
            x = features["convolution"] = Conv(width, 3, padding=1, **options)(x)
            return x
        x = Conv(width, 7, stride=2, padding=3, **options)(x)
        x = features["convolution"] = relu(self.norm(name="convolution_norm")(x, train=train))
        x = features["pooling"] = max_pool(x, window=3, stride=2, padding=1)
        return x

    def _dense_block(self, x, block, layers, train):
        maps = (x,)
        for layer in range(1, layers + 1):
            name = f"dense_block{block}_layer{layer}"
            y = maps
            if self.bottleneck:
                y = (self._composite(y, 4 * self.growth, 1, f"{name}_1x1", train, remat=self.remat),)
            maps += (self._composite(y, self.growth, 3, f"{name}_3x3", train, remat=self.remat),)
        return jnp.concatenate(maps, axis=-1)

    def _composite(self, maps, width, kernel_size, name, train, *, remat=False):
        composite = rematerialised(Composite, remat)
        x = composite(width, kernel_size, norm=self.norm, dtype=self.dtype, name=name)(maps, train)
        return Dropout(self.dropout_rate, name=f"{name}_dropout")(x, train=train)


class DenseNetCIFAR(DenseNet):
    """A `DenseNet` whose defaults are those for small images: ten classes, no reduction before the first block."""

    num_classes: int = 10
    stem: str = "3x3"


MODELS = {
    **{name: functools.partial(DenseNet, **variant) for name, variant in VARIANTS.items()},
    **{name: functools.partial(DenseNetCIFAR, **variant) for name, variant in CIFAR_VARIANTS.items()},
}
