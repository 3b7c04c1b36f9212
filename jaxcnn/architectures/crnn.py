"""CRNN (Shi, Bai and Yao 2015, arXiv:1507.05717): convolutions, a recurrent layer along the width, and CTC.

    layer    crnn, of 32x100       crnn_small, of 12x56
    conv1    64, pooled 2x2        32, norm, pooled 2x2
    conv2    128, pooled 2x2       64, norm, pooled 2x1
    conv3    256                   64, norm, pooled 2x1
    conv4    256, pooled 2x1
    conv5    512, norm
    conv6    512, norm, pooled 2x1
    conv7    512, 2x2, no padding
    lstm     256 twice, both ways  64, both ways
    output   num_classes + 1       num_classes + 1

Poolings of 2x1 halve the height alone, so that letters keep their frames: a column of the last map is a frame, its
rows one behind the other. The logits of a frame are of the blank, class 0, and of the letters. `crnn` is the paper's
table 1, whose poolings are printed width first; `crnn_small`, for digits and captchas, is ours. The authors' code has a
full connection between the two recurrent layers, of which the paper says nothing; here there is none.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.operators.activation import relu
from jaxcnn.operators.convolution import HE_FAN_IN, Conv
from jaxcnn.operators.dense import HEAD_INIT
from jaxcnn.operators.normalization import BatchNorm
from jaxcnn.operators.pooling import max_pool
from jaxcnn.operators.recurrent import Bidirectional

# (width, kernel, whether it is normalised, window of the pooling or None)
PAPER = (
    (64, 3, False, (2, 2)),
    (128, 3, False, (2, 2)),
    (256, 3, False, None),
    (256, 3, False, (2, 1)),
    (512, 3, True, None),
    (512, 3, True, (2, 1)),
    (512, 2, False, None),
)
SMALL = ((32, 3, True, (2, 2)), (64, 3, True, (2, 1)), (64, 3, True, (2, 1)))

CLAIMS = {
    "crnn": Claim(
        (32, 100, 1), 8_705_291, 691_417_088, "Shi et al. 2015, table 1 (8.3 M printed); from its layers, 10 classes"
    ),
    "crnn_small": Claim((12, 56, 1), 123_371, 8_228_352, "from its layers, 10 classes"),
}


class CRNN(nn.Module):
    """A CRNN for images of one height and any width.

    Attributes:
      stages: of each convolution (width, kernel, whether it is normalised, window of the pooling or None); an even
        kernel has no padding.
      units: width of each recurrent layer, in either direction.
      layers: their number.
      cell: "rnn", "lstm" or "gru".
      num_classes: of letters; the logits have one more, the blank.
      norm: the normalisation, called with train.
      dtype: what the layers compute in; parameters, batch statistics, the output layer and logits are float32.
    Raises:
      ValueError: an unknown cell, or images too small for the poolings.
    """

    stages: Sequence = SMALL
    units: int = 64
    layers: int = 1
    cell: str = "lstm"
    num_classes: int = 10
    norm: Callable = BatchNorm
    dtype: Any = jnp.float32

    result: ClassVar[str] = "frames"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, h, w, c)
        features = {}
        for number, (width, kernel, normalised, pool) in enumerate(self.stages, 1):
            options: dict[str, Any] = {
                "padding": kernel // 2 if kernel % 2 else 0,
                "use_bias": not normalised,
                "dtype": self.dtype,
            }
            x = Conv(width, kernel, kernel_init=HE_FAN_IN, name=f"conv{number}", **options)(x)
            x = relu(self.norm(name=f"norm{number}")(x, train=train) if normalised else x)
            features[f"conv{number}"] = x
            x = x if pool is None else max_pool(x, window=tuple(pool))
        x = x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], -1)  # (n, t, h' * c)
        for number in range(1, self.layers + 1):
            x, _ = Bidirectional(self.units, self.cell, dtype=self.dtype, name=f"layer{number}")(x)
            features[f"layer{number}"] = x  # (n, t, 2 * units)
        logits = nn.Dense(self.num_classes + 1, kernel_init=HEAD_INIT, name="output")(x.astype(jnp.float32))
        return logits, features


MODELS = {"crnn": functools.partial(CRNN, stages=PAPER, units=256, layers=2), "crnn_small": CRNN}
