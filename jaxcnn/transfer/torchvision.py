"""The names of torchvision's models, and of the CIFAR ResNets that follow them.

    ours                       theirs
    resnet18, resnet34         resnet18, resnet34
    resnet50_v1_5 ...          resnet50, resnet101, resnet152: their stride is in the 3x3
    resnet20 ... resnet1202    conv1, bn1, layer1.0.conv1, ..., linear: the usual public layout on CIFAR-10, shortcut A
    vgg_a, b, d, e             vgg11, 13, 16, 19; with batch_norm=True vgg11_bn ..., whose biases before the batch
                               norm are taken into its running mean
    alexnet_owt                alexnet
    densenet121, 169, 201, 161 the same; the names of the published files too, which write norm.1 for norm1
    googlenet_bn, inception_v3 googlenet, inception_v3, with their auxiliary heads

The published googlenet and inception_v3 turn images that were normalised by ImageNet's mean and deviation back to
mean 0.5, deviation 0.5: that is what is kept here.
"""

import functools
import re

import numpy as np

from jaxcnn.architectures import densenet, googlenet, inception_v3, resnet, resnet_cifar, vgg
from jaxcnn.transfer.inception import convolutions
from jaxcnn.transfer.layout import HALF, IMAGENET_MEAN, IMAGENET_STD, Layout, Preprocessing
from jaxcnn.transfer.mapping import convolution, flatten, linear, norm, renamed

CIFAR = Preprocessing((32, 32), None, IMAGENET_MEAN, IMAGENET_STD)
IMAGENET = Preprocessing((224, 224), 256, IMAGENET_MEAN, IMAGENET_STD)
GOOGLENET = Preprocessing((224, 224), 256, HALF, HALF)
INCEPTION = Preprocessing((299, 299), 342, HALF, HALF)

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


def conv_norm(theirs, ours):
    """conv1, bn1 of a block to conv1, norm1: pairs of whole names."""
    (conv, bn), (kernel, scale) = theirs, ours
    return convolution(conv, kernel) + norm(bn, scale)


def resnet_cifar_entries(depth, residual, *, shortcut="A"):
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


def resnet_entries(blocks, bottleneck, residual=True, v1_5=False, *, shortcut="B"):
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


def vgg_entries(layers, *, batch_norm=False):
    """features.<i>: a place for each convolution, norm, relu and pooling; classifier.0, .3 and .6."""
    entries, place = (), 0
    for stage, kernels in enumerate(layers, start=1):
        for layer in range(1, len(kernels) + 1):
            ours = f"conv{stage}_{layer}"
            entries += convolution(f"features.{place}", ours, bias=not batch_norm)
            entries += norm(f"features.{place + 1}", f"{ours}_norm") if batch_norm else ()
            place += 3 if batch_norm else 2
        place += 1
    entries += linear("classifier.0", "fc6", kernel=flatten(512, 7, 7))
    return entries + linear("classifier.3", "fc7") + linear("classifier.6", "fc8")


def vgg_prepare(tensors):
    """Takes the biases that stand before a batch norm, which ours has not, into its running mean."""
    tensors = dict(tensors)
    for mean in [name for name in tensors if name.endswith(".running_mean")]:
        bias = f"features.{int(mean.split('.')[1]) - 1}.bias"
        if bias in tensors:
            tensors[mean] = tensors[mean] - tensors.pop(bias)
    return tensors


def vgg_complete(tensors):
    """A bias of zeros before each batch norm."""
    found = (name for name in tensors if name.endswith(".running_mean"))
    biases = {f"features.{int(name.split('.')[1]) - 1}.bias": np.zeros_like(tensors[name]) for name in found}
    return {**tensors, **biases}


def alexnet_entries():
    """features.<i>, classifier.1, .4 and .6."""
    entries = ()
    for layer, place in enumerate((0, 3, 6, 8, 10), start=1):
        entries += convolution(f"features.{place}", f"conv{layer}", bias=True)
    entries += linear("classifier.1", "fc6", kernel=flatten(256, 6, 6))
    return entries + linear("classifier.4", "fc7") + linear("classifier.6", "fc8")


def densenet_entries(blocks):
    """features.denseblock<b>.denselayer<l>.{norm1, conv1, norm2, conv2}, features.transition<b>.{norm, conv}."""
    entries = conv_norm(("features.conv0", "features.norm0"), ("convolution", "convolution_norm"))
    for block, layers in enumerate(blocks, start=1):
        for layer in range(1, layers + 1):
            for i, kernel in ((1, "1x1"), (2, "3x3")):
                theirs = f"features.denseblock{block}.denselayer{layer}"
                ours = f"dense_block{block}_layer{layer}_{kernel}"
                entries += conv_norm((f"{theirs}.conv{i}", f"{theirs}.norm{i}"), (f"{ours}/conv", f"{ours}/norm"))
        if block < len(blocks):
            theirs, ours = f"features.transition{block}", f"transition{block}"
            entries += conv_norm((f"{theirs}.conv", f"{theirs}.norm"), (f"{ours}/conv", f"{ours}/norm"))
    return entries + norm("features.norm5", "last_norm") + linear("classifier", "fc")


def densenet_prepare(tensors):
    """denselayer1.norm.1.weight of the published files as denselayer1.norm1.weight."""
    return renamed(tensors, lambda name: re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name))


def googlenet_entries(*, auxiliary=True):
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


def inception_v3_entries(*, auxiliary=True):
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


def resnets(preprocessing):
    """The layouts of the ResNets whose blocks are those of torchvision: v1.5, or basic."""
    return {
        name: Layout(functools.partial(resnet_entries, **variant), "fc.bias", preprocessing)
        for name, variant in resnet.VARIANTS.items()
        if variant["residual"] and (variant.get("v1_5") or not variant["bottleneck"])
    }


def densenets(preprocessing):
    """The layouts of the DenseNets for ImageNet."""
    return {
        name: Layout(
            functools.partial(densenet_entries, variant["blocks"]), "classifier.bias", preprocessing,
            prepare=densenet_prepare,
        )
        for name, variant in densenet.VARIANTS.items()
        if name != "densenet264"  # nobody published it
    }  # fmt: skip


LAYOUTS = {
    **{
        name: Layout(functools.partial(resnet_cifar_entries, v["depth"], v["residual"]), "linear.bias", CIFAR)
        for name, v in resnet_cifar.VARIANTS.items()
    },
    **resnets(IMAGENET),
    **{
        name: Layout(
            functools.partial(vgg_entries, vgg.VARIANTS[name]["layers"]),
            "classifier.6.bias",
            IMAGENET,
            prepare=vgg_prepare,
            complete=vgg_complete,
        )
        for name in ("vgg_a", "vgg_b", "vgg_d", "vgg_e")
    },
    "alexnet_owt": Layout(alexnet_entries, "classifier.6.bias", IMAGENET),
    **densenets(IMAGENET),
    "googlenet_bn": Layout(googlenet_entries, "fc.bias", GOOGLENET),
    "inception_v3": Layout(inception_v3_entries, "fc.bias", INCEPTION, options={"count_padding": True}),
}
