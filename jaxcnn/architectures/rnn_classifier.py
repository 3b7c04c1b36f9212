"""An image as a sequence, read by a recurrent network (Le, Jaitly and Hinton 2015, arXiv:1504.00941, section 4.2).

    layer      output               parameters of an LSTM
    steps      t, p                 0
    layer<k>   t, units             4 * units * (c_in + units + 1)
    output     num_classes          units * num_classes + num_classes

The paper reads MNIST pixel by pixel, 784 steps; rows (28 steps) and patches are shorter. The output looks at the state
behind the last step alone. `irnn` is the paper's network of rectified units that begins with the identity; its gains
are 1 and its input weights N(0, 0.001**2) there, while ours are LeCun's.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.operators.dense import HEAD_INIT
from jaxcnn.operators.recurrent import Bidirectional, Recurrent

CLAIMS = {
    "rnn_classifier": Claim(
        (28, 28, 1),
        48_970,
        1_297_344,
        "4 * 96 * (28 + 96 + 1) + 970; 28 steps of 4 * 96 * (28 + 96), the first from no state",
    )
}


def steps_of(x: jax.Array, *, patch: int) -> jax.Array:
    """The steps of images: rows from the top, or square patches row by row.

    Args:
      x: (n, h, w, c).
      patch: the side of a patch; 1 is pixel by pixel, 0 is row by row.
    Returns:
      (n, h, w * c), or (n, h / patch * w / patch, patch * patch * c).
    Raises:
      ValueError: patch is something else, or does not divide the sides.
    """
    n, h, w, c = x.shape
    if patch == 0 and not isinstance(patch, bool):
        return x.reshape(n, h, w * c)
    if not isinstance(patch, int) or isinstance(patch, bool) or patch < 1 or h % patch or w % patch:
        raise ValueError(f"patch is {patch!r}; it is 0 for rows, or a side that divides those of images, {h}x{w}")
    x = x.reshape(n, h // patch, patch, w // patch, patch, c).swapaxes(2, 3)
    return x.reshape(n, -1, patch * patch * c)


class RNNClassifier(nn.Module):
    """Recurrent layers over the steps of an image, and a full connection behind the last.

    Attributes:
      units: width of each layer's state.
      layers: their number.
      cell: "rnn", "irnn", "lstm" or "gru".
      forget_bias: of an LSTM, see `Recurrent`.
      bidirectional: whether each layer reads in both directions; the output sees the last state of either.
      patch: as in `steps_of`.
      num_classes: any number; outputs where it does not classify.
      dtype: what the layers compute in; parameters, the output layer and logits are float32.
    Raises:
      ValueError: an unknown cell, or a patch that does not fit.
    """

    units: int = 96
    layers: int = 1
    cell: str = "lstm"
    forget_bias: float = 0.0
    bidirectional: bool = False
    patch: int = 0
    num_classes: int = 10
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, h, w, c)
        layer_class = Bidirectional if self.bidirectional else Recurrent
        x, features = steps_of(x, patch=self.patch), {}
        for number in range(1, self.layers + 1):
            options: dict[str, Any] = {"forget_bias": self.forget_bias, "dtype": self.dtype, "name": f"layer{number}"}
            x, _ = layer_class(self.units, self.cell, **options)(x)
            features[f"layer{number}"] = x  # (n, t, units), twice as wide in both directions
        # the last step of the layer that runs forward, the first of the one that runs backward
        state = jnp.concatenate([x[:, -1, : self.units], x[:, 0, self.units :]], axis=-1)
        features["state"] = state
        return nn.Dense(self.num_classes, kernel_init=HEAD_INIT, name="output")(state.astype(jnp.float32)), features


MODELS = {"rnn_classifier": RNNClassifier}
