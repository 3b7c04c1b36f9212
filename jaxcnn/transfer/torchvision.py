"""The names of torchvision's models, and of the CIFAR ResNets and DenseNets that follow them.

    ours                       theirs
    resnet18, resnet34         resnet18, resnet34
    resnet50_v1_5 ...          resnet50, resnet101, resnet152: their stride is in the 3x3
    resnet50 ...               none of theirs: the paper's, stride in the first 1x1, under the same names; to convert,
                               these are called resnet50_v1, resnet101_v1, resnet152_v1
    resnet20 ... resnet1202    conv1, bn1, layer1.0.conv1, ..., linear: the usual public layout on CIFAR-10, shortcut A
    vgg_a, b, d, e             vgg11, 13, 16, 19; with batch_norm=True vgg11_bn ..., whose biases before the batch
                               norm are taken into its running mean
    alexnet_owt                alexnet
    densenet121, 169, 201, 161 the same; the names of the published files too, which write norm.1 for norm1
    densenet_40_12 ...         the same class for CIFAR: no norm0; norm5 or norm_final at the end
    googlenet_bn, inception_v3 googlenet, inception_v3, with their auxiliary heads, or without where the file has none

The published googlenet and inception_v3 turn images that were normalised by ImageNet's mean and deviation back to
mean 0.5, deviation 0.5: that is what is kept here.
"""

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxcnn.architectures import densenet, googlenet, inception_v3, resnet, resnet_cifar, vgg
from jaxcnn.transfer.inception import convolutions
from jaxcnn.transfer.layout import HALF, IMAGENET_MEAN, IMAGENET_STD, Layout, Preprocessing
from jaxcnn.transfer.mapping import Entry, convolution, flatten, linear, norm, renamed

CIFAR = Preprocessing((32, 32), None, IMAGENET_MEAN, IMAGENET_STD)
IMAGENET = Preprocessing((224, 224), 256, IMAGENET_MEAN, IMAGENET_STD)
GOOGLENET = Preprocessing((224, 224), 256, HALF, HALF)
INCEPTION = Preprocessing((299, 299), 342, HALF, HALF)

VGG = {11: "a", 13: "b", 16: "d", 19: "e"}  # the letter of a depth
VGG_NAMES = {f"vgg{depth}": (f"vgg_{letter}", {}) for depth, letter in VGG.items()}
VGG_NAMES |= {f"{name}_bn": (ours, {"batch_norm": True}) for name, (ours, _) in VGG_NAMES.items()}
BOTTLENECKS = ("resnet50", "resnet101", "resnet152")
RESNET_NAMES = {name: (f"{name}_v1_5", {}) for name in BOTTLENECKS} | {f"{name}_v1": (name, {}) for name in BOTTLENECKS}

GOOGLENET_BRANCHES = {
    "branch1": "1x1",
    "branch2.0": "3x3_reduce",
    "branch2.1": "3x3",
    "branch3.0": "5x5_reduce",
    "branch3.1": "5x5",
    "branch4.1": "pool_proj",
}

INCEPTION_BRANCHES = {  # the blocks of a stage that are not named share a row
    "Mixed_5": "branch1x1 branch5x5_1 branch5x5_2 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3 branch_pool",
    "Mixed_6a": "branch3x3 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3",
    "Mixed_6": "branch1x1 branch7x7_1 branch7x7_2 branch7x7_3 branch7x7dbl_1 branch7x7dbl_2 branch7x7dbl_3 "
    "branch7x7dbl_4 branch7x7dbl_5 branch_pool",
    "Mixed_7a": "branch3x3_1 branch3x3_2 branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4",
    "Mixed_7": "branch1x1 branch3x3_1 branch3x3_2a branch3x3_2b branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3a "
    "branch3x3dbl_3b branch_pool",
}


def conv_norm(theirs: Any, ours: Any) -> tuple[Entry, ...]:
    """conv1, bn1 of a block to conv1, norm1: pairs of whole names."""
    (conv, bn), (kernel, scale) = theirs, ours
    return convolution(conv, kernel) + norm(bn, scale)


def resnet_cifar_entries(depth: int, residual: bool, *, shortcut: str = "A") -> tuple[Entry, ...]:
    """layer<stage>.<block>.{conv1, bn1, conv2, bn2} and linear; shortcut B adds shortcut.0 and shortcut.1."""
    entries = conv_norm(("conv1", "bn1"), ("conv1", "norm1"))
    for stage in (1, 2, 3):
        for block in range((depth - 2) // 6):
            theirs, ours = f"layer{stage}.{block}", f"stage{stage}_block{block + 1}"
            for i in (1, 2):
                entries += conv_norm((f"{theirs}.conv{i}", f"{theirs}.bn{i}"), (f"{ours}/conv{i}", f"{ours}/norm{i}"))
            if residual and shortcut == "B" and stage > 1 and block == 0:
                pair = (f"{ours}/shortcut", f"{ours}/shortcut_norm")
                entries += conv_norm((f"{theirs}.shortcut.0", f"{theirs}.shortcut.1"), pair)
    return entries + linear("linear", "fc")


def resnet_entries(
    blocks: Sequence[int], bottleneck: bool, residual: bool = True, v1_5: bool = False, *, shortcut: str = "B"
) -> tuple[Entry, ...]:
    """layer<stage>.<block>.{conv, bn}<i>, downsample.0 and .1, fc; v1_5 is another network of the same names."""
    entries = conv_norm(("conv1", "bn1"), ("conv1", "norm1"))
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            theirs, ours = f"layer{stage}.{block}", f"conv{stage + 1}_{block + 1}"
            for i in range(1, 4 if bottleneck else 3):
                entries += conv_norm((f"{theirs}.conv{i}", f"{theirs}.bn{i}"), (f"{ours}/conv{i}", f"{ours}/norm{i}"))
            changes = block == 0 and (bottleneck or stage > 1)
            if residual and (shortcut == "C" or (shortcut == "B" and changes)):
                pair = (f"{ours}/shortcut", f"{ours}/shortcut_norm")
                entries += conv_norm((f"{theirs}.downsample.0", f"{theirs}.downsample.1"), pair)
    return entries + linear("fc", "fc")


def vgg_entries(layers: Sequence[Sequence[int]], *, batch_norm: bool = False) -> tuple[Entry, ...]:
    """features.<i>, and classifier.0, .3 and .6."""
    entries = vgg_features(layers, batch_norm=batch_norm) + linear("classifier.0", "fc6", kernel=flatten(512, 7, 7))
    return entries + linear("classifier.3", "fc7") + linear("classifier.6", "fc8")


def vgg_features(layers: Sequence[Sequence[int]], *, batch_norm: bool) -> tuple[Entry, ...]:
    """features.<i>: a place for each convolution, norm, relu and pooling."""
    entries, place = (), 0
    for stage, kernels in enumerate(layers, start=1):
        for layer in range(1, len(kernels) + 1):
            ours = f"conv{stage}_{layer}"
            entries += convolution(f"features.{place}", ours, bias=not batch_norm)
            entries += norm(f"features.{place + 1}", f"{ours}_norm") if batch_norm else ()
            place += 3 if batch_norm else 2
        place += 1
    return entries


def vgg_prepare(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Takes the biases that stand before a batch norm, which ours lacks, into its running mean."""
    tensors = dict(tensors)
    for mean, bias in _means_and_biases(tensors):
        if bias in tensors:
            tensors[mean] = tensors[mean] - tensors.pop(bias)
    return tensors


def vgg_complete(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A bias of zeros before each batch norm."""
    return {**tensors, **{bias: np.zeros_like(tensors[mean]) for mean, bias in _means_and_biases(tensors)}}


def _means_and_biases(tensors):
    """(running mean, bias of the convolution before it), by name."""
    found = (re.fullmatch(r"features\.(\d+)\.running_mean", name) for name in tensors)
    return [(match[0], f"features.{int(match[1]) - 1}.bias") for match in found if match]


def alexnet_entries() -> tuple[Entry, ...]:
    """features.<i>, classifier.1, .4 and .6."""
    entries = ()
    for layer, place in enumerate((0, 3, 6, 8, 10), start=1):
        entries += convolution(f"features.{place}", f"conv{layer}", bias=True)
    entries += linear("classifier.1", "fc6", kernel=flatten(256, 6, 6))
    return entries + linear("classifier.4", "fc7") + linear("classifier.6", "fc8")


def densenet_entries(blocks: Sequence[int], bottleneck: bool = True, stem_norm: bool = True) -> tuple[Entry, ...]:
    """features.denseblock<b>.denselayer<l>.{norm1, conv1, norm2, conv2}, features.transition<b>.{norm, conv}.

    For small images there is no norm behind the first convolution, and none but norm1 and conv1 without a bottleneck.
    """
    entries = convolution("features.conv0", "convolution")
    entries += norm("features.norm0", "convolution_norm") if stem_norm else ()
    kernels = ("1x1", "3x3") if bottleneck else ("3x3",)
    for block, layers in enumerate(blocks, start=1):
        for layer in range(1, layers + 1):
            for i, kernel in enumerate(kernels, start=1):
                theirs = f"features.denseblock{block}.denselayer{layer}"
                ours = f"dense_block{block}_layer{layer}_{kernel}"
                entries += conv_norm((f"{theirs}.conv{i}", f"{theirs}.norm{i}"), (f"{ours}/conv", f"{ours}/norm"))
        if block < len(blocks):
            theirs, ours = f"features.transition{block}", f"transition{block}"
            entries += conv_norm((f"{theirs}.conv", f"{theirs}.norm"), (f"{ours}/conv", f"{ours}/norm"))
    return entries + norm("features.norm5", "last_norm") + linear("classifier", "fc")


def densenet_prepare(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """denselayer1.norm.1.weight of the published files as denselayer1.norm1.weight, norm_final as norm5."""
    shorter = r"(denselayer\d+\.(?:norm|conv))\.([12])\."
    return renamed(tensors, lambda name: re.sub(shorter, r"\1\2.", name).replace(".norm_final.", ".norm5."))


def googlenet_entries(*, auxiliary: bool = True) -> tuple[Entry, ...]:
    """conv1 to conv3, inception3a ... inception5b, aux1 and aux2, fc."""

    def layer(theirs, ours):
        return conv_norm((f"{theirs}.conv", f"{theirs}.bn"), (ours, f"{ours}_norm"))

    entries = layer("conv1", "conv1") + layer("conv2", "conv2_reduce") + layer("conv3", "conv2")
    for name in googlenet.TABLE_1:
        for theirs, ours in GOOGLENET_BRANCHES.items():
            entries += layer(f"{name.replace('_', '')}.{theirs}", f"{name}/{ours}")
    for head in ("aux1", "aux2") if auxiliary else ():
        entries += layer(f"{head}.conv", f"{head}/conv")
        entries += linear(f"{head}.fc1", f"{head}/fc", kernel=flatten(128, 4, 4)) + linear(
            f"{head}.fc2", f"{head}/linear"
        )
    return entries + linear("fc", "linear")


def inception_v3_entries(*, auxiliary: bool = True) -> tuple[Entry, ...]:
    """Conv2d_1a_3x3.conv ..., Mixed_5b.branch5x5_1.conv ..., AuxLogits.conv0 ..., fc."""

    def layer(theirs, ours):
        return conv_norm((f"{theirs}.conv", f"{theirs}.bn"), (f"{ours}/conv", f"{ours}/norm"))

    entries = ()
    for name, stage in inception_v3.VARIANTS["inception_v3"].items():
        if name.startswith("Conv2d"):
            entries += layer(name, name)
        if name.startswith("Mixed"):
            branches = INCEPTION_BRANCHES.get(name) or INCEPTION_BRANCHES[name[:-1]]
            for theirs, (ours, _) in zip(branches.split(), convolutions(stage), strict=True):
                entries += layer(f"{name}.{theirs}", f"{name}/{ours}")
    if auxiliary:
        entries += layer("AuxLogits.conv0", "AuxLogits/Conv2d_1b_1x1")
        entries += layer("AuxLogits.conv1", "AuxLogits/Conv2d_2a_5x5") + linear("AuxLogits.fc", "AuxLogits/Logits")
    return entries + linear("fc", "Logits")


def inception_v3_layout(preprocessing: Preprocessing) -> Layout:
    """The layout of Inception-v3, whose average poolings count the padding here."""
    return Layout(
        inception_v3_entries, "fc.bias", preprocessing, options={"count_padding": True},
        options_of=_auxiliary("AuxLogits.fc.weight"),
    )  # fmt: skip


def _auxiliary(name):
    """Whether a file has the auxiliary heads, by one of their tensors: those for use only are published without."""
    return lambda tensors: {"auxiliary": name in tensors}


def resnets(preprocessing: Preprocessing) -> dict[str, Layout]:
    """The layouts of the ResNets: blocks of two convolutions, and bottlenecks whose stride is in the 3x3 or the 1x1."""
    return {
        name: Layout(
            functools.partial(resnet_entries, **variant), "fc.bias", preprocessing,
            note=_stride_note(name) if variant["bottleneck"] else "",
        )
        for name, variant in resnet.VARIANTS.items()
        if variant["residual"]
    }  # fmt: skip


def _stride_note(name):
    """Both versions have the same tensors, so a file does not tell which of them it was trained as."""
    first = name.removesuffix("_v1_5")
    here, there = ("3x3", "first 1x1") if name != first else ("first 1x1", "3x3")
    other = f"{first}_v1" if name != first else f"{first}_v1_5"
    return (
        f"{name} has the stride of a bottleneck in the {here}. Weights of the network that has it in the {there} are "
        f"called the same, and in {name} they lose accuracy without an error: for those, --architecture {other}. "
        "torchvision's and timm's own have it in the 3x3, the paper's in the first 1x1."
    )


def densenets(preprocessing: Preprocessing) -> dict[str, Layout]:
    """The layouts of the DenseNets for ImageNet."""
    return {
        name: Layout(
            functools.partial(densenet_entries, variant["blocks"]), "classifier.bias", preprocessing,
            prepare=densenet_prepare,
        )
        for name, variant in densenet.VARIANTS.items()
        if name != "densenet264"  # never published
    }  # fmt: skip


def vggs(entries: Callable[..., tuple[Entry, ...]], head: str, preprocessing: Preprocessing) -> dict[str, Layout]:
    """The layouts of the VGGs, with or without batch norm."""
    rest: dict[str, Any] = {"prepare": vgg_prepare, "complete": vgg_complete}
    return {
        name: Layout(functools.partial(entries, vgg.VARIANTS[name]["layers"]), head, preprocessing, **rest)
        for name in (f"vgg_{letter}" for letter in VGG.values())
    }


def densenets_cifar() -> dict[str, Layout]:
    """The layouts of the DenseNets for small images, whose mean and deviation everyone takes from their own data."""
    return {
        name: Layout(
            functools.partial(densenet_entries, variant["blocks"], variant.get("bottleneck", True), stem_norm=False),
            "classifier.bias", CIFAR._replace(mean=(), std=()), prepare=densenet_prepare,
        )
        for name, variant in densenet.CIFAR_VARIANTS.items()
        if name != "densenet_small"  # ours alone
    }  # fmt: skip


NAMES = {  # what torchvision calls a network: ours, and its options
    **VGG_NAMES,
    **RESNET_NAMES,
    "alexnet": ("alexnet_owt", {}),
    "googlenet": ("googlenet_bn", {}),
}
LAYOUTS = {
    **{
        name: Layout(functools.partial(resnet_cifar_entries, v["depth"], v["residual"]), "linear.bias", CIFAR)
        for name, v in resnet_cifar.VARIANTS.items()
    },
    **resnets(IMAGENET),
    **vggs(vgg_entries, "classifier.6.bias", IMAGENET),
    "alexnet_owt": Layout(alexnet_entries, "classifier.6.bias", IMAGENET),
    **densenets(IMAGENET),
    **densenets_cifar(),
    "googlenet_bn": Layout(googlenet_entries, "fc.bias", GOOGLENET, options_of=_auxiliary("aux1.fc1.weight")),
    "inception_v3": inception_v3_layout(INCEPTION),
}
