"""BAGAN (Mariani et al. 2018, arXiv:1803.09655): an autoencoder whose halves start a generator and a discriminator.

    trunk         layer                                                  output, of size s
    conv1         3x3 at stride 2, leaky relu, dropout                   s / 2, trunk[0]
    conv2         3x3, leaky relu, dropout                               s / 2, trunk[1]
    conv3, conv4  the same again                                         s / 4, trunk[3]

    encoder       the trunk, a full connection                           code
    discriminator a trunk of its own, a full connection                  num_classes + 1; the last: generated
    generator     full connections to `hidden` and the map, relu         s / 4, widths[0]
                  pixels repeated, 5x5, relu                             s / 2, widths[1]
                  pixels repeated, 5x5, relu                             s, widths[2]
                  2x2, tanh                                              s, channels

The generator, the decoder of the autoencoder, has no biases; nothing has a norm. The paper leaves the layers to its
published code (IBM/BAGAN), whose widths, leaky relu of slope 0.3 and dropout of 0.3 these are.

A code is drawn from the Gaussian of a class: `draw` reads their means and factors among the batch statistics, which
the task bagan fits to the codes of the training images.
"""

import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.architectures.dcgan import CHANNELS, from_pixels, to_pixels
from jaxcnn.operators.activation import leaky_relu, relu
from jaxcnn.operators.convolution import Conv
from jaxcnn.operators.regularization import Dropout
from jaxcnn.operators.resize import resize_nearest

GLOROT_NORMAL, GLOROT_UNIFORM = nn.initializers.glorot_normal(), nn.initializers.glorot_uniform()

CLAIMS = {  # multiply-adds are those of the autoencoder
    "bagan_28": Claim(
        (28, 28, 1),
        10_332_015,
        832_729_216,
        "387,840 of each trunk, 1,254,500 to the code, 137,995 to the 11 outputs; 8,163,840 of the generator: 102,400 "
        "+ 6,422,528 + 2 * 819,200 + 512",
    ),
    "bagan_32": Claim(
        (32, 32, 3),
        12_726_511,
        1_088_811_008,
        "388,416 of each trunk, 1,638,500 to the code, 180,235 to the 11 outputs; 10,130,944 of the generator: 102,400 "
        "+ 8,388,608 + 2 * 819,200 + 1,536",
    ),
}


class Trunk(nn.Module):
    """Images in [0, 1] -> (flat features (n, ...), {stage: map}); attributes as in `BAGAN`."""

    widths: Sequence[int]
    dropout_rate: Any
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
        features, y = {}, from_pixels(x)
        for layer, width in enumerate(self.widths, start=1):
            stride = 1 if layer % 2 == 0 else 2
            conv: dict[str, Any] = {"stride": stride, "padding": 1, "kernel_init": GLOROT_UNIFORM, "dtype": self.dtype}
            y = leaky_relu(Conv(width, 3, name=f"conv{layer}", **conv)(y), slope=0.3)
            y = features[f"conv{layer}"] = Dropout(self.dropout_rate, name=f"dropout{layer}")(y, train=train)
        return y.reshape(y.shape[0], -1), features


class Headed(nn.Module):
    """A trunk and a full connection: (n, features), float32, and the maps of the trunk."""

    features: int
    trunk: Sequence[int]
    dropout_rate: Any
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
        y, stages = Trunk(self.trunk, self.dropout_rate, self.dtype, name="trunk")(x, train=train)
        head = nn.Dense(self.features, kernel_init=GLOROT_UNIFORM, name="head")
        return head(y.astype(jnp.float32)), stages


class Decoder(nn.Module):
    """Codes (n, d) -> images (n, size, size, channels) in [0, 1], float32; attributes as in `BAGAN`."""

    size: int
    channels: int
    hidden: int
    widths: Sequence[int]
    dtype: Any

    @nn.compact
    def __call__(self, codes: jax.Array) -> jax.Array:
        first, *others = self.widths
        side = self.size // 2 ** len(others)
        plain: dict[str, Any] = {"use_bias": False, "dtype": self.dtype}
        y = relu(nn.Dense(self.hidden, kernel_init=GLOROT_UNIFORM, name="project1", **plain)(codes))
        y = relu(nn.Dense(side**2 * first, kernel_init=GLOROT_UNIFORM, name="project2", **plain)(y))
        y = y.reshape(-1, side, side, first)
        for layer, width in enumerate(others, start=1):
            y = relu(Conv(width, 5, kernel_init=GLOROT_NORMAL, name=f"conv{layer}", **plain)(resize_nearest(y)))
        last = Conv(self.channels, 2, padding="SAME", use_bias=False, kernel_init=GLOROT_NORMAL, name="output")
        return to_pixels(jnp.tanh(last(y.astype(jnp.float32))))


class Gaussians(nn.Module):
    """A Gaussian for each class: `mean` (K, d) and `factor` (K, d, d), a root of the covariance, of batch_stats.

    N(0, I) until they are fitted. Codes are mean_k + factor_k z for z of N(0, I).
    """

    classes: int
    code: int

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array) -> jax.Array:
        size = self.classes, self.code
        mean = self.variable("batch_stats", "mean", jnp.zeros, size)
        factor = self.variable("batch_stats", "factor", lambda: jnp.tile(jnp.eye(self.code), (self.classes, 1, 1)))
        return mean.value[labels] + jnp.einsum("nij,nj->ni", factor.value[labels], z)


class BAGAN(nn.Module):
    """An autoencoder on images, (n, size, size, channels) in [0, 1]; `draw`, `generate` and `judge` for the task bagan.

    Parameters lie under "encoder", "generator" (the decoder) and "discriminator", statistics under "gaussians".

    Attributes:
      size: pixels of a side, a multiple of 4.
      channels: of an image; 0: 1 at 28 pixels, 3 at 32.
      trunk: channels of the four convolutions of a trunk.
      hidden: units of the generator's first layer.
      widths: channels of the generator at a quarter of the size, at half of it and at all of it.
      code: numbers in a code.
      num_classes: number of classes K.
      dropout_rate: of the trunks; the autoencoder's and the discriminator's.
      dtype: what the layers compute in; parameters, images and results are float32.
    """

    size: int = 28
    channels: int = 0
    trunk: Sequence[int] = (32, 64, 128, 256)
    hidden: int = 1024
    widths: Sequence[int] = (128, 256, 128)
    code: int = 100
    num_classes: int = 10
    dropout_rate: Any = 0.3
    dtype: Any = jnp.float32

    result: ClassVar[str] = "image"
    conditional: ClassVar[bool] = True

    def setup(self) -> None:
        trunk = self.trunk, self.dropout_rate, self.dtype
        channels = self.channels or CHANNELS[self.size]
        self.encoder = Headed(self.code, *trunk)
        self.generator = Decoder(self.size, channels, self.hidden, self.widths, self.dtype)
        self.discriminator = Headed(self.num_classes + 1, *trunk)
        self.gaussians = Gaussians(self.num_classes, self.code)

    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
        code, features = self.encode(x, train=train)
        if self.is_initializing():  # all parameters are made by one call on images
            self.judge(x, train=train)
            self.gaussians(code, jnp.zeros(len(x), jnp.int32))
        return self.generator(code), {**features, "code": code}

    def encode(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
        """(codes (n, code), features) of images in [0, 1]."""
        return self.encoder(x, train=train)

    def decode(self, codes: jax.Array, shape: Sequence[int]) -> jax.Array:
        """Images (n, size, size, channels) in [0, 1] of codes (n, code), whatever the `shape` that is asked for."""
        return self.generator(codes)

    def draw(self, keys: jax.Array, labels: jax.Array) -> jax.Array:
        """Codes (n, code) of the Gaussians of the classes `labels` (n,), one for each key (n,)."""
        z = jax.vmap(lambda key: jax.random.normal(key, (self.code,)))(keys)
        return self.gaussians(z, labels)

    def generate(self, codes: jax.Array, labels: jax.Array, *, train: bool) -> jax.Array:
        """Images (n, size, size, channels) in [0, 1], float32; the class is in the code."""
        return self.generator(codes)

    def judge(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array | None, dict[str, jax.Array]]:
        """(source (n,), class logits (n, num_classes), features) of images in [0, 1], by a softmax of K + 1 outputs.

        The last output is that of generated images. The source is the logit of being real: its sigmoid is the sum of
        the probabilities of the K classes.
        """
        logits, features = self.discriminator(x, train=train)
        classes, generated = logits[:, :-1], logits[:, -1]
        return jax.nn.logsumexp(classes, axis=1) - generated, classes, features


MODELS = {f"bagan_{size}": functools.partial(BAGAN, size=size) for size in CHANNELS}
