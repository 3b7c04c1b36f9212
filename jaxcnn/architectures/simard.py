"""The convolutional network of Simard, Steinkraus and Platt 2003 ("Best practices for convolutional neural networks").

    layer                               output    parameters, for 29x29x1
    conv1   5x5, stride 2, no padding   13x13x5          130
    conv2   5x5, stride 2, no padding   5x5x50         6,300
    fc      full connection             100          125,100
    output  full connection             10             1,010
                                                in all 132,540

There is no pooling: the stride is in the convolutions. MNIST's 28 pixels are padded to 29, so that every window fits.
The paper trains by the cross-entropy of a softmax. It does not name the units here; these are tanh.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.operators.activation import initializer, tanh
from jaxcnn.operators.convolution import Conv
from jaxcnn.operators.dense import HEAD_INIT

SMALLEST = 13  # the side of which the second convolution has one window

CLAIMS = {"simard_cnn": Claim((29, 29, 1), 132_540, 303_375, "130 + 6,300 + 125,100 + 1,010")}


class SimardCNN(nn.Module):
    """Two convolutions at stride 2 and a hidden full connection.

    Attributes:
      num_classes: any number.
      dtype: what the layers compute in; parameters, the output layer and logits are float32.
    Raises:
      ValueError: the images are too small.
    """

    num_classes: int = 10
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, 29, 29, 1)
        if min(x.shape[1:3]) < SMALLEST:
            raise ValueError(f"simard_cnn needs images of at least {SMALLEST}x{SMALLEST}, got {x.shape}")
        features: dict[str, jax.Array] = {}
        options: dict[str, Any] = {"kernel_init": initializer("tanh"), "dtype": self.dtype}
        for layer, maps in enumerate((5, 50), start=1):
            x = tanh(Conv(maps, 5, stride=2, padding=0, name=f"conv{layer}", **options)(x))
            features[f"conv{layer}"] = x  # (n, 13, 13, 5), (n, 5, 5, 50)
        x = x.reshape(x.shape[0], -1)
        x = features["fc"] = tanh(nn.Dense(100, name="fc", **options)(x))  # (n, 100)
        return nn.Dense(self.num_classes, kernel_init=HEAD_INIT, name="output")(x.astype(jnp.float32)), features


MODELS = {"simard_cnn": SimardCNN}
