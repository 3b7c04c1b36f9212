"""The network of conventions.py, in which everything that libraries do in different ways is an option.

A config names it `_conventions:Network`.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jaxcnn.operators import BatchNorm, Conv, average_pool, global_average_pool, local_response_norm, relu


class Network(nn.Module):
    """Three convolutions with batch norm, two of them at stride 2, a response normalisation and an average pooling.

        layer                      output, for 16x16x1      parameters
        conv1  3x3                 16x16x16                 144, norm 32
               response norm
        conv2  3x3, stride 2       8x8x32                   4,608, norm 64
               average 3x3, stride 2, padding 1: 4x4x32
        conv3  3x3, stride 2       2x2x64                   18,432, norm 128
               mean over the map, full connection           650

    Attributes:
      num_classes: any number.
      padding: at stride 2: "SAME_TORCH" or "SAME", see `jaxcnn.operators.padding`.
      epsilon, momentum, bessel: of `BatchNorm`.
      k, divide_by_size: of `local_response_norm`.
      count_padding: of `average_pool`.
      dtype: what the layers compute in.
    """

    num_classes: int = 10
    padding: str = "SAME_TORCH"
    epsilon: float = 1e-5
    momentum: float = 0.9
    bessel: bool = True
    k: float = 1.0
    divide_by_size: bool = True
    count_padding: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, *, train: bool):  # (n, h, w, c)
        x = self._convolution(x, 1, 1, train)  # (n, h, w, 16)
        x = local_response_norm(x, k=self.k, divide_by_size=self.divide_by_size)
        x = self._convolution(x, 2, 2, train)  # (n, h / 2, w / 2, 32)
        x = average_pool(x, window=3, stride=2, padding=1, count_padding=self.count_padding)  # (n, h / 4, w / 4, 32)
        x = self._convolution(x, 3, 2, train)  # (n, h / 8, w / 8, 64)
        x = global_average_pool(x)
        return nn.Dense(self.num_classes, name="output")(x.astype(jnp.float32)), {"pool": x}

    def _convolution(self, x, layer, stride, train):
        padding = self.padding if stride > 1 else 1
        options = {"padding": padding, "use_bias": False, "dtype": self.dtype, "name": f"conv{layer}"}
        x = Conv(8 * 2**layer, 3, stride=stride, **options)(x)
        norm = BatchNorm(self.momentum, self.epsilon, bessel=self.bessel, name=f"norm{layer}")
        return relu(norm(x, train=train))
