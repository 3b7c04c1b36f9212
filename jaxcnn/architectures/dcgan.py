"""DCGAN (Radford, Metz and Chintala 2016, arXiv:1511.06434): a generator and a discriminator of strided convolutions.

    generator    layer                                          output, of size s and K widths
    project      a full connection, norm, relu                  s / 2**K, widths[K - 1]
    deconv<k>    4x4 transposed at stride 2, norm, relu         s / 2**(k - 1), widths[k - 2]
    deconv1      4x4 transposed at stride 2, tanh               s, channels

    discriminator
    conv1        4x4 at stride 2, leaky relu of slope 0.2       s / 2, widths[0]
    conv<k>      4x4 at stride 2, norm, leaky relu              s / 2**k, widths[k - 1]
    source       a full connection                              1, positive for a real image
    classes      a full connection, where conditional           num_classes

The paper's kernels are 5x5 at 64x64 pixels; 4x4 is what its later implementations have, so that the stride divides the
kernel. All weights begin as N(0, 0.02**2). Codes are N(0, 1) here, uniform in the paper.

Where conditional, the class is appended to the code as a one-hot vector and the discriminator has a second head, the
auxiliary classifier of ACGAN (Odena, Olah and Shlens 2017, arXiv:1610.09585).
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.operators.activation import leaky_relu, relu
from jaxcnn.operators.convolution import Conv
from jaxcnn.operators.normalization import BatchNorm
from jaxcnn.operators.transposed import ConvTranspose

INIT = nn.initializers.normal(0.02)
WIDTHS = {28: (64, 128), 32: (64, 128, 256)}
CHANNELS = {28: 1, 32: 3}

CLAIMS = {  # multiply-adds are those of the discriminator
    "dcgan_28": Claim(
        (28, 28, 1),
        898_370,
        6_629_504,
        "759,681 of the generator: 627,200 + 131,072 + 1,025, and 384 of the norms; 138,689 of the discriminator: "
        "1,088 + 131,072 + 6,273, and 256",
    ),
    "dcgan_32": Claim(
        (32, 32, 3),
        1_732_292,
        17_567_744,
        "1,068,931 of the generator: 409,600 + 524,288 + 131,072 + 3,075, and 896 of the norms; 663,361 of the "
        "discriminator: 3,136 + 131,072 + 524,288 + 4,097, and 768",
    ),
}


def to_pixels(y: jax.Array) -> jax.Array:
    """Images in [0, 1] from the range of tanh, [-1, 1]."""
    return (y + 1) / 2


def from_pixels(x: jax.Array) -> jax.Array:
    """Images from [0, 1] to the range of tanh, [-1, 1]."""
    return 2 * x - 1


class Generator(nn.Module):
    """Codes (n, d) -> images (n, size, size, channels) in [0, 1], float32; attributes as in `DCGAN`."""

    size: int
    channels: int
    widths: Sequence[int]
    norm: Callable
    dtype: Any

    @nn.compact
    def __call__(self, codes: jax.Array, *, train: bool) -> jax.Array:
        hidden: dict[str, Any] = {"use_bias": False, "kernel_init": INIT, "dtype": self.dtype}
        side = self.size // 2 ** len(self.widths)
        y = nn.Dense(side**2 * self.widths[-1], name="project", **hidden)(codes)
        y = relu(self.norm(name="project_norm")(y.reshape(-1, side, side, self.widths[-1]), train=train))
        for layer in range(len(self.widths), 1, -1):
            y = ConvTranspose(self.widths[layer - 2], 4, stride=2, padding=1, name=f"deconv{layer}", **hidden)(y)
            y = relu(self.norm(name=f"norm{layer}")(y, train=train))
        last = ConvTranspose(self.channels, 4, stride=2, padding=1, kernel_init=INIT, name="deconv1")
        return to_pixels(jnp.tanh(last(y.astype(jnp.float32))))


class Discriminator(nn.Module):
    """Images in [0, 1] -> (source (n,), class logits (n, classes) or None, features); attributes as in `DCGAN`."""

    widths: Sequence[int]
    classes: int
    spectral: bool
    norm: Callable
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array | None, dict[str, jax.Array]]:
        features, y = {}, from_pixels(x)
        for layer, width in enumerate(self.widths, start=1):
            normed = layer > 1 and not self.spectral
            conv = Conv(
                width,
                4,
                stride=2,
                padding=1,
                use_bias=not normed,
                kernel_init=INIT,
                dtype=self.dtype,
                name=f"conv{layer}",
            )
            y = self._bounded(conv, y, train)
            y = self.norm(name=f"norm{layer}")(y, train=train) if normed else y
            y = features[f"conv{layer}"] = leaky_relu(y, slope=0.2)
        y = y.reshape(y.shape[0], -1).astype(jnp.float32)
        source = self._bounded(nn.Dense(1, kernel_init=INIT, name="source"), y, train)[:, 0]
        if not self.classes:
            return source, None, features
        classes = nn.Dense(self.classes, kernel_init=INIT, name="classes")
        return source, self._bounded(classes, y, train), features

    def _bounded(self, layer, x, train):
        if not self.spectral:
            return layer(x)
        return nn.SpectralNorm(layer, name=f"{layer.name}_spectral")(x, update_stats=train)


class DCGAN(nn.Module):
    """A generative network: `draw`, `generate` and `judge` are what the tasks gan and acgan call.

    Parameters lie under "generator" and "discriminator". Called on images it judges them: (n, 1), as `judge` has it.

    Attributes:
      size: pixels of a side; a multiple of 2**K for K widths.
      channels: of an image; 0: 1 at 28 pixels, 3 at 32.
      widths: channels of the discriminator after each halving, of the generator before each doubling; (): as above.
      code: numbers in a code.
      conditional: whether the generator gets the class and the discriminator tells it.
      num_classes: where conditional.
      spectral: the discriminator's layers have spectral norm 1 in place of batch normalisation (Miyato et al. 2018,
        arXiv:1802.05957), by one power iteration a call; its vectors are batch statistics.
      norm: the normalisation, called with train.
      dtype: what the layers compute in; parameters, statistics, images and results are float32.
    Raises:
      ValueError: the widths do not fit the size.
    """

    size: int = 28
    channels: int = 0
    widths: Sequence[int] = ()
    code: int = 100
    conditional: bool = False
    num_classes: int = 10
    spectral: bool = False
    norm: Callable = BatchNorm
    dtype: Any = jnp.float32

    result: ClassVar[str] = "source"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size % 2 ** len(self.stages):
            raise ValueError(f"images of {self.size} pixels are not halved {len(self.stages)} times: give fewer widths")

    @property
    def stages(self) -> tuple[int, ...]:
        """The widths, those of the size where none are given."""
        return tuple(self.widths) or WIDTHS[self.size]

    def setup(self) -> None:
        common: dict[str, Any] = {"norm": self.norm, "dtype": self.dtype}
        channels = self.channels or CHANNELS[self.size]
        classes = self.num_classes if self.conditional else 0
        self.generator = Generator(self.size, channels, self.stages, **common)
        self.discriminator = Discriminator(self.stages, classes, self.spectral, **common)

    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
        source, _, features = self.judge(x, train=train)
        if self.is_initializing():  # all parameters are made by one call on images
            self.generate(jnp.zeros((1, self.code)), jnp.zeros(1, jnp.int32), train=train)
        return source[:, None], features

    def draw(self, keys: jax.Array, labels: jax.Array) -> jax.Array:
        """Codes (n, code) of N(0, 1), one for each key (n,)."""
        return jax.vmap(lambda key: jax.random.normal(key, (self.code,)))(keys)

    def generate(self, codes: jax.Array, labels: jax.Array, *, train: bool) -> jax.Array:
        """Images (n, size, size, channels) in [0, 1], float32, of codes (n, code) and labels (n,)."""
        if self.conditional:
            codes = jnp.concatenate([codes, jax.nn.one_hot(labels, self.num_classes)], axis=1)
        return self.generator(codes, train=train)

    def judge(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array | None, dict[str, jax.Array]]:
        """(source (n,), class logits (n, num_classes) or None, features) of images in [0, 1].

        The source is the logit of being real.
        """
        return self.discriminator(x, train=train)


MODELS = {f"dcgan_{size}": functools.partial(DCGAN, size=size) for size in WIDTHS}
