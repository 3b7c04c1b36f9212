"""A small U-Net (Ronneberger, Fischer and Brox 2015, arXiv:1505.04597, figure 1).

    stage         layers                                                    output, of h x w
    encoder<k>    two 3x3, relu after each; 2x2 max pooling behind it       h / 2**(k - 1), width * 2**(k - 1)
    bottom        two 3x3, relu after each                                  h / 2**depth, width * 2**depth
    up<k>         2x2 transposed at stride 2 ("up-convolution")             h / 2**(k - 1), width * 2**(k - 1)
    decoder<k>    encoder<k> and up<k> concatenated; two 3x3, relu          h / 2**(k - 1), width * 2**(k - 1)
    output        1x1                                                       h, channels

The paper's has width 64 and depth 4, and its convolutions are not padded, so that its output is smaller than its input;
here they are, as in most that came after. It labels pixels; here they are pixels.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.architectures.image_output import check_output, finish, pad_to_multiple
from jaxcnn.operators.activation import relu
from jaxcnn.operators.convolution import Conv
from jaxcnn.operators.normalization import BatchNorm
from jaxcnn.operators.pooling import max_pool
from jaxcnn.operators.regularization import Dropout
from jaxcnn.operators.transposed import ConvTranspose

CLAIMS = {
    "unet_small": Claim(
        (64, 64, 3),
        1_925_667,
        576_454_656,
        "287,008 down, 885,248 at the bottom, 753,312 up and 99; 64 * 64 pixels, a quarter at each level",
    )
}


class UNet(nn.Module):
    """A U-Net for images of any size; other sizes than multiples of 2**depth are padded inside.

    Attributes:
      width: channels at full size; each halving doubles them.
      depth: number of halvings.
      residual: returns the input less what the network computes, which has to have its channels (Zhang et al. 2017).
      dropout_rate: at the end of the way down, as in the paper, before the bottom and behind it; a number or a traced
        scalar.
      batch_norm: puts a `norm` between each 3x3 convolution, then without bias, and its relu. The paper has none.
      norm: the module of that normalisation, called with train.
      output: "linear" or, for pixels from 0 to 1, "sigmoid".
      channels: of the image that is returned; 0: as the input has.
      dtype: what the layers compute in; parameters, batch statistics, the last layer and the image are float32.
    Raises:
      ValueError: an unknown output, or one that is no residual network's.
    """

    width: int = 32
    depth: int = 3
    residual: bool = False
    dropout_rate: Any = 0.0
    batch_norm: bool = False
    norm: Callable = BatchNorm
    output: str = "linear"
    channels: int = 0
    dtype: Any = jnp.float32

    result: ClassVar[str] = "image"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_output(self.output, residual=self.residual)

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, h, w, c)
        features, y = {}, pad_to_multiple(x, 2**self.depth)
        for level in range(1, self.depth + 1):
            y = features[f"encoder{level}"] = self._twice(y, level, f"encoder{level}", train)
            y = max_pool(y, window=2)
        y = Dropout(self.dropout_rate, name="dropout_encoder")(y, train=train)
        y = self._twice(y, self.depth + 1, "bottom", train)
        y = features["bottom"] = Dropout(self.dropout_rate, name="dropout_bottom")(y, train=train)
        for level in range(self.depth, 0, -1):
            y = ConvTranspose(self._width(level), 2, stride=2, dtype=self.dtype, name=f"up{level}")(y)
            features[f"up{level}"] = y
            y = jnp.concatenate([features[f"encoder{level}"], y], axis=-1)
            y = features[f"decoder{level}"] = self._twice(y, level, f"decoder{level}", train)
        y = Conv(self.channels or x.shape[3], 1, name="output")(y.astype(jnp.float32))
        return finish(y, x, output=self.output, residual=self.residual), features

    def _width(self, level):
        return self.width * 2 ** (level - 1)

    def _twice(self, y, level, name, train):
        for layer in (1, 2):
            convolution = f"{name}_conv{layer}"
            y = Conv(self._width(level), 3, use_bias=not self.batch_norm, dtype=self.dtype, name=convolution)(y)
            y = relu(self.norm(name=f"{name}_norm{layer}")(y, train=train) if self.batch_norm else y)
        return y


MODELS = {"unet_small": UNet}
