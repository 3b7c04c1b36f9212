"""Inception-v4 (Szegedy, Ioffe, Vanhoucke and Alemi 2016, arXiv:1602.07261, figures 3 to 9).

    stage            output         what it is
    Conv2d_1a_3x3    149x149x32     3x3 / 2
    Conv2d_2a_3x3    147x147x32     3x3
    Conv2d_2b_3x3    147x147x64     3x3, padded
    Mixed_3a         73x73x160      max pooling beside 3x3 / 2
    Mixed_4a         71x71x192      3x3 beside 1x7, 7x1 and 3x3
    Mixed_5a         35x35x384      3x3 / 2 beside max pooling: the end of the stem (figure 3)
    Mixed_5b ... e   35x35x384      four Inception-A (figure 4)
    Mixed_6a         17x17x1024     Reduction-A with k, l, m, n = 192, 224, 256, 384 (figure 7, table 1)
    Mixed_6b ... h   17x17x1024     seven Inception-B (figure 5)
    Mixed_7a         8x8x1536       Reduction-B (figure 8)
    Mixed_7b, c, d   8x8x1536       three Inception-C (figure 6)
    AvgPool_1a       1536           global average, then dropout that keeps 0.8 and the linear layer

The order of 1x7 and 7x1 and the order of branches are those of the released network (TF-slim), which has the same
counts. TF-slim leaves the padding out of its average pooling, as do the public copies in PyTorch. It trains with an
auxiliary head on Mixed_6h, which the paper's figures do not have: auxiliary=True.
"""

import functools
from typing import Any

from jaxcnn.architectures.claim import Claim
from jaxcnn.architectures.conv_norm import AVERAGE, MAX
from jaxcnn.architectures.inception_trunk import InceptionTrunk, Plan

STEM = {
    "Conv2d_1a_3x3": (32, 3, 2),
    "Conv2d_2a_3x3": (32, 3, 1, 0),
    "Conv2d_2b_3x3": (64, 3),
    "Mixed_3a": ((MAX,), ((96, 3, 2),)),
    "Mixed_4a": (((64, 1), (96, 3, 1, 0)), ((64, 1), (64, (1, 7)), (64, (7, 1)), (96, 3, 1, 0))),
    "Mixed_5a": (((192, 3, 2),), (MAX,)),
}

INCEPTION_A = (((96, 1),), ((64, 1), (96, 3)), ((64, 1), (96, 3), (96, 3)), (AVERAGE, (96, 1)))

INCEPTION_B = (
    ((384, 1),),
    ((192, 1), (224, (1, 7)), (256, (7, 1))),
    ((192, 1), (192, (7, 1)), (224, (1, 7)), (224, (7, 1)), (256, (1, 7))),
    (AVERAGE, (128, 1)),
)

INCEPTION_C = (
    ((256, 1),),
    ((384, 1), ((256, (1, 3)), (256, (3, 1)))),
    ((384, 1), (448, (3, 1)), (512, (1, 3)), ((256, (1, 3)), (256, (3, 1)))),
    (AVERAGE, (256, 1)),
)


def reduction_a(k: int, l: int, m: int, n: int) -> tuple[Any, ...]:  # noqa: E741, the paper's letters
    """Lays out Reduction-A, which the networks of the paper share.

    Args:
      k, l, m, n: the widths of table 1.
    Returns:
      A stage, see `conv_norm`; from 35x35 to 17x17 with n + m more channels.
    """
    return ((n, 3, 2),), ((k, 1), (l, 3), (m, 3, 2)), (MAX,)


REDUCTION_B = (
    ((192, 1), (192, 3, 2)),
    ((256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3, 2)),
    (MAX,),
)

STAGES = {
    **STEM,
    **{f"Mixed_5{letter}": INCEPTION_A for letter in "bcde"},
    "Mixed_6a": reduction_a(192, 224, 256, 384),
    **{f"Mixed_6{letter}": INCEPTION_B for letter in "bcdefgh"},
    "Mixed_7a": REDUCTION_B,
    **{f"Mixed_7{letter}": INCEPTION_C for letter in "bcd"},
}

CLAIMS = {
    "inception_v4": Claim((299, 299, 3), 42_679_816, 12_253_974_624, "from its layers; as in timm"),
}


class InceptionV4(InceptionTrunk):
    """Inception-v4; its attributes are those of `InceptionTrunk`."""

    def _plan(self):
        return Plan("inception_v4", STAGES, head="Mixed_6h")


MODELS = {"inception_v4": functools.partial(InceptionV4)}
