"""Fast R-CNN (Girshick 2015, arXiv:1504.08083): one map of features for all regions of an image.

| part | layers |
|---|---|
| trunk | any architecture up to a stage: VGG D's conv5_3 in the paper |
| head | RoI pooling 7x7, full connections 4096, 4096; K + 1 classes, 4 offsets for each class |

The regions are given: config.data.proposals.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax

from jaxcnn.architectures.claim import Claim
from jaxcnn.architectures.region_network import RegionNetwork
from jaxcnn.errors import look_up
from jaxcnn.operators import regions
from jaxcnn.operators.dense import Dense

POOLINGS = {"align": regions.roi_align, "pool": regions.roi_pool}
OFFSETS_INIT = nn.initializers.normal(0.001)  # of the box regression (section 2.3)

CLAIMS = {
    "fast_rcnn": Claim(  # of one region
        (600, 1000, 3),
        134_674_341,
        183_281_098_752,
        "14,714,688 + 102,764,544 + 16,781,312 + 86,037 + 327,760",
    )
}


class FastRCNN(RegionNetwork):
    """Classifies and moves regions that share the trunk's map.

    Attributes:
      pooling: "pool" as in the paper, or "align".
      size: bins of a pooled region along each side.
      num_classes, backbone, backbone_options, stage, hidden, dropout_rate, norm, dtype: of RegionNetwork.
    Raises:
      ValueError: an unknown name of a pooling or a stage.
    """

    pooling: str = "pool"
    size: int = 7

    def setup(self) -> None:
        look_up(self.pooling, table=POOLINGS, kind="pooling")
        super().setup()
        self.offsets = Dense(4 * self.num_classes, kernel_init=OFFSETS_INIT)

    def maps(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
        """(the map of features (n, h', w', c'), all stages of the trunk) of normalised images."""
        return self.trunk_maps(x, train=train)

    def pool(self, maps: jax.Array, boxes: jax.Array, *, image: Sequence[int], train: bool) -> jax.Array:
        """The bins (n, m, size, size, c') of regions."""
        return POOLINGS[self.pooling](maps, boxes, size=self.size, stride=stride_of(maps, image))

    def answer(self, vectors: jax.Array) -> tuple[jax.Array, jax.Array | None]:
        logits, _ = super().answer(vectors)
        return logits, self.of_rows(self.offsets, vectors).reshape(*vectors.shape[:2], self.num_classes, 4)


def stride_of(maps: jax.Array, image: Sequence[int]) -> int:
    """Pixels between cells: a power of two, where poolings and convolutions drop the last pixels of a side."""
    return 2 ** round(math.log2(image[0] / maps.shape[1]))


MODELS = {"fast_rcnn": FastRCNN}
