"""R-CNN (Girshick et al. 2014, arXiv:1311.2524): every region is an image of its own for a network of classes.

| part | layers |
|---|---|
| warp | each region with 16 pixels of context stretched to 227 x 227 |
| trunk | any architecture up to a stage: AlexNet's pool5 in the paper |
| head | full connections 4096, 4096; K + 1 classes |

It is the network that the paper fine-tunes. Linear SVMs and the regression of boxes come behind it, see
jaxcnn.transfer.rcnn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxcnn.architectures.claim import Claim
from jaxcnn.architectures.region_network import RegionNetwork
from jaxcnn.operators import regions

if TYPE_CHECKING:
    import jax


CLAIMS = {
    "rcnn": Claim(  # of one region
        (227, 227, 3),
        56_954_261,
        720_396_832,
        "2,334,080 of AlexNet's convolutions + 37,752,832 + 16,781,312 + 86,037",
    )
}


class RCNN(RegionNetwork):
    """Classifies regions of which each goes through the whole network.

    The memory that it takes grows with regions times size**2: a smaller config.evaluation.batch_size takes less.

    Attributes:
      size: sides of a warped region.
      context: pixels of them around the box on each side.
      num_classes, backbone, backbone_options, stage, hidden, dropout_rate, norm, dtype: of RegionNetwork.
    """

    backbone: str = "alexnet"
    stage: str = "pool5"
    size: int = 227
    context: int = 16

    def maps(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
        """(the images themselves, no features)."""
        return x, {}

    def pool(self, maps: jax.Array, boxes: jax.Array, *, image: Sequence[int], train: bool) -> jax.Array:
        """The trunk's map (n * m, h', w', c') of every region."""
        crops = regions.warp(maps, boxes, size=self.size, context=self.context)
        return self.trunk_maps(crops.reshape(-1, *crops.shape[2:]), train=train)[0]


MODELS = {"rcnn": RCNN}
