"""The family [(conv - relu) * N - pool] * M - (fc - relu) * K - fc of the CS231n notes ("Layer patterns").

    stage              output                         parameters
    conv<m>_<n>        h / 2**(m - 1), widths[m - 1]  kernel_size**2 * c_in * c_out + c_out
    pool<m>            h / 2**m, widths[m - 1]        0
    fc<k>              hidden[k - 1]                  c_in * c_out + c_out
    output             num_classes                    c_in * c_out + c_out

M is the number of widths, K that of hidden layers. Zero-padding keeps the size of the image through a convolution,
pooling halves it. It is the network of the ablations: activation, pooling, kernels, normalisation and initial weights
are options, and everything else stays the same.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.errors import look_up
from jaxcnn.operators.activation import INITIALIZERS, PReLU, activation, maxout
from jaxcnn.operators.convolution import HE_FAN_IN, Conv
from jaxcnn.operators.dense import HEAD_INIT
from jaxcnn.operators.normalization import BatchNorm
from jaxcnn.operators.pooling import average_pool, l2_pool, max_pool
from jaxcnn.operators.regularization import Dropout
from jaxcnn.operators.response import local_response_norm
from jaxcnn.operators.separable import FactorizedConv

POOLINGS = {
    "max": functools.partial(max_pool, window=2),
    "max_overlapping": functools.partial(max_pool, window=3, stride=2, ceil=True),  # Krizhevsky et al. 2012, 3.4
    "average": functools.partial(average_pool, window=2),
    "l2": functools.partial(l2_pool, window=2),
    "strided": None,  # a 3x3 convolution at stride 2 (Springenberg et al. 2014, arXiv:1412.6806)
}

INITIALISATIONS = {
    "he": HE_FAN_IN,
    "glorot": nn.initializers.glorot_uniform(),
    "lecun": nn.initializers.lecun_normal(),
    "normal": nn.initializers.normal(0.01),  # Krizhevsky et al. 2012, section 5
}

MAXOUT_PIECES = 2
SUITED = {  # the larger of two normal values has the mean square of one, so maxout keeps a variance of 1 / fan
    **INITIALIZERS,
    "prelu": HE_FAN_IN,
    "maxout": INITIALISATIONS["lecun"],
}

CLAIMS = {
    "convnet": Claim(
        (32, 32, 3), 814_122, 39_160_320, "896 + 9,248 + 18,496 + 36,928 + 73,856 + 147,584 + 524,544 + 2,570"
    ),
}


class ConvNet(nn.Module):
    """One network of the family.

    Attributes:
      num_classes: any number.
      widths: channels of each block; their number is M.
      convolutions: N, in every block.
      hidden: widths of the hidden full connections; their number is K, which may be 0.
      kernel_size: odd.
      factorized: each convolution but the first is a 1xN and an Nx1 one, activated between (Szegedy et al. 2015).
      activation: a name in `jaxcnn.operators.ACTIVATIONS`, `prelu` or `maxout` (of 2: layers compute twice the width).
      kernel_init: a name in INITIALISATIONS; empty: He's for the relu family, else what suits the activation.
      pooling: a name in POOLINGS.
      response_norm: puts a local response normalisation before each pooling.
      dropout_rate: before every full connection; a number or a traced scalar.
      batch_norm: puts a `norm` between each convolution or hidden full connection, then without bias, and its
        activation.
      norm: the module of that normalisation, called with train.
      dtype: what the layers compute in; parameters, the output layer and logits are float32.
    Raises:
      ValueError: an even kernel_size, an unknown name, or images too small for M poolings.
    """

    num_classes: int = 10
    widths: Sequence[int] = (32, 64, 128)
    convolutions: int = 2
    hidden: Sequence[int] = (256,)
    kernel_size: int = 3
    factorized: bool = False
    activation: str = "relu"
    kernel_init: str = ""
    pooling: str = "max"
    response_norm: bool = False
    dropout_rate: Any = 0.0
    batch_norm: bool = False
    norm: Callable = BatchNorm
    dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel_size % 2 == 0:
            raise ValueError(f"convnet keeps the size of an image only with an odd kernel_size, got {self.kernel_size}")

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, h, w, c)
        poolings = len(self.widths)
        if min(x.shape[1:3]) < 2**poolings:
            raise ValueError(f"{poolings} poolings need images of {2**poolings}x{2**poolings}, got {x.shape}")
        features = {}
        for block, width in enumerate(self.widths, start=1):
            for layer in range(1, self.convolutions + 1):
                stage = f"conv{block}_{layer}"
                x = self._convolution(x, width, stage, train, first=block == layer == 1)
                x = features[stage] = self._activate(x, stage, train)
            if self.response_norm:
                x = local_response_norm(x)
            x = features[f"pool{block}"] = self._pool(x, f"pool{block}", train)  # (n, h / 2**block, ..., width)
        x = x.reshape(x.shape[0], -1)
        for layer, width in enumerate(self.hidden, start=1):
            stage = f"fc{layer}"
            x = Dropout(self.dropout_rate, name=f"dropout{layer}")(x, train=train)
            x = nn.Dense(self._outputs(width), name=stage, **self._options())(x)
            x = features[stage] = self._activate(x, stage, train)  # (n, width)
        x = Dropout(self.dropout_rate, name="dropout_output")(x, train=train)
        return nn.Dense(self.num_classes, kernel_init=HEAD_INIT, name="output")(x.astype(jnp.float32)), features

    def _options(self):
        if self.kernel_init:
            init = look_up(self.kernel_init, table=INITIALISATIONS, kind="kernel_init")
        else:
            init = look_up(self.activation, table=SUITED, kind="activation")
        return {"use_bias": not self.batch_norm, "kernel_init": init, "dtype": self.dtype}

    def _outputs(self, width):
        return MAXOUT_PIECES * width if self.activation == "maxout" else width

    def _convolution(self, x, width, name, train, *, first):
        if self.factorized and not first:
            between = functools.partial(self._activate, stage=f"{name}_between", train=train)
            middle = self._outputs(width)
            return FactorizedConv(middle, self.kernel_size, between=between, name=name, **self._options())(x)
        return Conv(
            self._outputs(width), self.kernel_size, padding=self.kernel_size // 2, name=name, **self._options()
        )(x)

    def _pool(self, x, name, train):
        pool = look_up(self.pooling, table=POOLINGS, kind="pooling")
        if pool is not None:
            return pool(x)
        x = Conv(self._outputs(x.shape[-1]), 3, stride=2, padding=1, name=name, **self._options())(x)
        return self._activate(x, name, train)

    def _activate(self, x, stage, train):
        if self.batch_norm:
            x = self.norm(name=f"{stage}_norm")(x, train=train)
        if self.activation == "maxout":
            return maxout(x, pieces=MAXOUT_PIECES)
        return PReLU(name=f"{stage}_prelu")(x) if self.activation == "prelu" else activation(self.activation)(x)


MODELS = {"convnet": ConvNet}
