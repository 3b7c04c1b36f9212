"""AlexNet (Krizhevsky, Sutskever and Hinton 2012, "ImageNet classification with deep convolutional neural networks").

    layer   kernel                  groups  output      parameters
    conv1   11x11, stride 4              1  55x55x96        34,944
    norm1   local response, 5 maps          55x55x96
    pool1   max 3x3, stride 2               27x27x96
    conv2   5x5, padding 2               2  27x27x256      307,456
    norm2   local response, 5 maps          27x27x256
    pool2   max 3x3, stride 2               13x13x256
    conv3   3x3, padding 1               1  13x13x384      885,120
    conv4   3x3, padding 1               2  13x13x384      663,936
    conv5   3x3, padding 1               2  13x13x256      442,624
    pool5   max 3x3, stride 2               6x6x256
    fc6                                     4096        37,752,832
    fc7                                     4096        16,781,312
    fc8                                     1000         4,097,000
                                              in all    60,965,224

A group is what one of the two GPUs holds of a layer. The paper speaks of images of 224x224, which no unpadded 11x11
kernel at stride 4 turns into 55x55: 227x227 does, and so does 224x224 with a padding of 2. The normalisation runs over
all maps of a layer, as its equation and Caffe's copy have it (N is the number of kernels in the layer).

Three networks bear the name. `alexnet` is the paper's. `alexnet_one_tower` has its widths without groups. `alexnet_owt`
is that of "One weird trick for parallelizing convolutional neural networks" (Krizhevsky 2014, arXiv:1404.5997) as
torchvision has it: no normalisation, dropout before fc6 and fc7. Its footnote prints 64-192-384-384-256, but then it
would have 1.4 % more parameters than AlexNet; the 0.2 % and the fewer connections of its text are 64-192-384-256-256.
torchvision averages any map down to 6x6 before fc6: at 224 that changes nothing, and it is left out here.

`alexnet_small` is half as wide, has a stem of 5x5 at stride 1, and starts as He et al. 2015 (arXiv:1502.01852): the
paper's N(0, 0.01**2) suits pixels from -128 to 127 and leaves nothing of a normalised image.
"""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.errors import look_up
from jaxcnn.operators.activation import relu
from jaxcnn.operators.convolution import HE_FAN_IN, Conv
from jaxcnn.operators.dense import HEAD_INIT, SlidingDense
from jaxcnn.operators.pooling import max_pool
from jaxcnn.operators.regularization import Dropout
from jaxcnn.operators.response import local_response_norm

PAPER = {
    "widths": (96, 256, 384, 384, 256),
    "groups": (1, 2, 1, 2, 2),
    "stem": (11, 4),
    "response_norm": True,
    "hidden": (4096, 4096),
    "dropped": ("fc7", "fc8"),
}

VARIANTS = {
    "alexnet": PAPER,
    "alexnet_one_tower": {**PAPER, "groups": (1, 1, 1, 1, 1)},
    "alexnet_owt": {
        **PAPER,
        "widths": (64, 192, 384, 256, 256),
        "groups": (1, 1, 1, 1, 1),
        "padding": 2,
        "response_norm": False,
        "dropped": ("fc6", "fc7"),
    },
    "alexnet_small": {
        **PAPER,
        "widths": (48, 128, 192, 192, 128),
        "stem": (5, 1),
        "padding": 2,
        "hidden": (1024, 1024),
    },
}

CLAIMS = {
    "alexnet": Claim((227, 227, 3), 60_965_224, 724_406_816, "Krizhevsky et al. 2012 (60 million); from its layers"),
    "alexnet_one_tower": Claim((227, 227, 3), 62_378_344, 1_135_256_096, "alexnet without groups, from its layers"),
    "alexnet_owt": Claim((224, 224, 3), 61_100_840, 714_188_480, "torchvision's alexnet; from its layers"),
    "alexnet_small": Claim((32, 32, 3), 2_819_274, 47_590_400, "from its layers"),
}

INITIALISATIONS = {"paper": nn.initializers.normal(0.01), "he": HE_FAN_IN}


def _initialiser(kernel_init):
    return kernel_init if callable(kernel_init) else look_up(kernel_init, table=INITIALISATIONS, kind="kernel_init")


class AlexNet(nn.Module):
    """One of the networks that are called AlexNet.

    Attributes:
      num_classes: any number.
      widths, groups: of conv1 to conv5.
      stem: kernel size and stride of conv1.
      padding: of conv1, on every side; 2 makes 55x55 of images of 224x224.
      response_norm: normalises after conv1 and conv2: k = 2, n = 5, alpha = 1e-4 on the sum, beta = 0.75.
      hidden: widths of fc6 and fc7.
      map_size: side of the map pool5 that fc6 sees; None for whatever the images leave.
      dropped: the full connections whose inputs are dropped out.
      dropout_rate: a number or a traced scalar.
      kernel_init: of all layers but fc8, which is N(0, 0.01**2): "paper", which is the same, "he", or an initialiser.
      bias: the initial bias of conv2, conv4, conv5, fc6 and fc7; the others start at zero.
      dense_evaluation: fc6 is a convolution over windows of map_size, fc7 and fc8 are 1x1 convolutions, the logits
        are the mean over the map. The parameters are the same, any larger image fits, the features fc6 and fc7 are
        maps.
      dtype: what the layers compute in; parameters, the last layer and logits are float32.
    Raises:
      ValueError: images of a size that does not fit, an unknown kernel_init, or dense_evaluation without a map_size.
    """

    num_classes: int = 1000
    widths: Sequence[int] = PAPER["widths"]
    groups: Sequence[int] = PAPER["groups"]
    stem: Sequence[int] = PAPER["stem"]
    padding: int = 0
    response_norm: bool = True
    hidden: Sequence[int] = PAPER["hidden"]
    map_size: int | None = 6
    dropped: Sequence[str] = PAPER["dropped"]
    dropout_rate: Any = 0.5
    kernel_init: Any = "paper"
    bias: float = 1.0
    dense_evaluation: bool = False
    dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        super().__post_init__()
        _initialiser(self.kernel_init)
        if self.dense_evaluation and self.map_size is None:
            raise ValueError("dense_evaluation needs map_size, the side of the map that fc6 was trained on")

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, 227, 227, 3)
        self._check_size(x.shape)
        features = {}
        x = self._convolutions(x, features)
        return self._full_connections(x, features, train), features

    def _check_size(self, shape):
        least, larger = (self._smallest(side) for side in (self.map_size or 1, (self.map_size or 1) + 1))
        if min(shape[1:3]) < least:
            raise ValueError(f"images must be at least {least}x{least} with padding={self.padding}, got {shape}")
        if self.map_size is not None and not self.dense_evaluation and max(shape[1:3]) >= larger:
            raise ValueError(
                f"fc6 sees a map of {self.map_size}x{self.map_size}, so images must be {least} to {larger - 1} pixels "
                f"wide and high, got {shape}; dense_evaluation=True takes larger ones"
            )

    def _smallest(self, side):
        """The least image of which pool5 is of that side."""
        size, stride = self.stem
        return (8 * side + 6) * stride + size - 2 * self.padding

    def _convolutions(self, x, features):
        size, stride = self.stem
        x = features["conv1"] = self._conv(x, 1, size, stride=stride, padding=self.padding)  # (n, 55, 55, 96)
        if self.response_norm:
            x = features["norm1"] = local_response_norm(x, size=5, k=2.0, alpha=1e-4, beta=0.75)
        x = features["pool1"] = max_pool(x, window=3, stride=2)  # (n, 27, 27, 96)
        x = features["conv2"] = self._conv(x, 2, 5, padding=2)  # (n, 27, 27, 256)
        if self.response_norm:
            x = features["norm2"] = local_response_norm(x, size=5, k=2.0, alpha=1e-4, beta=0.75)
        x = features["pool2"] = max_pool(x, window=3, stride=2)  # (n, 13, 13, 256)
        for layer in (3, 4, 5):
            x = features[f"conv{layer}"] = self._conv(x, layer, 3, padding=1)  # (n, 13, 13, width)
        x = features["pool5"] = max_pool(x, window=3, stride=2)  # (n, 6, 6, 256)
        return x

    def _conv(self, x, layer, size, *, stride=1, padding):
        options = self._options(self.bias if layer in (2, 4, 5) else 0.0)
        width, groups = self.widths[layer - 1], self.groups[layer - 1]
        return relu(Conv(width, size, stride=stride, padding=padding, groups=groups, name=f"conv{layer}", **options)(x))

    def _full_connections(self, x, features, train):
        if not self.dense_evaluation:
            x = x.reshape(x.shape[0], -1)  # rows, columns, channels
        options = self._options(self.bias)
        first = functools.partial(SlidingDense, window=self.map_size) if self.dense_evaluation else nn.Dense
        x = self._drop(x, "fc6", train)
        x = features["fc6"] = relu(first(self.hidden[0], name="fc6", **options)(x))  # (n, 4096) or (n, h, w, 4096)
        x = self._drop(x, "fc7", train)
        x = features["fc7"] = relu(nn.Dense(self.hidden[1], name="fc7", **options)(x))
        x = self._drop(x, "fc8", train)
        x = nn.Dense(self.num_classes, kernel_init=HEAD_INIT, name="fc8")(x.astype(jnp.float32))
        return jnp.mean(x, axis=(1, 2)) if self.dense_evaluation else x

    def _drop(self, x, layer, train):
        return Dropout(self.dropout_rate, name=f"{layer}_dropout")(x, train=train) if layer in self.dropped else x

    def _options(self, bias):
        return {
            "kernel_init": _initialiser(self.kernel_init),
            "bias_init": nn.initializers.constant(bias),
            "dtype": self.dtype,
        }


class AlexNetSmall(AlexNet):
    """AlexNet for images of 28 to 32 pixels; fc6 takes the map of 2x2 or 3x3 that they leave."""

    num_classes: int = 10
    map_size: int | None = None
    kernel_init: Any = "he"
    bias: float = 0.0


MODELS = {
    name: functools.partial(AlexNetSmall if name == "alexnet_small" else AlexNet, **variant)
    for name, variant in VARIANTS.items()
}
