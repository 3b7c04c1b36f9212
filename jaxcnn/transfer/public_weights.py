"""Which architectures have public weights on the Hugging Face hub, and the accuracy that was published for them.

The figures are timm's, of the 50,000 validation images of ImageNet: results/results-imagenet.csv of
github.com/huggingface/pytorch-image-models at commit 0173a139. They were not measured here.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Row(NamedTuple):
    """Weights of one repository, timm/NAME.

    Attributes:
      name: timm's architecture, a dot, and the tag of the training.
      top1, top5: accuracy in percent.
      size: side of the image that was measured.
      crop: that side as a part of the short side of the resized image.
    """

    name: str
    top1: float
    top5: float
    size: int = 224
    crop: float = 0.875

    @property
    def address(self) -> str:
        """What `convert --from timm` takes."""
        return f"hf-hub:timm/{self.name}"

    @property
    def architecture(self) -> str:
        """timm's name of it."""
        return self.name.partition(".")[0]


PUBLIC = (
    Row("resnet18.a1_in1k", 73.158, 91.026, 288, 1.0),
    Row("resnet18.tv_in1k", 69.760, 89.070),
    Row("resnet34.a1_in1k", 77.918, 93.766, 288, 1.0),
    Row("resnet34.gluon_in1k", 74.578, 91.984),
    Row("resnet50.a1_in1k", 81.214, 95.102, 288, 1.0),
    Row("resnet50.tv_in1k", 76.130, 92.858),
    Row("resnet101.a1h_in1k", 82.778, 96.310, 288, 1.0),
    Row("resnet101.tv_in1k", 77.376, 93.542),
    Row("resnet152.a1_in1k", 82.732, 95.720, 288, 1.0),
    Row("resnet152.tv_in1k", 78.322, 94.048),
    Row("vgg11.tv_in1k", 69.022, 88.624),
    Row("vgg11_bn.tv_in1k", 70.382, 89.808),
    Row("vgg13.tv_in1k", 69.932, 89.250),
    Row("vgg13_bn.tv_in1k", 71.588, 90.378),
    Row("vgg16.tv_in1k", 71.592, 90.384),
    Row("vgg16_bn.tv_in1k", 73.370, 91.514),
    Row("vgg19.tv_in1k", 72.378, 90.874),
    Row("vgg19_bn.tv_in1k", 74.216, 91.844),
    Row("densenet121.ra_in1k", 76.500, 93.368, 288, 0.95),
    Row("densenet121.tv_in1k", 74.764, 92.154),
    Row("densenet161.tv_in1k", 77.358, 93.642),
    Row("densenet169.tv_in1k", 75.900, 93.028),
    Row("densenet201.tv_in1k", 77.286, 93.480),
    Row("inception_v3.tv_in1k", 77.434, 93.474, 299),
    Row("inception_v3.gluon_in1k", 78.806, 94.374, 299),
    Row("inception_v4.tf_in1k", 80.156, 94.968, 299),
    Row("inception_resnet_v2.tf_in1k", 80.462, 95.308, 299, 0.8975),
)


def markdown(our_name: Callable[..., Any]) -> str:
    """The lines of a table for docs/weights.md, and no end of line behind them.

    Args:
      our_name: f(source, name) -> (our name, options), as `jaxcnn.transfer.sources.our_name`.
    """
    lines = ["| here | repository | top-1 | top-5 | image of short side |", "|---|---|---|---|---|"]
    for row in PUBLIC:
        ours, options = our_name("timm", row.architecture)
        words = "".join(f", {key}={value}" for key, value in options.items())
        side = math.floor(row.size / row.crop)
        lines.append(f"| {ours}{words} | `{row.address}` | {row.top1:.2f} | {row.top5:.2f} | {row.size} of {side} |")
    return "\n".join(lines)
