"""Faster R-CNN (Ren et al. 2015, arXiv:1506.01497): proposals and their classes from one map of features.

| part | layers |
|---|---|
| trunk | any architecture up to a stage: VGG D's conv5_3 in the paper |
| rpn | 3x3 convolution of 512, relu; 1x1 to a score and to 4 offsets for each anchor |
| head | RoI pooling 7x7, full connections 4096, 4096; K + 1 classes, 4 offsets for each class |

A score of the RPN is one logit where the paper has two and a softmax: the same function.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.errors import look_up
from jaxcnn.operators import regions
from jaxcnn.operators.activation import relu
from jaxcnn.operators.convolution import Conv
from jaxcnn.operators.dense import HEAD_INIT, Dense
from jaxcnn.operators.normalization import BatchNorm
from jaxcnn.operators.regularization import Dropout

POOLINGS = {"align": regions.roi_align, "pool": regions.roi_pool}
OFFSETS_INIT = nn.initializers.normal(0.001)  # of the box regression (Girshick 2015, section 2.3)


CLAIMS = {
    "faster_rcnn": Claim(  # of one region; the RPN is beside the way to its classes
        (600, 1000, 3),
        137_057_234,
        183_281_098_752,
        "14,714,688 + 2,359,808 + 4,617 + 18,468 + 102,764,544 + 16,781,312 + 86,037 + 327,760",
    )
}


class FasterRCNN(nn.Module):
    """One network that proposes regions and classifies them. Its methods are the parts that a task puts together.

    Attributes:
      num_classes: K, without the background.
      backbone: the name of an architecture.
      backbone_options: its keyword arguments.
      stage: the name of one of its features, a map; full connections behind it are left out.
      scales, ratios: of the anchors, see `regions.anchors`.
      rpn_width: channels of the RPN's convolution.
      pooling: "pool" as in the paper, or "align".
      size: bins of a pooled region along each side.
      hidden: widths of the full connections of the head.
      dropout_rate: behind each of them; a number or a traced scalar.
      norm: of the backbone where it has one, called with train.
      dtype: what the layers compute in; parameters and outputs are float32.
    Raises:
      ValueError: an unknown name of a pooling or a stage.
    """

    num_classes: int = 20
    backbone: str = "vgg_d"
    backbone_options: Mapping = None
    stage: str = "conv5_3"
    scales: Sequence[float] = regions.SCALES
    ratios: Sequence[float] = regions.RATIOS
    rpn_width: int = 512
    pooling: str = "pool"
    size: int = 7
    hidden: Sequence[int] = (4096, 4096)
    dropout_rate: Any = 0.5
    norm: Callable = BatchNorm
    dtype: Any = jnp.float32

    result: ClassVar[str] = "regions"

    def setup(self):
        from jaxcnn.architectures import create_allowed  # which holds this network too

        look_up(self.pooling, table=POOLINGS, kind="pooling")
        trunk, anchors = create_allowed(self.backbone, **(self.backbone_options or {})), self.anchors_of_a_cell()
        changed = {"dtype": self.dtype, "norm": self.norm, "map_size": None}  # images of any size
        self.trunk = trunk.clone(**{name: value for name, value in changed.items() if hasattr(trunk, name)})
        own = {"kernel_init": HEAD_INIT, "dtype": self.dtype}
        self.rpn_conv = Conv(self.rpn_width, 3, padding=1, **own)
        self.rpn_score, self.rpn_offsets = Conv(anchors, 1, **own), Conv(4 * anchors, 1, **own)
        self.fc = [Dense(width, dtype=self.dtype, name=f"fc{i}") for i, width in enumerate(self.hidden, 6)]
        self.drop = [Dropout(self.dropout_rate, name=f"dropout{i}") for i in range(6, 6 + len(self.hidden))]
        self.classes = Dense(self.num_classes + 1, kernel_init=HEAD_INIT)
        self.offsets = Dense(4 * self.num_classes, kernel_init=OFFSETS_INIT)

    def anchors_of_a_cell(self):
        """Their number."""
        return len(self.scales) * len(self.ratios)

    def __call__(self, x, *, train: bool):  # (n, h, w, c)
        """(the class logits (n, K + 1) of each whole image as a region, the features of all parts)."""
        maps, features = self.maps(x, train=train)
        scores, offsets = self.propose(maps)
        whole = jnp.broadcast_to(jnp.array([0, 0, x.shape[2], x.shape[1]], jnp.float32), (len(x), 1, 4))
        logits, _ = self.classify(maps, whole, image=x.shape[1:3], train=train)
        return logits[:, 0], {**features, "rpn_score": scores, "rpn_offsets": offsets}

    def maps(self, x, *, train):
        """(the map of features (n, h', w', c'), all stages of the trunk) of normalised images."""
        with nn.intercept_methods(_without_full_connections):
            _, features = self.trunk(x, train=train)
        return look_up(self.stage, table=features, kind="stage"), features

    def anchors(self, maps, *, image):
        """The anchors (h' * w' * k, 4) of the cells of a map, in pixels of images of (height, width)."""
        options = {"stride": _stride(maps, image), "scales": self.scales, "ratios": self.ratios}
        return jnp.asarray(regions.anchors(maps.shape[1:3], **options))

    def propose(self, maps):
        """(logits of an object (n, a), offsets (n, a, 4)) of the a anchors."""
        x = relu(self.rpn_conv(maps))
        scores, offsets = self.rpn_score(x), self.rpn_offsets(x)
        rows = len(maps), -1
        return scores.reshape(*rows).astype(jnp.float32), offsets.reshape(*rows, 4).astype(jnp.float32)

    def classify(self, maps, boxes, *, image, train):
        """(logits (n, m, K + 1), the last of the background, offsets (n, m, K, 4)) of boxes (n, m, 4)."""
        x = POOLINGS[self.pooling](maps, boxes, size=self.size, stride=_stride(maps, image))
        x = x.reshape(x.shape[0] * x.shape[1], -1)  # the regions of an image together, as Dropout wants them
        for layer, drop in zip(self.fc, self.drop, strict=True):
            x = drop(relu(layer(x)), train=train)
        x, rows = x.astype(jnp.float32), boxes.shape[:2]
        return self.classes(x).reshape(*rows, -1), self.offsets(x).reshape(*rows, self.num_classes, 4)


def _stride(maps, image):
    """Pixels between cells: a power of two, where poolings and convolutions drop the last pixels of a side."""
    return 2 ** round(math.log2(image[0] / maps.shape[1]))


def _without_full_connections(call, args, kwargs, context):
    """Zeros in place of a full connection of the trunk: it lies behind the map, and would have parameters."""
    module = context.module
    if context.method_name != "__call__" or not isinstance(module, Dense):
        return call(*args, **kwargs)
    return jnp.zeros((*args[0].shape[:-1], module.features), args[0].dtype)


MODELS = {"faster_rcnn": FasterRCNN}
