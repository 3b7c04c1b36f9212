"""ZFNet (Zeiler and Fergus 2013, "Visualizing and understanding convolutional networks", arXiv:1311.2901, figure 3).

    layer   kernel                           output       parameters
    conv1   7x7, stride 2, padding 1         110x110x96       14,208
    pool1   max 3x3, stride 2, rounded up    55x55x96
    norm1   contrast, across maps            55x55x96
    conv2   5x5, stride 2                    26x26x256       614,656
    pool2   max 3x3, stride 2, rounded up    13x13x256
    norm2   contrast, across maps            13x13x256
    conv3   3x3, padding 1                   13x13x384       885,120
    conv4   3x3, padding 1                   13x13x384     1,327,488
    conv5   3x3, padding 1                   13x13x256       884,992
    pool5   max 3x3, stride 2, rounded up    6x6x256
    fc6                                      4096         37,752,832
    fc7                                      4096         16,781,312
    fc8                                      1000          4,097,000
                                               in all     62,357,608

The figure prints the sizes 110, 55, 26, 13, 13, 13, 13, 6 for an image of 224x224, and no padding. 110 needs one or two
padded pixels a side in all, 26 none; 55 of 110 and 13 of 26 need one or two, 6 of 13 none or one. A padding of 1 would
make 7 of the 13, but rounding up makes all three: that is what is here. The kernel never reaches the padding at the
end of an image of 224.

The contrast normalisation has no equation or constants in the paper; it divides across maps, as AlexNet's
local response normalisation, whose constants (k = 2, n = 5, alpha = 1e-4 on the sum, beta = 0.75) are taken, behind
the pooling, where the figure has it. Weights start at 0.01, read as N(0, 0.01**2), biases at 0.

`zfnet_wide` is the variant of table 2 with 512, 1024 and 512 maps in conv3 to conv5.
"""

import functools
from collections.abc import Sequence

from jaxcnn.architectures.alexnet import AlexNet
from jaxcnn.architectures.claim import Claim
from jaxcnn.operators.pooling import max_pool
from jaxcnn.operators.response import local_response_norm

PAPER = {
    "widths": (96, 256, 384, 384, 256),
    "groups": (1, 1, 1, 1, 1),
    "stem": (7, 2),
    "padding": 1,
    "response_norm": True,
    "hidden": (4096, 4096),
    "dropped": ("fc7", "fc8"),
}

VARIANTS = {"zfnet": PAPER, "zfnet_wide": {**PAPER, "widths": (96, 256, 512, 1024, 512)}}

CLAIMS = {
    "zfnet": Claim((224, 224, 3), 62_357_608, 1_168_032_896, "Zeiler and Fergus 2013, figure 3; from its layers"),
    "zfnet_wide": Claim((224, 224, 3), 107_627_624, 2_476_704_896, "Zeiler and Fergus 2013, table 2; from its layers"),
}


class ZFNet(AlexNet):
    """AlexNet with a finer stem, dense layers and the normalisation behind the pooling; options as of `AlexNet`.

    Attributes:
      groups: none of conv1 to conv5 has any.
      bias: the initial bias of conv2, conv4, conv5, fc6 and fc7: 0 in this paper.
    """

    groups: Sequence[int] = PAPER["groups"]
    stem: Sequence[int] = PAPER["stem"]
    padding: int = PAPER["padding"]
    bias: float = 0.0

    def _smallest(self, side):
        """The least image of which pool5 is of that side: a pooling rounded up makes m of 2 m pixels."""
        size, stride = self.stem
        conv2 = 4 * side
        pool1 = (conv2 - 1) * 2 + 5
        return (2 * pool1 - 1) * stride + size - 2 * self.padding

    def _convolutions(self, x, features):
        size, stride = self.stem
        x = features["conv1"] = self._conv(x, 1, size, stride=stride, padding=self.padding)  # (n, 110, 110, 96)
        x = features["pool1"] = max_pool(x, window=3, stride=2, ceil=True)  # (n, 55, 55, 96)
        if self.response_norm:
            x = features["norm1"] = local_response_norm(x, size=5, k=2.0, alpha=1e-4, beta=0.75)
        x = features["conv2"] = self._conv(x, 2, 5, stride=2, padding=0)  # (n, 26, 26, 256)
        x = features["pool2"] = max_pool(x, window=3, stride=2, ceil=True)  # (n, 13, 13, 256)
        if self.response_norm:
            x = features["norm2"] = local_response_norm(x, size=5, k=2.0, alpha=1e-4, beta=0.75)
        for layer in (3, 4, 5):
            x = features[f"conv{layer}"] = self._conv(x, layer, 3, padding=1)  # (n, 13, 13, width)
        x = features["pool5"] = max_pool(x, window=3, stride=2, ceil=True)  # (n, 6, 6, 256)
        return x


MODELS = {name: functools.partial(ZFNet, **variant) for name, variant in VARIANTS.items()}
