"""Inception-ResNet-v1 and -v2 (Szegedy, Ioffe, Vanhoucke and Alemi 2016, arXiv:1602.07261, figures 10 to 20).

    stage       grid    v1                  v2 as released       v2 as in the figures
    stem        35x35   256 (figure 14)     192 (Inception-v3's) 384 (figure 3, Inception-v4's)
    Mixed_5b    35x35                       320
    block35     35x35   256 x 5             320 x 10             384 x 5
    Mixed_6a    17x17   896                 1088                 1152
    block17     17x17   896 x 10            1088 x 20            1152 x 10
    Mixed_7a    8x8     1792                2080                 2144
    block8      8x8     1792 x 5            2080 x 10            2144 x 5
    Conv2d_7b   8x8                         1536
    AvgPool_1a          1792                1536                 2144

A block adds to its input the projection of its branches, scaled down (section 3.3, by 0.1 to 0.3; the released factors
for the three grids are 0.17, 0.10 and 0.20). Batch norm is not on the sums (section 3.2), and as in the release not on
the projections, which have a bias. Global average pooling, dropout that keeps 0.8 and a linear layer end the network.

Figures 17 and 19 print projections to 1154 and 2048 channels, which cannot be added to the 1152 and 2144 channels
that come in: here they project to those. The network that was released as Inception-ResNet-v2 has Inception-v3's
stem, a block without a sum (Mixed_5b), twice the blocks, a last block that is neither scaled nor followed by a relu,
and a 1x1 convolution; it trains with an auxiliary head on block17 (auxiliary=True), and leaves the padding out of the
one average pooling that it has. Its layers are those of TF-slim. v1 was never released: it follows the
figures (the public copies for faces have a sixth block8).
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxcnn.architectures import inception_v3, inception_v4
from jaxcnn.architectures.claim import Claim
from jaxcnn.architectures.conv_norm import AVERAGE, MAX, mixed
from jaxcnn.architectures.inception_trunk import InceptionTrunk, Plan


class Blocks(NamedTuple):
    """A row of residual blocks.

    Attributes:
      number: of blocks.
      branches: of each, see `conv_norm`.
      open_end: whether the last is neither scaled nor followed by a relu.
    """

    number: int
    branches: Sequence
    open_end: bool = False


def _block17(first, second, third):
    return ((first, 1),), ((128, 1), (second, (1, 7)), (third, (7, 1)))


def _block8(second, third):
    return ((192, 1),), ((192, 1), (second, (1, 3)), (third, (3, 1)))


def _reduction_b(second, third, fourth):
    return ((256, 1), (384, 3, 2)), ((256, 1), (second, 3, 2)), ((256, 1), (third, 3), (fourth, 3, 2)), (MAX,)


BLOCK35_V1 = ((32, 1),), ((32, 1), (32, 3)), ((32, 1), (32, 3), (32, 3))  # figure 10
BLOCK35_V2 = ((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3))  # figure 16

VARIANTS = {
    "inception_resnet_v1": {
        **{name: stage for name, stage in inception_v3.STEM.items() if name != "MaxPool_5a_3x3"},
        "Conv2d_4b_3x3": (256, 3, 2),
        "block35": Blocks(5, BLOCK35_V1),
        "Mixed_6a": inception_v4.reduction_a(192, 192, 256, 384),
        "block17": Blocks(10, _block17(128, 128, 128)),  # figure 11
        "Mixed_7a": _reduction_b(256, 256, 256),  # figure 12
        "block8": Blocks(5, _block8(192, 192)),  # figure 13
    },
    "inception_resnet_v2": {
        **inception_v3.STEM,
        "Mixed_5b": (((96, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3)), (AVERAGE, (64, 1))),
        "block35": Blocks(10, BLOCK35_V2),
        "Mixed_6a": inception_v4.reduction_a(256, 256, 384, 384),
        "block17": Blocks(20, _block17(192, 160, 192)),
        "Mixed_7a": _reduction_b(288, 288, 320),
        "block8": Blocks(10, _block8(224, 256), open_end=True),
        "Conv2d_7b_1x1": (1536, 1),
    },
    "inception_resnet_v2_paper": {
        **inception_v4.STEM,
        "block35": Blocks(5, BLOCK35_V2),
        "Mixed_6a": inception_v4.reduction_a(256, 256, 384, 384),
        "block17": Blocks(10, _block17(192, 160, 192)),  # figure 17
        "Mixed_7a": _reduction_b(288, 288, 320),  # figure 18
        "block8": Blocks(5, _block8(224, 256)),  # figure 19
    },
}

SCALES = {"block35": 0, "block17": 1, "block8": 2}  # the place of a row's factor in residual_scale

CLAIMS = {
    "inception_resnet_v1": Claim((299, 299, 3), 22_756_328, 6_206_361_696, "from the figures' layers"),
    "inception_resnet_v2": Claim((299, 299, 3), 55_843_464, 13_155_794_016, "from its layers; as in timm"),
    "inception_resnet_v2_paper": Claim((299, 299, 3), 32_433_928, 9_257_953_632, "from the figures' layers"),
}


class InceptionResNet(InceptionTrunk):
    """An Inception-ResNet; see `InceptionTrunk` for the other attributes.

    Attributes:
      variant: a key of VARIANTS.
      residual_scale: the factor on the residuals, or three for 35x35, 17x17 and 8x8; numbers or traced scalars.
    Raises:
      ValueError: residual_scale is neither one factor nor three.
    """

    variant: str = "inception_resnet_v2"
    residual_scale: Any = (0.17, 0.10, 0.20)

    def _plan(self):
        return Plan(self.variant, VARIANTS[self.variant], head="block17")

    def _stage(self, x, name, stage, train):
        if isinstance(stage, Blocks):
            return self._blocks(x, name, stage, train)
        return super()._stage(x, name, stage, train)

    def _blocks(self, x, name, blocks, train):
        scales = self.residual_scale if isinstance(self.residual_scale, Sequence) else (self.residual_scale,) * 3
        if len(scales) != 3:
            raise ValueError(f"residual_scale is one factor or three, for 35x35, 17x17 and 8x8; got {len(scales)}")
        for block in range(1, blocks.number + 1):
            opened = blocks.open_end and block == blocks.number
            scale = 1.0 if opened else scales[SCALES[name]]
            options = {"residual": True, "scale": scale, "activate": not opened, "norm": self.norm, "dtype": self.dtype}
            x = mixed(self.remat)(blocks.branches, name=f"{name}_{block}", **options)(x, train)
        return x


MODELS = {name: functools.partial(InceptionResNet, variant=name) for name in VARIANTS}
