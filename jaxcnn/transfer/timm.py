"""The names of timm's models: Inception-v3 and -v4, Inception-ResNet-v2, and those that it shares with torchvision.

    ours                        theirs
    inception_v3                the same, with torchvision's names; with or without its auxiliary head
    inception_v4                inception_v4: features.0 ... features.21, last_linear
    inception_resnet_v2         inception_resnet_v2: conv2d_1a ..., repeat.0 ..., classif (elsewhere last_linear)
    resnet18, resnet34,         resnet18, ..., densenet121, ..., with torchvision's names
    resnet50_v1_5, ...,
    densenet121, ...
    vgg_a, b, d, e              vgg11, 13, 16, 19 and vgg11_bn ...: pre_logits.fc1, pre_logits.fc2, head.fc

timm has many weights for one network, prepared in many ways. The preprocessing here is that of the weights that its
plain name loads: of a ResNet resnet18.a1_in1k ... resnet152.a1h_in1k, whose 224 pixels are 0.95 of the short side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxcnn.architectures import inception_resnet, inception_v4
from jaxcnn.transfer.inception import convolutions
from jaxcnn.transfer.layout import HALF, IMAGENET_MEAN, IMAGENET_STD, Layout, Preprocessing
from jaxcnn.transfer.mapping import POINTWISE, Entry, convolution, flatten, linear, renamed
from jaxcnn.transfer.torchvision import (
    RESNET_NAMES,
    VGG_NAMES,
    conv_norm,
    densenets,
    inception_v3_layout,
    resnets,
    vgg_features,
    vggs,
)

if TYPE_CHECKING:
    import numpy as np


DEFAULT = Preprocessing((224, 224), 256, IMAGENET_MEAN, IMAGENET_STD, "bicubic")
RESNET = DEFAULT._replace(resize=235)  # 224 / 0.95, rounded down
INCEPTION = Preprocessing((299, 299), 341, HALF, HALF, "bicubic")  # 299 / 0.875
INCEPTION_RESNET = Preprocessing((299, 299), 333, HALF, HALF, "bicubic")  # 299 / 0.8975

INCEPTION_C = "branch0 branch1_0 branch1_1a branch1_1b branch2_0 branch2_1 branch2_2 branch2_3a branch2_3b branch3.1"

ROWS = {  # of residual blocks, and the name of the last where it stands alone
    "block35": ("repeat", None),
    "block17": ("repeat_1", None),
    "block8": ("repeat_2", "block8"),
}


def _layer(theirs, ours):
    return conv_norm((f"{theirs}.conv", f"{theirs}.bn"), (f"{ours}/conv", f"{ours}/norm"))


def _block(theirs, ours, stage):
    """branch<i> for a branch of one layer, branch<i>.<j> for the layers of a longer one; poolings count."""
    entries = ()
    for path, (branch, place, *_) in convolutions(stage):
        name = f"branch{branch}" if len(stage[branch]) == 1 else f"branch{branch}.{place}"
        entries += _layer(f"{theirs}.{name}", f"{ours}/{path}")
    return entries


def inception_v4_entries() -> tuple[Entry, ...]:
    """features.<i>: the stages in their order."""
    entries = ()
    for place, (name, stage) in enumerate(inception_v4.STAGES.items()):
        theirs = f"features.{place}"
        if name.startswith("Conv2d"):
            entries += _layer(theirs, name)
        elif name in ("Mixed_3a", "Mixed_5a"):  # a convolution beside a pooling
            ((path, _),) = convolutions(stage)
            entries += _layer(f"{theirs}.conv", f"{name}/{path}")
        elif stage is inception_v4.INCEPTION_C:
            for branch, (path, _) in zip(INCEPTION_C.split(), convolutions(stage), strict=True):
                entries += _layer(f"{theirs}.{branch}", f"{name}/{path}")
        else:
            entries += _block(theirs, name, stage)
    return entries + linear("last_linear", "Logits")


def inception_resnet_v2_entries() -> tuple[Entry, ...]:
    """conv2d_1a ... conv2d_7b, mixed_5b, 6a, 7a, and rows of residual blocks."""
    entries = ()
    for name, stage in inception_resnet.VARIANTS["inception_resnet_v2"].items():
        if name.startswith("Conv2d"):
            entries += _layer(name.rpartition("_")[0].lower(), name)
        elif name.startswith("Mixed"):
            entries += _block(name.lower(), name, stage)
        elif name in ROWS:
            row, last = ROWS[name]
            for block in range(stage.number):
                theirs = last if last and block == stage.number - 1 else f"{row}.{block}"
                ours = f"{name}_{block + 1}"
                entries += _block(theirs, ours, stage.branches)
                entries += convolution(f"{theirs}.conv2d", f"{ours}/Conv2d_1x1", bias=True)
    return entries + linear("classif", "Logits")


def inception_resnet_prepare(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """last_linear, as other copies of these weights call it, as classif."""
    return renamed(tensors, lambda name: name.replace("last_linear.", "classif."))


def vgg_entries(layers: Sequence[Sequence[int]], *, batch_norm: bool = False) -> tuple[Entry, ...]:
    """features.<i> as torchvision's; the full connections are convolutions: pre_logits.fc1, pre_logits.fc2, head.fc."""
    entries = vgg_features(layers, batch_norm=batch_norm)
    entries += linear("pre_logits.fc1", "fc6", kernel=flatten(512, 7, 7, square=True))
    return entries + linear("pre_logits.fc2", "fc7", kernel=POINTWISE) + linear("head.fc", "fc8")


NAMES = {**VGG_NAMES, **RESNET_NAMES}
LAYOUTS = {
    "inception_v4": Layout(inception_v4_entries, "last_linear.bias", INCEPTION),
    "inception_resnet_v2": Layout(
        inception_resnet_v2_entries, "classif.bias", INCEPTION_RESNET, prepare=inception_resnet_prepare
    ),
    "inception_v3": inception_v3_layout(INCEPTION),
    **resnets(RESNET),
    **densenets(DEFAULT),
    **vggs(vgg_entries, "head.fc.bias", DEFAULT._replace(interpolation="bilinear")),
}
