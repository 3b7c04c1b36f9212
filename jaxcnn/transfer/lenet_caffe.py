"""Caffe's LeNet for MNIST (caffe/examples/mnist/lenet.prototxt), for its weights.

    layer             output     parameters
    conv1  5x5        24x24x20          520
    pool1  max 2x2    12x12x20
    conv2  5x5        8x8x50         25,050
    pool2  max 2x2    4x4x50
    ip1               500           400,500
    ip2               10              5,010
                         in all     431,080

It is neither LeNet-5 nor what is commonly called so: it is wider, and its only non-linearity beside the poolings is
the relu behind ip1. Weights start as there, uniform within sqrt(3 / fan-in) of zero ("xavier"), biases at zero.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.operators.activation import relu
from jaxcnn.operators.convolution import Conv
from jaxcnn.operators.pooling import max_pool

XAVIER = nn.initializers.variance_scaling(1.0, "fan_in", "uniform")


class LeNetCaffe(nn.Module):
    """Caffe's LeNet; its images are 28x28x1.

    Attributes:
      num_classes: any number.
      dtype: what the layers compute in; parameters, ip2 and logits are float32.
    Raises:
      ValueError: the images are smaller than 16x16.
    """

    num_classes: int = 10
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, 28, 28, 1)
        if min(x.shape[1:3]) < 16:
            raise ValueError(f"lenet_caffe needs images of at least 16x16, got {x.shape}")
        options: dict[str, Any] = {"kernel_init": XAVIER, "dtype": self.dtype}
        features = {}
        x = features["conv1"] = Conv(20, 5, padding=0, name="conv1", **options)(x)  # (n, 24, 24, 20)
        x = features["pool1"] = max_pool(x, window=2, stride=2, ceil=True)  # (n, 12, 12, 20)
        x = features["conv2"] = Conv(50, 5, padding=0, name="conv2", **options)(x)  # (n, 8, 8, 50)
        x = features["pool2"] = max_pool(x, window=2, stride=2, ceil=True)  # (n, 4, 4, 50)
        x = features["ip1"] = relu(nn.Dense(500, name="ip1", **options)(x.reshape(x.shape[0], -1)))
        return nn.Dense(self.num_classes, kernel_init=XAVIER, name="ip2")(x.astype(jnp.float32)), features
