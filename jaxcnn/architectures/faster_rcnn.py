"""Faster R-CNN (Ren et al. 2015, arXiv:1506.01497): proposals and their classes from one map of features.

| part | layers |
|---|---|
| trunk | any architecture up to a stage: VGG D's conv5_3 in the paper |
| rpn | 3x3 convolution of 512, relu; 1x1 to a score and to 4 offsets for each anchor |
| head | that of Fast R-CNN |

A score of the RPN is one logit where the paper has two and a softmax: the same function.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.architectures.fast_rcnn import FastRCNN, stride_of
from jaxcnn.operators import regions
from jaxcnn.operators.activation import relu
from jaxcnn.operators.convolution import Conv
from jaxcnn.operators.dense import HEAD_INIT

CLAIMS = {
    "faster_rcnn": Claim(  # of one region; the RPN is beside the way to its classes
        (600, 1000, 3),
        137_057_234,
        183_281_098_752,
        "14,714,688 + 2,359,808 + 4,617 + 18,468 + 102,764,544 + 16,781,312 + 86,037 + 327,760",
    )
}


class FasterRCNN(FastRCNN):
    """One network that proposes regions and classifies them.

    Attributes:
      scales, ratios: of the anchors, see `regions.anchors`.
      rpn_width: channels of the RPN's convolution.
      pooling, size: of FastRCNN.
      num_classes, backbone, backbone_options, stage, hidden, dropout_rate, norm, dtype: of RegionNetwork.
    Raises:
      ValueError: an unknown name of a pooling or a stage.
    """

    scales: Sequence[float] = regions.SCALES
    ratios: Sequence[float] = regions.RATIOS
    rpn_width: int = 512

    def setup(self) -> None:
        super().setup()
        anchors = len(self.scales) * len(self.ratios)
        own: dict[str, Any] = {"kernel_init": HEAD_INIT, "dtype": self.dtype}
        self.rpn_conv = Conv(self.rpn_width, 3, padding=1, **own)
        self.rpn_score, self.rpn_offsets = Conv(anchors, 1, **own), Conv(4 * anchors, 1, **own)

    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, h, w, c)
        """(the class logits (n, K + 1) of each whole image as a region, the features of all parts)."""
        logits, features = super().__call__(x, train=train)
        scores, offsets = self.propose(features[self.stage])
        return logits, {**features, "rpn_score": scores, "rpn_offsets": offsets}

    def anchors(self, maps: jax.Array, *, image: Sequence[int]) -> jax.Array:
        """The anchors (h' * w' * k, 4) of the cells of a map, in pixels of images of (height, width)."""
        options: dict[str, Any] = {"stride": stride_of(maps, image), "scales": self.scales, "ratios": self.ratios}
        return jnp.asarray(regions.anchors(maps.shape[1:3], **options))

    def propose(self, maps: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(logits of an object (n, a), offsets (n, a, 4)) of the a anchors."""
        x = relu(self.rpn_conv(maps))
        scores, offsets = self.rpn_score(x), self.rpn_offsets(x)
        rows = maps.shape[0], -1
        return scores.reshape(*rows).astype(jnp.float32), offsets.reshape(*rows, 4).astype(jnp.float32)


MODELS = {"faster_rcnn": FasterRCNN}
