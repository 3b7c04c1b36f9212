"""The names of the networks that were published for Caffe: LeNet, GoogLeNet, NiN, VGG.

    ours                       theirs
    lenet_caffe                examples/mnist/lenet: not LeNet-5, see `jaxcnn.transfer.lenet_caffe`
    googlenet                  bvlc_googlenet, with its auxiliary heads; its normalisation has Caffe's constants
    nin_cifar, nin_imagenet    the authors' CIFAR-10 network, the model zoo's ImageNet network
    vgg_a ... vgg_e, vgg_face  VGG_ILSVRC_16_layers (vgg_d), VGG_ILSVRC_19_layers (vgg_e), VGG_FACE

Images are BGR from 0 to 255 there. The first kernel is turned round as it is read, the mean is divided by 255 and
the deviation is 1 / 255, so everything here sees RGB on the [0, 1] scale. Caffe's tools resize both sides to 256
where we resize the short one; NiN subtracted a mean image, here its mean, which GoogLeNet and VGG subtracted too.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from jaxcnn.architectures import googlenet, nin, vgg
from jaxcnn.transfer.layout import Layout, Preprocessing
from jaxcnn.transfer.mapping import BGR_KERNEL, Entry, convolution, flatten, linear

BYTE = (1 / 255,) * 3


def _bytes(red, green, blue):
    return red / 255, green / 255, blue / 255


ILSVRC = Preprocessing((224, 224), 256, _bytes(123, 117, 104), BYTE, channel_order="BGR")
VGG = Preprocessing((224, 224), 256, _bytes(123.68, 116.779, 103.939), BYTE, channel_order="BGR")
VGG_FACE = Preprocessing((224, 224), 256, _bytes(129.1863, 104.7624, 93.5940), BYTE, channel_order="BGR")
MNIST = Preprocessing((28, 28), None, (0.0,), (256 / 255,), channels=1)  # scale 0.00390625
CIFAR = Preprocessing((32, 32), None, (), ())  # contrast-normalised and whitened in a data set of its own

NIN_IMAGENET = {"conv4": "conv4-1024", "cccp7": "cccp7-1024", "cccp8": "cccp8-1024"}


def lenet_entries() -> tuple[Entry, ...]:
    """conv1, conv2, ip1, ip2."""
    entries = convolution("conv1", "conv1", bias=True) + convolution("conv2", "conv2", bias=True)
    return entries + linear("ip1", "ip1", kernel=flatten(50, 4, 4)) + linear("ip2", "ip2")


def googlenet_entries(*, auxiliary: bool = True) -> tuple[Entry, ...]:
    """conv1/7x7_s2, conv2/3x3_reduce, inception_3a/1x1, ..., loss1/conv, ..., loss3/classifier."""
    entries = convolution("conv1/7x7_s2", "conv1", bias=True, kernel=BGR_KERNEL)
    entries += convolution("conv2/3x3_reduce", "conv2_reduce", bias=True) + convolution("conv2/3x3", "conv2", bias=True)
    for name in googlenet.TABLE_1:
        for layer in ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj"):
            entries += convolution(f"{name}/{layer}", f"{name}/{layer}", bias=True)
    for number in (1, 2) if auxiliary else ():
        theirs, ours = f"loss{number}", f"aux{number}"
        entries += convolution(f"{theirs}/conv", f"{ours}/conv", bias=True)
        entries += linear(f"{theirs}/fc", f"{ours}/fc", kernel=flatten(128, 4, 4))
        entries += linear(f"{theirs}/classifier", f"{ours}/linear")
    return entries + linear("loss3/classifier", "linear")


def nin_entries(blocks: Any, names: Mapping[str, str], first: str) -> tuple[Entry, ...]:
    """conv1, cccp1, cccp2, conv2, ..., with the names that differ."""
    entries = ()
    for number in range(1, len(blocks) + 1):
        for layer in (f"conv{number}", f"cccp{2 * number - 1}", f"cccp{2 * number}"):
            kernel: dict[str, Any] = {"kernel": first} if layer == "conv1" and first else {}
            entries += convolution(names.get(layer, layer), layer, bias=True, **kernel)
    return entries


def vgg_entries(layers: Sequence[Sequence[int]]) -> tuple[Entry, ...]:
    """conv1_1 ... conv5_3, fc6, fc7, fc8: the names are the same."""
    entries = ()
    for stage, kernels in enumerate(layers, start=1):
        for layer in range(1, len(kernels) + 1):
            name = f"conv{stage}_{layer}"
            kernel = {"kernel": BGR_KERNEL} if name == "conv1_1" else {}
            entries += convolution(name, name, bias=True, **kernel)
    return entries + linear("fc6", "fc6", kernel=flatten(512, 7, 7)) + linear("fc7", "fc7") + linear("fc8", "fc8")


def _nin(name, names, first):
    return functools.partial(nin_entries, nin.VARIANTS[name], names, first)


NAMES = {
    "vgg16": ("vgg_d", {}),
    "vgg19": ("vgg_e", {}),
    "bvlc_googlenet": ("googlenet", {}),
    "lenet": ("lenet_caffe", {}),
}
LAYOUTS = {
    "lenet_caffe": Layout(lenet_entries, "ip2.bias", MNIST, model="jaxcnn.transfer.lenet_caffe:LeNetCaffe"),
    "googlenet": Layout(googlenet_entries, "loss3/classifier.bias", ILSVRC, options={"lrn": "caffe"}),
    "nin_cifar": Layout(_nin("nin_cifar", {}, None), "cccp6.bias", CIFAR),
    "nin_imagenet": Layout(_nin("nin_imagenet", NIN_IMAGENET, BGR_KERNEL), "cccp8-1024.bias", ILSVRC),
    **{
        f"vgg_{letter.lower()}": Layout(functools.partial(vgg_entries, layers), "fc8.bias", VGG)
        for letter, layers in vgg.LAYERS.items()
    },
    "vgg_face": Layout(functools.partial(vgg_entries, vgg.LAYERS["D"]), "fc8.bias", VGG_FACE),
}
