"""Inception-v3 (Szegedy, Vanhoucke, Ioffe, Shlens and Wojna 2015, arXiv:1512.00567), as it was released.

    stage            output         what it is
    Conv2d_1a_3x3    149x149x32     3x3 / 2
    Conv2d_2a_3x3    147x147x32     3x3
    Conv2d_2b_3x3    147x147x64     3x3, padded
    MaxPool_3a_3x3   73x73x64       3x3 / 2
    Conv2d_3b_1x1    73x73x80       1x1
    Conv2d_4a_3x3    71x71x192      3x3
    MaxPool_5a_3x3   35x35x192      3x3 / 2
    Mixed_5b, c, d   35x35x256, 288, 288   1x1, 5x5, double 3x3, pooling (figure 5; the release keeps the 5x5)
    Mixed_6a         17x17x768      3x3 / 2, double 3x3 / 2, max pooling (figure 10)
    Mixed_6b ... e   17x17x768      1x1, 7x7 and double 7x7 as 1x7 and 7x1, pooling (figure 6, n = 7)
    Mixed_7a         8x8x1280       3x3 / 2, 7x7 and 3x3 / 2, max pooling
    Mixed_7b, c      8x8x2048       1x1, 3x3 and double 3x3 that fan out into 1x3 and 3x1, pooling (figure 7)
    AvgPool_1a       2048           global average, then dropout and the linear layer

The paper's table 1 is another network than the one released under its name, which is in TF-slim and torchvision: the
table has a 3x3 / 2 convolution before the blocks and five 17x17 blocks, the release a second pooling and four, of
128, 160, 160 and 192 inner channels. The auxiliary head sits on Mixed_6e (section 4): 5x5 average pooling at stride
3, 1x1 x 128, 5x5 x 768, both normalised, and a linear layer.

Where the two copies of the release differ, the default is TF-slim's: dropout 0.2 (torchvision 0.5), padding not part
of the average pooling (torchvision counts it: count_padding=True), statistics that keep 0.9997 (torchvision 0.9).

`inception_small` is the same table for 28 to 32 pixels: every width divided by four, a stem without stride or pooling
and padded, so that the blocks see grids of 32, 15 and 7 where the paper has 35, 17 and 8, and no auxiliary head.
"""

import functools
from collections.abc import Callable
from typing import Any

from jaxcnn.architectures.claim import Claim
from jaxcnn.architectures.conv_norm import AVERAGE, MAX
from jaxcnn.architectures.inception_trunk import InceptionTrunk, Plan
from jaxcnn.operators.normalization import BatchNorm

STEM = {
    "Conv2d_1a_3x3": (32, 3, 2),
    "Conv2d_2a_3x3": (32, 3, 1, 0),
    "Conv2d_2b_3x3": (64, 3),
    "MaxPool_3a_3x3": MAX,
    "Conv2d_3b_1x1": (80, 1),
    "Conv2d_4a_3x3": (192, 3, 1, 0),
    "MaxPool_5a_3x3": MAX,
}


def _mixed_5(pooled):
    return ((64, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3)), (AVERAGE, (pooled, 1))


def _mixed_6(inner):
    return (
        ((192, 1),),
        ((inner, 1), (inner, (1, 7)), (192, (7, 1))),
        ((inner, 1), (inner, (7, 1)), (inner, (1, 7)), (inner, (7, 1)), (192, (1, 7))),
        (AVERAGE, (192, 1)),
    )


MIXED_7 = (
    ((320, 1),),
    ((384, 1), ((384, (1, 3)), (384, (3, 1)))),
    ((448, 1), (384, 3), ((384, (1, 3)), (384, (3, 1)))),
    (AVERAGE, (192, 1)),
)

BLOCKS = {
    "Mixed_5b": _mixed_5(32),
    "Mixed_5c": _mixed_5(64),
    "Mixed_5d": _mixed_5(64),
    "Mixed_6a": (((384, 3, 2),), ((64, 1), (96, 3), (96, 3, 2)), (MAX,)),
    "Mixed_6b": _mixed_6(128),
    "Mixed_6c": _mixed_6(160),
    "Mixed_6d": _mixed_6(160),
    "Mixed_6e": _mixed_6(192),
    "Mixed_7a": (
        ((192, 1), (320, 3, 2)),
        ((192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)),
        (MAX,),
    ),
    "Mixed_7b": MIXED_7,
    "Mixed_7c": MIXED_7,
}


def narrow(stage: Any, divisor: int) -> Any:
    """Divides the widths of a stage of a table.

    Args:
      stage: see `conv_norm`.
      divisor: int, a divisor of every width.
    Returns:
      The stage with narrower convolutions and the same poolings.
    """
    if isinstance(stage, str):
        return stage
    if isinstance(stage[0], int):
        return (stage[0] // divisor, *stage[1:])
    return tuple(narrow(part, divisor) for part in stage)


VARIANTS = {
    "inception_v3": {**STEM, **BLOCKS},
    "inception_small": {
        **{name: narrow(stage[:2], 4) for name, stage in STEM.items() if stage != MAX},
        **{name: narrow(stage, 4) for name, stage in BLOCKS.items()},
    },
}

SMALLEST = {"inception_v3": 75, "inception_small": 7}  # the side that leaves one pixel of Mixed_7a

CLAIMS = {
    "inception_v3": Claim(
        (299, 299, 3), 27_161_264, 5_713_216_096, "from its layers; as in torchvision, 23,834,568 without the head"
    ),
    "inception_small": Claim((32, 32, 3), 1_373_346, 227_116_864, "from its layers"),
}


class InceptionV3(InceptionTrunk):
    """Inception-v3, or `inception_small`; see `InceptionTrunk` for the other attributes.

    Attributes:
      variant: a key of VARIANTS.
    """

    variant: str = "inception_v3"
    auxiliary: bool = True

    def _plan(self):
        return Plan(self.variant, VARIANTS[self.variant], head="Mixed_6e", smallest=SMALLEST[self.variant])


class InceptionSmall(InceptionV3):
    """`inception_small`; ten classes, and statistics that settle within a short run."""

    variant: str = "inception_small"
    num_classes: int = 10
    auxiliary: bool = False
    norm: Callable = functools.partial(BatchNorm, epsilon=1e-3)


MODELS = {
    "inception_v3": functools.partial(InceptionV3, variant="inception_v3"),
    "inception_small": functools.partial(InceptionSmall, variant="inception_small", auxiliary=False),
}
