"""DnCNN (Zhang, Zuo, Chen, Meng and Zhang 2017, arXiv:1608.03981, section III.B).

    layer           what                     parameters, of a gray image
    conv1           3x3, relu                9 * 64 + 64
    conv2 ... 16    3x3, batch norm, relu    9 * 64 * 64 + 2 * 64 each
    conv17          3x3                      9 * 64

The network learns the noise, conv17, which is subtracted from its input. Zero padding keeps the size of the image
through every layer, so that any size goes in and comes out, and the receptive field of 17 layers is 35x35.

The paper leaves biases, initial weights and the numbers of batch normalisation to the authors' code. Of its versions
(github.com/cszn/DnCNN) all train the bias of the first layer and none that of a layer under a norm; that of the last
layer "does not influence the results", and the later two have none. Weights are N(0, 2 / (9 * 64)) in all layers.
Batch normalisation adds 0.0001 to the variance and, in the PyTorch version, keeps 0.05 of the running statistics at
each step; its scale starts at 1 there as here.
"""

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.architectures.image_output import check_output, finish
from jaxcnn.operators.activation import relu
from jaxcnn.operators.convolution import HE_FAN_IN, HE_FAN_OUT, Conv
from jaxcnn.operators.normalization import BatchNorm

RELEASED_NORM = functools.partial(BatchNorm, momentum=0.05, epsilon=1e-4)

CLAIMS = {
    "dncnn": Claim(  # the patches of DnCNN-S are 40x40
        (40, 40, 1), 556_096, 886_579_200, "640 + 15 * (36,864 + 128) + 576; 40 * 40 * (576 + 15 * 36,864 + 576)"
    )
}


class DnCNN(nn.Module):
    """A DnCNN for images of any size.

    Attributes:
      depth: number of convolutions, at least 2; 17 for noise of a known strength, 20 for others in the paper.
      width: channels of each layer but the last.
      residual: False has the network make the image itself (figure 2 of the paper compares them).
      output: "linear" or, where it is not residual, "sigmoid".
      channels: of the image that is returned; 0: as the input has.
      norm: the normalisation, called with train.
      dtype: what the layers compute in; parameters, batch statistics, the last layer and the image are float32.
    Raises:
      ValueError: a depth below 2, or an output that is unknown or no residual network's.
    """

    depth: int = 17
    width: int = 64
    residual: bool = True
    output: str = "linear"
    channels: int = 0
    norm: Callable = RELEASED_NORM
    dtype: Any = jnp.float32

    result: ClassVar[str] = "image"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_output(self.output, residual=self.residual)
        if self.depth < 2:
            raise ValueError(f"depth is at least 2, the first and the last convolution, got {self.depth}")

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, h, w, c)
        features = {}
        y = relu(Conv(self.width, 3, kernel_init=HE_FAN_OUT, dtype=self.dtype, name="conv1")(x))
        features["conv1"] = y  # (n, h, w, width), as all that follow
        for layer in range(2, self.depth):
            y = Conv(self.width, 3, use_bias=False, dtype=self.dtype, name=f"conv{layer}")(y)
            y = features[f"conv{layer}"] = relu(self.norm(name=f"norm{layer}")(y, train=train))
        stage, channels = f"conv{self.depth}", self.channels or x.shape[3]
        y = Conv(channels, 3, use_bias=False, kernel_init=HE_FAN_IN, name=stage)(y.astype(jnp.float32))
        features[stage] = y  # the noise
        return finish(y, x, output=self.output, residual=self.residual), features


MODELS = {"dncnn": DnCNN}
