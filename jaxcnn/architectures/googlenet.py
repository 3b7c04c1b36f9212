"""GoogLeNet (Szegedy et al. 2014, "Going deeper with convolutions", arXiv:1409.4842, table 1).

    stage          output at 224  #1x1  #3x3 reduce  #3x3  #5x5 reduce  #5x5  pool proj
    conv1 7x7/2    112x112x64
    pool1 3x3/2    56x56x64       then local response normalisation
    conv2 3x3      56x56x192                     64   192    local response normalisation follows
    pool2 3x3/2    28x28x192
    inception_3a   28x28x256        64           96   128            16    32         32
    inception_3b   28x28x480       128          128   192            32    96         64
    pool3 3x3/2    14x14x480
    inception_4a   14x14x512       192           96   208            16    48         64
    inception_4b   14x14x512       160          112   224            24    64         64
    inception_4c   14x14x512       128          128   256            24    64         64
    inception_4d   14x14x528       112          144   288            32    64         64
    inception_4e   14x14x832       256          160   320            32   128        128
    pool4 3x3/2    7x7x832
    inception_5a   7x7x832         256          160   320            32   128        128
    inception_5b   7x7x1024        384          192   384            48   128        128
    pool5          1024           the mean over the image, then dropout 0.4 and `linear`

Poolings round up (112-56-28-14-7). Two auxiliary heads read 4a and 4d (section 5): average pooling 5x5/3, 1x1
convolution to 128, full connection to 1024, dropout 0.7, linear; their losses count 0.3 each (`multi_head`). Table 1
prints 2.7K parameters and 34M operations for conv1, which are those of a separable 7x7, and parameters for 4c, 4d and
5a that do not follow from their widths; here they do.

googlenet        as above; every convolution has a bias.
googlenet_naive  figure 2a for figure 2b: no 1x1 reductions, so 3x3 and 5x5 read the whole input of their module, and
                 the pooled input joins the output as it is; the widths #1x1, #3x3, #5x5 are those of the table. The
                 channels then only grow, to 4,944. Not a network of the paper: it shows what the reductions save.
googlenet_bn     torchvision's network, for its weights: batch norm (epsilon 1e-3) after every convolution, no bias
                 there, no response normalisation, 3x3 where the paper has 5x5 (under the name `5x5`), pool4 2x2/2,
                 heads that average a 4x4 grid of any image, dropout 0.2.
googlenet_small  for 28-32 pixels: conv1 and pool2 have stride 1, three reductions remain (32-16-8-4), heads on request;
                 its modules without bottlenecks, with batch norm, factorised or residual by option.

The paper says nothing of its initial weights or of the constants of the response normalisation. Here weights are He's
(fan-in), biases zero, linear layers N(0, 0.01**2), and the constants Krizhevsky's (lrn="krizhevsky": k = 2, alpha times
the sum); weights from Caffe need lrn="caffe" (k = 1, alpha / 5 times the sum).
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.architectures.inception_module import AuxiliaryHead, Inception, convolution
from jaxcnn.errors import look_up
from jaxcnn.operators.dense import HEAD_INIT
from jaxcnn.operators.normalization import BatchNorm
from jaxcnn.operators.pooling import global_average_pool, max_pool
from jaxcnn.operators.regularization import Dropout
from jaxcnn.operators.remat import rematerialised
from jaxcnn.operators.response import local_response_norm

TABLE_1 = {  # #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj
    "inception_3a": (64, 96, 128, 16, 32, 32),
    "inception_3b": (128, 128, 192, 32, 96, 64),
    "inception_4a": (192, 96, 208, 16, 48, 64),
    "inception_4b": (160, 112, 224, 24, 64, 64),
    "inception_4c": (128, 128, 256, 24, 64, 64),
    "inception_4d": (112, 144, 288, 32, 64, 64),
    "inception_4e": (256, 160, 320, 32, 128, 128),
    "inception_5a": (256, 160, 320, 32, 128, 128),
    "inception_5b": (384, 192, 384, 48, 128, 128),
}
HEADS = {"inception_4a": "aux1", "inception_4d": "aux2"}

LRN = {
    "krizhevsky": local_response_norm,
    "caffe": functools.partial(local_response_norm, k=1.0, divide_by_size=True),
}


class Variant(NamedTuple):
    """Where a variant departs from the paper. least: the smallest side of an image, (without, with) auxiliary heads."""

    least: tuple[int, int]
    bottlenecks: bool = True
    third_kernel: int = 5
    conv1_stride: int = 2
    pool2_stride: int = 2
    pool4_window: int = 3
    factorized: bool = False
    residual: bool = False
    grid: int = 0  # bins of the heads' average pooling; 0 for the paper's 5x5/3


VARIANTS = {
    "googlenet": Variant(least=(31, 79)),
    "googlenet_naive": Variant(least=(31, 79), bottlenecks=False),
    "googlenet_bn": Variant(least=(15, 15), third_kernel=3, pool4_window=2, grid=4),
    "googlenet_small": Variant(least=(8, 20), conv1_stride=1, pool2_stride=1),
}

CLAIMS = {
    "googlenet": Claim(
        (224, 224, 3), 13_378_280, 1_582_671_872, "from table 1; 6,998,552 parameters without heads, as Caffe's release"
    ),
    "googlenet_naive": Claim((224, 224, 3), 104_274_376, 12_568_061_056, "from table 1 without its reductions"),
    "googlenet_bn": Claim(
        (224, 224, 3), 13_004_888, 1_498_376_192, "torchvision's googlenet; 6,624,904 parameters without heads"
    ),
    "googlenet_small": Claim((32, 32, 3), 5_983_802, 399_484_928, "from its layers"),
}


class Network(nn.Module):
    """The network of all variants; see the classes below.

    Attributes:
      variant: a key of VARIANTS.
      num_classes: any number.
      auxiliary: has the two auxiliary heads, whose logits are the features `aux1` and `aux2`.
      dropout_rate: before `linear`; a number or a traced scalar.
      auxiliary_dropout_rate: before the last layer of a head; a number or a traced scalar.
      remat: computes the inside of the inception modules again in the backward pass instead of keeping it.
      dtype: what the layers compute in; parameters, batch statistics, linear layers and logits are float32.
    Raises:
      ValueError: the variant is unknown, or the images are too small.
    """

    variant: str = "googlenet"
    num_classes: int = 1000
    auxiliary: bool = True
    dropout_rate: Any = 0.4
    auxiliary_dropout_rate: Any = 0.7
    remat: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, 224, 224, 3)
        variant = self._variant()
        self._check(x, variant.least)
        features, heads = {}, {}
        x = self._stem(x, features, variant, train)
        for name, widths in TABLE_1.items():
            if not variant.bottlenecks:
                widths = (widths[0], 0, widths[2], 0, widths[4], 0)
            widths = tuple(map(self._scaled, widths))
            x = features[name] = self._inception(variant, widths, name)(x, train)
            if self.auxiliary and name in HEADS:
                heads[HEADS[name]] = self._head(variant, HEADS[name])(x, train=train)
            if name == "inception_3b":
                x = features["pool3"] = max_pool(x, window=3, stride=2, ceil=True)  # (n, 14, 14, 480)
            if name == "inception_4e":
                x = features["pool4"] = max_pool(x, window=variant.pool4_window, stride=2, ceil=True)  # (n, 7, 7, 832)
        x = features["pool5"] = global_average_pool(x)  # (n, 1024)
        x = Dropout(self.dropout_rate, name="dropout")(x, train=train).astype(jnp.float32)
        return nn.Dense(self.num_classes, kernel_init=HEAD_INIT, name="linear")(x), {**features, **heads}

    def _variant(self):
        return look_up(self.variant, table=VARIANTS, kind="variant")

    def _scaled(self, width):
        return width

    def _check(self, x, least):
        needed = least[self.auxiliary]
        if min(x.shape[1:3]) < needed:
            smaller = f", or {least[0]}x{least[0]} with auxiliary=False" if needed > least[0] else ""
            raise ValueError(f"{self.variant} needs images of at least {needed}x{needed}{smaller}, got {x.shape}")

    def _stem(self, x, features, variant, train):
        conv = functools.partial(convolution, norm=self._norm(), dtype=self.dtype, train=train)
        x = features["conv1"] = conv(
            x, self._scaled(64), 7, stride=variant.conv1_stride, name="conv1"
        )  # (n, 112, 112, 64)
        x = features["pool1"] = max_pool(x, window=3, stride=2, ceil=True)  # (n, 56, 56, 64)
        x = conv(self._response_norm(x), self._scaled(64), 1, name="conv2_reduce")
        x = features["conv2"] = conv(x, self._scaled(192), 3, name="conv2")  # (n, 56, 56, 192)
        stride = variant.pool2_stride
        options: dict[str, Any] = {"ceil": True} if stride == 2 else {"padding": 1}
        x = features["pool2"] = max_pool(self._response_norm(x), window=3, stride=stride, **options)
        return x  # (n, 28, 28, 192)

    def _inception(self, variant, widths, name):
        block = rematerialised(Inception, self.remat)
        options = {"factorized": variant.factorized, "residual": variant.residual, "name": name}
        return block(widths, variant.third_kernel, self._norm(), self.dtype, **options)

    def _head(self, variant, name):
        rate = self.auxiliary_dropout_rate
        return AuxiliaryHead(self.num_classes, variant.grid, rate, self._norm(), self.dtype, name=name)

    def _norm(self):
        return None

    def _response_norm(self, x):
        return x


class GoogLeNet(Network):
    """The paper's network, or the naive one; lrn: a key of LRN, whose constants the response normalisation has."""

    lrn: str = "krizhevsky"

    def _response_norm(self, x):
        return look_up(self.lrn, table=LRN, kind="lrn")(x)


class GoogLeNetSmall(GoogLeNet):
    """The paper's network for images of 8x8 to 32x32, and what its modules became, for ablations.

    Attributes:
      width: factor of all widths of table 1, above 0.
      bottlenecks: False leaves out the 1x1 reductions, as `googlenet_naive`.
      batch_norm: puts a `norm` after each convolution, and no response normalisation.
      factorized, residual: of `Inception`.
      norm: the module of that normalisation, called with train.
    """

    num_classes: int = 10
    auxiliary: bool = False
    width: float = 1.0
    bottlenecks: bool = True
    batch_norm: bool = False
    factorized: bool = False
    residual: bool = False
    norm: Callable = BatchNorm

    def _variant(self):
        options = {"factorized": self.factorized, "residual": self.residual, "bottlenecks": self.bottlenecks}
        return super()._variant()._replace(**options)

    def _scaled(self, width):
        return math.ceil(self.width * width)

    def _norm(self):
        return self.norm if self.batch_norm else None

    def _response_norm(self, x):
        return x if self.batch_norm else super()._response_norm(x)


class GoogLeNetBN(Network):
    """torchvision's network; norm: the normalisation after each convolution, called with train."""

    dropout_rate: Any = 0.2
    norm: Callable = functools.partial(BatchNorm, epsilon=1e-3)

    def _norm(self):
        return self.norm


MODELS = {
    "googlenet": functools.partial(GoogLeNet, variant="googlenet"),
    "googlenet_naive": functools.partial(GoogLeNet, variant="googlenet_naive"),
    "googlenet_bn": functools.partial(GoogLeNetBN, variant="googlenet_bn"),
    "googlenet_small": functools.partial(GoogLeNetSmall, variant="googlenet_small"),
}
