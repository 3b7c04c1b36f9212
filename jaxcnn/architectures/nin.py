"""Network in Network (Lin, Chen and Yan 2013, arXiv:1312.4400).

    nin_cifar                      output      nin_imagenet                   output
    conv1  5x5, padding 2          32x32x192   conv1  11x11, stride 4         54x54x96
    cccp1, cccp2  1x1              160, 96     cccp1, cccp2  1x1              96, 96
    pool1  max 3x3, stride 2       16x16x96    pool1  max 3x3, stride 2       27x27x96
    conv2  5x5, padding 2          16x16x192   conv2  5x5, padding 2          27x27x256
    cccp3, cccp4  1x1              192, 192    cccp3, cccp4  1x1              256, 256
    pool2  average 3x3, stride 2   8x8x192     pool2  max 3x3, stride 2       13x13x256
    conv3  3x3, padding 1          8x8x192     conv3  3x3, padding 1          13x13x384
    cccp5, cccp6  1x1              192, 10     cccp5, cccp6  1x1              384, 384
                                               pool3  max 3x3, stride 2       6x6x384
                                               conv4  3x3, padding 1          6x6x1024
                                               cccp7, cccp8  1x1              1024, 1000
    mean over the map              10          mean over the map              1000

Every convolution is followed by a relu (eq. 2), the last one too: it gives a map of confidence for each class, and the
logits are their means. The paper prints no widths or kernels; these are the authors' files for Caffe (on CIFAR-10, and
the model zoo's for ImageNet at 224x224), whose poolings round their size up. Dropout is behind the poolings, on
ImageNet behind the last only. Weights start as in those files, at N(0, 0.05**2) or N(0, 0.01**2), biases at 0.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.errors import look_up
from jaxcnn.operators.activation import relu
from jaxcnn.operators.convolution import HE_FAN_IN, Conv
from jaxcnn.operators.pooling import average_pool, global_average_pool, max_pool
from jaxcnn.operators.regularization import Dropout

POOLINGS = {"max": max_pool, "average": average_pool}


class MLPConv(NamedTuple):
    """A convolution, two of 1x1 behind it, and the pooling behind these.

    Attributes:
      kernel: size, stride and padding of the first.
      widths: of the three; None is num_classes.
      deviations: the standard deviations that their weights start with.
      pooling: a key of POOLINGS, 3x3 at stride 2, or None.
      dropped: whether what is pooled is dropped out.
    """

    kernel: tuple[int, int, int]
    widths: tuple[int | None, ...]
    deviations: tuple[float, ...]
    pooling: str | None = None
    dropped: bool = False


VARIANTS = {
    "nin_cifar": (
        MLPConv((5, 1, 2), (192, 160, 96), (0.05, 0.05, 0.05), "max", dropped=True),
        MLPConv((5, 1, 2), (192, 192, 192), (0.05, 0.05, 0.05), "average", dropped=True),
        MLPConv((3, 1, 1), (192, 192, None), (0.05, 0.05, 0.05)),
    ),
    "nin_imagenet": (
        MLPConv((11, 4, 0), (96, 96, 96), (0.01, 0.05, 0.05), "max"),
        MLPConv((5, 1, 2), (256, 256, 256), (0.05, 0.05, 0.05), "max"),
        MLPConv((3, 1, 1), (384, 384, 384), (0.01, 0.05, 0.05), "max", dropped=True),
        MLPConv((3, 1, 1), (1024, 1024, None), (0.05, 0.05, 0.01)),
    ),
}

CLAIMS = {
    "nin_cifar": Claim((32, 32, 3), 966_986, 222_486_528, "the authors' file for Caffe; from its layers"),
    "nin_imagenet": Claim((224, 224, 3), 7_595_176, 1_100_188_800, "Caffe's model zoo; from its layers"),
}


class NiN(nn.Module):
    """A stack of `MLPConv` blocks, their last maps averaged to logits.

    Attributes:
      num_classes: any number.
      blocks: the last width of the last one is None.
      dropout_rate: a number or a traced scalar.
      kernel_init: of all layers: "paper", the deviations of the blocks, "he" (He et al. 2015, arXiv:1502.01852), or
        an initialiser.
      dtype: what the layers compute in; parameters, the last convolution and logits are float32.
    Raises:
      ValueError: the images are too small, or an unknown kernel_init.
    """

    num_classes: int = 10
    blocks: Sequence[MLPConv] = VARIANTS["nin_cifar"]
    dropout_rate: Any = 0.5
    kernel_init: Any = "paper"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, h, w, c)
        smallest = self._smallest()
        if min(x.shape[1:3]) < smallest:
            raise ValueError(f"this NiN needs images of at least {smallest}x{smallest}, got {x.shape}")
        features = {}
        for number, block in enumerate(self.blocks, start=1):
            names = (f"conv{number}", f"cccp{2 * number - 1}", f"cccp{2 * number}")
            kernels = (block.kernel, (1, 1, 0), (1, 1, 0))
            for name, kernel, width, deviation in zip(names, kernels, block.widths, block.deviations, strict=True):
                x = relu(self._conv(name, kernel, width, deviation)(x))  # (n, h', w', width)
                features[name] = x
            if block.pooling is not None:
                x = look_up(block.pooling, table=POOLINGS, kind="pooling")(x, window=3, stride=2, ceil=True)
                features[f"pool{number}"] = x
            if block.dropped:
                x = Dropout(self.dropout_rate, name=f"dropout{number}")(x, train=train)
        return global_average_pool(x), features

    def _smallest(self):
        """The least image that leaves a pixel to each layer: a pooling rounded up makes m of 2 m pixels."""
        side = 1
        for block in reversed(self.blocks):
            size, stride, padding = block.kernel
            side = 2 * side if block.pooling is not None else side
            side = (side - 1) * stride + size - 2 * padding
        return side

    def _conv(self, name, kernel, width, deviation):
        size, stride, padding = kernel
        known = {"paper": nn.initializers.normal(deviation), "he": HE_FAN_IN}
        named = not callable(self.kernel_init)
        init = look_up(self.kernel_init, table=known, kind="kernel_init") if named else self.kernel_init
        dtype = jnp.float32 if width is None else self.dtype
        width = self.num_classes if width is None else width
        return Conv(width, size, stride=stride, padding=padding, kernel_init=init, dtype=dtype, name=name)


class NiNImageNet(NiN):
    """NiN with 1000 classes by default."""

    num_classes: int = 1000
    blocks: Sequence[MLPConv] = VARIANTS["nin_imagenet"]


MODELS = {
    "nin_cifar": functools.partial(NiN, blocks=VARIANTS["nin_cifar"]),
    "nin_imagenet": functools.partial(NiNImageNet, blocks=VARIANTS["nin_imagenet"]),
}
