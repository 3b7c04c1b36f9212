"""The convolutional part of Lawrence, Giles, Tsoi and Back 1997 (IEEE Trans. Neural Networks 8(1)), for faces of ORL.

    window   5x5, stride 4, padding 1   28x23x3
    conv1    3x3                        26x21x20
    sub2     average 2x2                13x10x20
    conv3    3x3                        11x8x25
    sub4     average 2x2                5x4x25
    output   fully connected            40, the people of ORL

In the paper a self-organising map, learned before, gives each window of the 92x112 image three coordinates; here the
three numbers of a window are learned with the rest, as the Karhunen-Loeve transform that the paper puts in its place
could be. The output takes all maps of conv1 in all of conv3. The widths 20, 25 and 40 were written down without the
paper's table at hand, so that the ledger has no row for them: they are options. Tanh is behind every convolution and
sub-sampling but the windows, which are linear.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.operators.activation import initializer, tanh
from jaxcnn.operators.convolution import Conv
from jaxcnn.operators.pooling import average_pool

CLAIMS = {"som_cnn": Claim((112, 92, 1), 25_203, 759_140, "from the layers of its table")}


class SomCNN(nn.Module):
    """Windows of an image as a few numbers each, then two convolutions with sub-sampling.

    Attributes:
      num_classes: any number.
      windows: numbers that stand for a window of 5x5.
      widths: of conv1 and conv3.
      dtype: what the layers compute in; parameters, the output and logits are float32.
    Raises:
      ValueError: the image is too small.
    """

    num_classes: int = 40
    windows: int = 3
    widths: Sequence[int] = (20, 25)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, 112, 92, 1)
        if min(x.shape[1:3]) < 39:  # leaves one pixel to sub4
            raise ValueError(f"som_cnn needs images of at least 39x39, got {x.shape}")
        options: dict[str, Any] = {"kernel_init": initializer("tanh"), "dtype": self.dtype}
        features = {}
        x = features["window"] = Conv(self.windows, 5, stride=4, padding=1, name="window", **options)(x)
        for number, width in zip((1, 3), self.widths, strict=True):
            name = f"conv{number}"
            x = features[name] = tanh(Conv(width, 3, padding=0, name=name, **options)(x))
            x = features[f"sub{number + 1}"] = tanh(average_pool(x, window=2))
        x = x.reshape(x.shape[0], -1).astype(jnp.float32)
        return nn.Dense(self.num_classes, kernel_init=options["kernel_init"], name="output")(x), features


MODELS = {"som_cnn": SomCNN}
