"""The family [(conv - relu) * N - pool] * M - (fc - relu) * K - fc of the CS231n notes ("Layer patterns").

    stage              output                         parameters
    conv<m>_<n>        h / 2**(m - 1), widths[m - 1]  kernel_size**2 * c_in * c_out + c_out
    pool<m>            h / 2**m, widths[m - 1]        0
    fc<k>              hidden[k - 1]                  c_in * c_out + c_out
    output             num_classes                    c_in * c_out + c_out

M is the number of widths, K that of hidden layers. Zero-padding keeps the size of the image through a convolution,
2x2 max pooling halves it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.operators.activation import activation, initializer
from jaxcnn.operators.convolution import Conv
from jaxcnn.operators.dense import HEAD_INIT
from jaxcnn.operators.normalization import BatchNorm
from jaxcnn.operators.pooling import max_pool
from jaxcnn.operators.regularization import Dropout

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
      activation: a name in `jaxcnn.operators.ACTIVATIONS`; the weights are initialised to suit it.
      dropout_rate: before every full connection; a number or a traced scalar.
      batch_norm: puts a `norm` between each convolution or hidden full connection, then without bias, and its
        activation.
      norm: the module of that normalisation, called with train.
      dtype: what the layers compute in; parameters, the output layer and logits are float32.
    Raises:
      ValueError: an even kernel_size, an unknown activation, or images too small for M poolings.
    """

    num_classes: int = 10
    widths: Sequence[int] = (32, 64, 128)
    convolutions: int = 2
    hidden: Sequence[int] = (256,)
    kernel_size: int = 3
    activation: str = "relu"
    dropout_rate: Any = 0.0
    batch_norm: bool = False
    norm: Callable = BatchNorm
    dtype: Any = jnp.float32

    def __post_init__(self):
        super().__post_init__()
        if self.kernel_size % 2 == 0:
            raise ValueError(f"convnet keeps the size of an image only with an odd kernel_size, got {self.kernel_size}")

    @nn.compact
    def __call__(self, x, *, train: bool):  # (n, h, w, c)
        poolings = len(self.widths)
        if min(x.shape[1:3]) < 2**poolings:
            raise ValueError(f"{poolings} poolings need images of {2**poolings}x{2**poolings}, got {x.shape}")
        init = initializer(self.activation)
        options = {"use_bias": not self.batch_norm, "kernel_init": init, "dtype": self.dtype}
        features = {}
        for block, width in enumerate(self.widths, start=1):
            for layer in range(1, self.convolutions + 1):
                stage = f"conv{block}_{layer}"
                x = Conv(width, self.kernel_size, padding=self.kernel_size // 2, name=stage, **options)(x)
                x = features[stage] = self._activate(x, stage, train)
            x = features[f"pool{block}"] = max_pool(x, window=2)  # (n, h / 2**block, ..., width)
        x = x.reshape(x.shape[0], -1)
        for layer, width in enumerate(self.hidden, start=1):
            stage = f"fc{layer}"
            x = Dropout(self.dropout_rate, name=f"dropout{layer}")(x, train=train)
            x = nn.Dense(width, name=stage, **options)(x)
            x = features[stage] = self._activate(x, stage, train)  # (n, width)
        x = Dropout(self.dropout_rate, name="dropout_output")(x, train=train)
        return nn.Dense(self.num_classes, kernel_init=HEAD_INIT, name="output")(x.astype(jnp.float32)), features

    def _activate(self, x, stage, train):
        if self.batch_norm:
            x = self.norm(name=f"{stage}_norm")(x, train=train)
        return activation(self.activation)(x)


MODELS = {"convnet": ConvNet}
