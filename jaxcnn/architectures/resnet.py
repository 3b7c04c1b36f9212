"""ResNets and plain nets for ImageNet (He, Zhang, Ren and Sun 2015, arXiv:1512.03385, table 1).

    stage    output    18           34           50            101            152
    conv1    112x112   7x7, 64, stride 2
    pool1    56x56     max 3x3, stride 2
    conv2_x  56x56     2 of 64      3 of 64      3 of 64       3 of 64        3 of 64
    conv3_x  28x28     2 of 128     4 of 128     4 of 128      4 of 128       8 of 128
    conv4_x  14x14     2 of 256     6 of 256     6 of 256      23 of 256      36 of 256
    conv5_x  7x7       2 of 512     3 of 512     3 of 512      3 of 512       3 of 512
    pool5    1x1       average, then a linear layer

A block of width w is two 3x3 convolutions in 18 and 34 layers; in 50 and more it is a bottleneck: 1x1 to w channels,
3x3, 1x1 to 4w. The first block of conv3_x, conv4_x and conv5_x halves the map: in its first convolution in the paper
and in the authors' Caffe networks (v1), in the 3x3 of a bottleneck in their later Torch release and in torchvision
(v1.5). Every convolution has no bias and a batch normalisation behind it.

Weights are N(0, 2 / n) with n = k * k * c_out, see `resnet_cifar`; the linear layer, of which the paper says nothing,
is N(0, 0.01**2) with a bias of zero (Goyal et al. 2017, arXiv:1706.02677, section 5.1).
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.architectures.resnet_cifar import SHORTCUTS, Block, shortcut_of
from jaxcnn.operators.activation import relu
from jaxcnn.operators.convolution import HE_FAN_OUT, Conv
from jaxcnn.operators.dense import HEAD_INIT
from jaxcnn.operators.normalization import BatchNorm
from jaxcnn.operators.pooling import global_average_pool, max_pool
from jaxcnn.operators.remat import rematerialised

VARIANTS = {
    "resnet18": {"blocks": (2, 2, 2, 2), "bottleneck": False, "residual": True},
    "resnet34": {"blocks": (3, 4, 6, 3), "bottleneck": False, "residual": True},
    "resnet50": {"blocks": (3, 4, 6, 3), "bottleneck": True, "residual": True},
    "resnet101": {"blocks": (3, 4, 23, 3), "bottleneck": True, "residual": True},
    "resnet152": {"blocks": (3, 8, 36, 3), "bottleneck": True, "residual": True},
    "resnet50_v1_5": {"blocks": (3, 4, 6, 3), "bottleneck": True, "residual": True, "v1_5": True},
    "resnet101_v1_5": {"blocks": (3, 4, 23, 3), "bottleneck": True, "residual": True, "v1_5": True},
    "resnet152_v1_5": {"blocks": (3, 8, 36, 3), "bottleneck": True, "residual": True, "v1_5": True},
    "plain18": {"blocks": (2, 2, 2, 2), "bottleneck": False, "residual": False},
    "plain34": {"blocks": (3, 4, 6, 3), "bottleneck": False, "residual": False},
}

COUNTS = {  # parameters and multiply-adds, shortcut B; the paper prints the latter, rounded, as FLOPs
    "resnet18": (11_689_512, 1_814_073_344, "He et al. 2015, table 1: 1.8e9"),
    "resnet34": (21_797_672, 3_663_761_408, "He et al. 2015, table 1: 3.6e9"),
    "resnet50": (25_557_032, 3_857_973_248, "He et al. 2015, table 1: 3.8e9"),
    "resnet101": (44_549_160, 7_570_194_432, "He et al. 2015, table 1: 7.6e9"),
    "resnet152": (60_192_808, 11_282_415_616, "He et al. 2015, table 1: 11.3e9"),
    "resnet50_v1_5": (25_557_032, 4_089_184_256, "stride in the 3x3; torchvision: 4.09e9"),
    "resnet101_v1_5": (44_549_160, 7_801_405_440, "stride in the 3x3; torchvision: 7.80e9"),
    "resnet152_v1_5": (60_192_808, 11_513_626_624, "stride in the 3x3; torchvision: 11.51e9"),
    "plain18": (11_515_688, 1_794_805_760, "He et al. 2015, table 1 without shortcuts"),
    "plain34": (21_623_848, 3_644_493_824, "He et al. 2015, figure 3: 3.6e9"),
}

CLAIMS = {
    name: Claim((224, 224, 3), parameters, macs, f"{source}; from its layers")
    for name, (parameters, macs, source) in COUNTS.items()
}


class Bottleneck(nn.Module):
    """Convolutions 1x1, 3x3 and 1x1 to four times the width, and the shortcut around them where it is residual.

    The stride is in the first convolution, or with v1_5 in the 3x3. See `shortcut_of`.
    """

    width: int
    stride: int
    residual: bool
    shortcut: str
    norm: Callable
    dtype: Any
    zero_init_last_norm: bool = False
    v1_5: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:  # (n, h, w, c)
        options: dict[str, Any] = {"use_bias": False, "kernel_init": HE_FAN_OUT, "dtype": self.dtype}
        last = {"scale_init": nn.initializers.zeros_init()} if self.zero_init_last_norm else {}
        first, second = (1, self.stride) if self.v1_5 else (self.stride, 1)
        y = Conv(self.width, 1, stride=first, padding=0, name="conv1", **options)(x)
        y = relu(self.norm(name="norm1")(y, train=train))
        y = Conv(self.width, 3, stride=second, padding=1, name="conv2", **options)(y)
        y = relu(self.norm(name="norm2")(y, train=train))
        y = Conv(4 * self.width, 1, padding=0, name="conv3", **options)(y)
        y = self.norm(name="norm3", **last)(y, train=train)  # (n, h / stride, ..., 4 * width)
        if not self.residual:
            return relu(y)
        around = {"norm": self.norm, "dtype": self.dtype, "train": train}
        return relu(shortcut_of(x, kind=self.shortcut, width=4 * self.width, stride=self.stride, **around) + y)


class ResNet(nn.Module):
    """A ResNet or a plain net for images of any size; the paper's are 224x224x3, and 32 times smaller at the end.

    Attributes:
      blocks: number of blocks of each stage, conv2_x first.
      bottleneck: whether blocks are bottlenecks.
      residual: False for the plain net.
      num_classes: any number.
      shortcut: "A", "B" or "C", see `shortcut_of`.
      v1_5: strides in the 3x3 of a bottleneck; blocks of two 3x3 convolutions are the same in both versions.
      zero_init_last_norm: starts the last scale of each block at zero, so that each starts as its shortcut (Goyal et
        al. 2017, arXiv:1706.02677, section 5.1).
      widths: of the blocks of each stage; conv1 has the first.
      norm: the normalisation after each convolution, called with train.
      dtype: what the layers compute in; parameters, batch statistics, the linear layer and logits are float32.
      remat: computes the inside of each block again in the backward pass instead of keeping it.
    Raises:
      ValueError: the shortcut is unknown, there is not one width for each stage, or a plain net should start at zero.
    """

    blocks: Sequence[int]
    bottleneck: bool
    residual: bool = True
    num_classes: int = 1000
    shortcut: str = "B"
    v1_5: bool = False
    zero_init_last_norm: bool = False
    widths: Sequence[int] = (64, 128, 256, 512)
    norm: Callable = BatchNorm
    dtype: Any = jnp.float32
    remat: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shortcut not in SHORTCUTS:
            raise ValueError(f"unknown shortcut {self.shortcut!r}; known: {', '.join(SHORTCUTS)}")
        if len(self.blocks) != len(self.widths):
            raise ValueError(f"expected a width for each stage, got blocks {self.blocks} and widths {self.widths}")
        if self.zero_init_last_norm and not self.residual:
            raise ValueError("a plain net has no shortcuts: with zero_init_last_norm nothing would pass its blocks")

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, 224, 224, 3)
        common = {"residual": self.residual, "shortcut": self.shortcut, "norm": self.norm, "dtype": self.dtype}
        common |= {"zero_init_last_norm": self.zero_init_last_norm} | ({"v1_5": self.v1_5} if self.bottleneck else {})
        block_class = rematerialised(Bottleneck if self.bottleneck else Block, self.remat)
        stem: dict[str, Any] = {"use_bias": False, "kernel_init": HE_FAN_OUT, "dtype": self.dtype}
        features = {}
        x = Conv(self.widths[0], 7, stride=2, padding=3, name="conv1", **stem)(x)
        x = features["conv1"] = relu(self.norm(name="norm1")(x, train=train))  # (n, 112, 112, 64)
        x = features["pool1"] = max_pool(x, window=3, stride=2, padding=1)  # (n, 56, 56, 64)
        for stage, (blocks, width) in enumerate(zip(self.blocks, self.widths, strict=True), start=2):
            for block in range(1, blocks + 1):
                stride = 2 if stage > 2 and block == 1 else 1
                x = block_class(width, stride, name=f"conv{stage}_{block}", **common)(x, train)
            features[f"conv{stage}_x"] = x  # (n, 224 / 2**stage, ..., width, or four times that)
        x = features["pool5"] = global_average_pool(x)  # (n, 512 or 2048)
        return nn.Dense(self.num_classes, kernel_init=HEAD_INIT, name="fc")(x.astype(jnp.float32)), features


MODELS = {name: functools.partial(ResNet, **variant) for name, variant in VARIANTS.items()}
