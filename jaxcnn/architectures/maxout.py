"""Maxout networks for MNIST (Goodfellow, Warde-Farley, Mirza, Courville and Bengio 2013, arXiv:1302.4389, section 5.1).

    maxout_mnist_dense                parameters    maxout_mnist                                   output   parameters
    h0  240 units of 5 pieces            942,000    h0  8x8, 48 maps of 2 pieces                   21x21x48      6,240
    h1  240 units of 5 pieces            289,200        max 4x4, stride 2                          10x10x48
    y   full connection                    2,410    h1  8x8, padding 3, 48 maps of 2 pieces        9x9x48      295,008
                                                        max 4x4, stride 2                          4x4x48
                                                    h2  5x5, padding 3, 24 maps of 4 pieces        6x6x24      115,296
                                                        max 2x2, stride 2                          3x3x24
                                                    y   full connection                            10            2,170

The first sees an image as a vector in any order ("permutation invariant"). The paper prints no sizes; these are the
authors' files for Pylearn2, mnist_pi.yaml and mnist.yaml, whose poolings round their size up. Weights begin as
U(-0.005, 0.005) and stay within balls of radius 1.9365 (`config.optimizer.max_norm`; the first convolution's is 0.9
there). Pixels are dropped out at 0.2 and hidden units at 0.5. Pylearn2 has a bias for each place of a map; here maps
share theirs, and what dropout leaves of the pixels is scaled up as everywhere else in jaxcnn.
"""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.operators.activation import maxout
from jaxcnn.operators.convolution import Conv
from jaxcnn.operators.dense import Maxout
from jaxcnn.operators.pooling import max_pool
from jaxcnn.operators.regularization import Dropout

CLAIMS = {
    "maxout_mnist": Claim((28, 28, 1), 418_714, 30_746_736, "the authors' file for Pylearn2; from its layers"),
    "maxout_mnist_dense": Claim((28, 28, 1), 1_233_610, 1_231_200, "the authors' file for Pylearn2; from its layers"),
}


class MaxoutConv(NamedTuple):
    """A convolution of `maps` maxout maps of `pieces` each, and the max pooling behind it: (window, stride)."""

    kernel: int
    padding: int
    maps: int
    pieces: int
    pooling: tuple[int, int]


CONVOLUTIONS = (MaxoutConv(8, 0, 48, 2, (4, 2)), MaxoutConv(8, 3, 48, 2, (4, 2)), MaxoutConv(5, 3, 24, 4, (2, 2)))


def small_uniform(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """U(-0.005, 0.005), as the authors' files have it."""
    return jax.random.uniform(key, shape, dtype, -0.005, 0.005)


class MaxoutNet(nn.Module):
    """Convolutions or full connections of maxout units, under a softmax.

    Attributes:
      num_classes: any number.
      convolutions: of the network that sees maps.
      units, pieces: of each full connection of maxout units.
      dropout_rate: of hidden units; a number or a traced scalar.
      input_dropout: of pixels; a number.
      dtype: what the layers compute in; parameters, the output layer and logits are float32.
    Raises:
      ValueError: images that are too small for the convolutions.
    """

    num_classes: int = 10
    convolutions: tuple[MaxoutConv, ...] = ()
    units: tuple[int, ...] = ()
    pieces: int = 5
    dropout_rate: Any = 0.5
    input_dropout: float = 0.2
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, h, w, c)
        features: dict[str, jax.Array] = {}
        options: dict[str, Any] = {"kernel_init": small_uniform, "dtype": self.dtype}
        x = Dropout(self.input_dropout, name="dropout_input")(x, train=train)
        for layer, conv in enumerate(self.convolutions):
            outputs = conv.maps * conv.pieces
            x = Conv(outputs, conv.kernel, padding=conv.padding, name=f"h{layer}", **options)(x)
            x = features[f"h{layer}"] = maxout(x, pieces=conv.pieces)  # (n, h', w', maps)
            window, stride = conv.pooling
            x = features[f"pool{layer}"] = max_pool(x, window=window, stride=stride, ceil=True)
            x = Dropout(self.dropout_rate, name=f"dropout{layer}")(x, train=train)
        x = x.reshape(x.shape[0], -1)
        for layer, units in enumerate(self.units):
            x = features[f"h{layer}"] = Maxout(units, self.pieces, name=f"h{layer}", **options)(x)  # (n, units)
            x = Dropout(self.dropout_rate, name=f"dropout{layer}")(x, train=train)
        return nn.Dense(self.num_classes, kernel_init=small_uniform, name="y")(x.astype(jnp.float32)), features


MODELS = {
    "maxout_mnist": functools.partial(MaxoutNet, convolutions=CONVOLUTIONS),
    "maxout_mnist_dense": functools.partial(MaxoutNet, units=(240, 240)),
}
