"""DeepFace's order of layers, small (Taigman, Yang, Ranzato and Wolf 2014, "DeepFace", figure 2).

    C1   convolution 5x5              108x88x16
    M2   max 3x3, stride 2            53x43x16
    C3   convolution 5x5, stride 2    25x20x16
    L4   locally connected 3x3        23x18x16
    L5   the same, stride 2           11x8x16
    L6   the same                     9x6x16
    F7   fully connected              128, dropout
    F8   fully connected              the people

The order is the paper's, two convolutions about a pooling, three layers without shared weights, two fully connected
ones, each but the last behind a relu; sizes and widths are ours, for ORL's faces of 92x112 and a CPU. Where faces are
aligned, a place of the image is a place of a face, and weights of its own can be of use there (section 3).
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.operators.activation import relu
from jaxcnn.operators.convolution import HE_FAN_IN, Conv
from jaxcnn.operators.locally_connected import LocallyConnected
from jaxcnn.operators.pooling import max_pool
from jaxcnn.operators.regularization import Dropout

CLAIMS = {"deepface_small": Claim((112, 92, 1), 1_412_632, 8_398_336, "from the layers of its table")}


class DeepFaceSmall(nn.Module):
    """Convolutions, then layers that share no weights, or do where `local` is false.

    Attributes:
      num_classes: any number.
      width: maps of every layer up to L6.
      hidden: units of F7.
      local: whether L4 to L6 are locally connected; else convolutions of the same sizes.
      dropout_rate: behind F7, a number or a traced scalar.
      dtype: what the layers compute in; parameters, F8 and logits are float32.
    Raises:
      ValueError: the image is too small.
    """

    num_classes: int = 40
    width: int = 16
    hidden: int = 128
    local: bool = True
    dropout_rate: Any = 0.5
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, 112, 92, 1)
        if min(x.shape[1:3]) < 47:  # leaves one pixel to L6
            raise ValueError(f"deepface_small needs images of at least 47x47, got {x.shape}")
        features, layer = {}, LocallyConnected if self.local else Conv
        x = features["C1"] = relu(Conv(self.width, 5, padding=0, dtype=self.dtype, name="C1")(x))
        x = features["M2"] = max_pool(x, window=3, stride=2)
        x = features["C3"] = relu(Conv(self.width, 5, stride=2, padding=0, dtype=self.dtype, name="C3")(x))
        for name, stride in (("L4", 1), ("L5", 2), ("L6", 1)):
            x = layer(self.width, 3, stride=stride, padding=0, dtype=self.dtype, name=name)(x)
            x = features[name] = relu(x)
        x = x.reshape(x.shape[0], -1)
        x = features["F7"] = relu(nn.Dense(self.hidden, kernel_init=HE_FAN_IN, dtype=self.dtype, name="F7")(x))
        x = Dropout(self.dropout_rate, name="dropout7")(x, train=train)
        return nn.Dense(self.num_classes, kernel_init=HE_FAN_IN, name="F8")(x.astype(jnp.float32)), features


MODELS = {"deepface_small": DeepFaceSmall}
