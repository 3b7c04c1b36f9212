"""A convolutional autoencoder (Masci et al. 2011, "Stacked convolutional auto-encoders"), strided as in DCGAN.

    stage        layer                                         output, of h x w
    conv<k>      3x3 at stride 2, norm, relu                   h / 2**k, widths[k - 1]
    code         1x1, without a bias                           h / 2**K, code
    expand       1x1, norm, relu                               h / 2**K, widths[K - 1]
    deconv<k>    doubles the size, norm, relu                  h / 2**(k - 1), widths[k - 2]
    deconv1      doubles the size                              h, channels

K is the number of widths. In place of the paper's poolings convolutions have stride 2 (Radford et al. 2015,
arXiv:1511.06434, with batch normalisation everywhere but at the ends). The decoder doubles the size in one of two ways:
"resize" repeats each pixel and convolves 3x3, "transposed" is a transposed convolution, 4x4 so that the stride divides
the kernel; Odena et al. 2016 ("Deconvolution and checkerboard artifacts") compare them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.architectures.image_output import Autoencoder, check_output, finish, pad_to_multiple
from jaxcnn.operators.activation import relu
from jaxcnn.operators.convolution import Conv
from jaxcnn.operators.normalization import BatchNorm
from jaxcnn.operators.resize import resize_nearest
from jaxcnn.operators.transposed import ConvTranspose

DECODERS = ("resize", "transposed")

CLAIMS = {
    "autoencoder_conv": Claim(
        (32, 32, 3),
        191_043,
        12_967_936,
        "93,024 down, 2 * 2,048 to the code and back, 93,027 up, 896 of the norms; 3x3 at 16, 8, 4 and 8, 16, 32",
    )
}


class AutoencoderConv(Autoencoder):
    """A convolutional autoencoder for images of any size; other sizes than multiples of 2**K are padded inside.

    Attributes:
      widths: channels after each halving of the image.
      code: channels of the code, a map.
      decoder: "resize" or "transposed".
      output: "sigmoid", for pixels from 0 to 1, or "linear".
      channels: of the image that is returned; 0: as the input has.
      norm: the normalisation, called with train.
      dtype: what the layers compute in; parameters, batch statistics, the last layer and the image are float32.
    Raises:
      ValueError: an unknown decoder or output.
    """

    widths: Sequence[int] = (32, 64, 128)
    code: int = 16
    decoder: str = "resize"
    output: str = "sigmoid"
    channels: int = 0
    norm: Callable = BatchNorm
    dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        super().__post_init__()
        check_output(self.output)
        if self.decoder not in DECODERS:
            raise ValueError(f"unknown decoder {self.decoder!r}; known: {', '.join(DECODERS)}")

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool, code: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, h, w, c)
        hidden: dict[str, Any] = {"use_bias": False, "dtype": self.dtype}
        features = {}
        if code is None:
            y = pad_to_multiple(x, 2 ** len(self.widths))
            for layer, width in enumerate(self.widths, start=1):
                y = Conv(width, 3, stride=2, padding=1, name=f"conv{layer}", **hidden)(y)
                y = features[f"conv{layer}"] = self._activated(y, f"norm{layer}", train)  # (n, h / 2**layer, ...)
            code = Conv(self.code, 1, name="code", **hidden)(y)  # the norm to come would lose a bias
        y = features["code"] = code
        y = Conv(self.widths[-1], 1, name="expand", **hidden)(y)
        y = features["expand"] = self._activated(y, "expand_norm", train)
        for layer in range(len(self.widths), 1, -1):
            y = self._doubled(y, self.widths[layer - 2], f"deconv{layer}", **hidden)
            y = features[f"deconv{layer}"] = self._activated(y, f"denorm{layer}", train)
        y = self._doubled(y.astype(jnp.float32), self.channels or x.shape[3], "deconv1")
        return finish(y, x, output=self.output), features

    def _activated(self, y, name, train):
        return relu(self.norm(name=name)(y, train=train))

    def _doubled(self, y, width, name, **options):
        if self.decoder == "transposed":
            return ConvTranspose(width, 4, stride=2, padding=1, name=name, **options)(y)
        return Conv(width, 3, name=name, **options)(resize_nearest(y))


MODELS = {"autoencoder_conv": AutoencoderConv}
