"""The deep autoencoder of Hinton and Salakhutdinov 2006 ("Reducing the dimensionality of data with neural networks").

    layer                                   output   parameters, for 28x28x1
    encoder<k>  full connection, logistic   1000     784 * 1000 + 1000
                                            500      1000 * 500 + 500
                                            250      500 * 250 + 250
    code        full connection, linear     30       250 * 30 + 30
    decoder<k>  the encoder mirrored        250, 500, 1000
    output      full connection, logistic   784
                                                     in all 2,837,314

The paper begins with weights from a stack of restricted Boltzmann machines and then minimises the cross-entropy of the
pixels (conjugate gradients); it reports the squared error, summed over an image. Encoder and decoder share no weights
after that beginning. Without it, weights that suit the units are drawn, or, with initialisation "sparse", those with
which Martens 2010 ("Deep learning via Hessian-free optimization", section 5) and Sutskever et al. 2013 trained this
network from scratch.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.architectures.image_output import Autoencoder, check_output, finish
from jaxcnn.errors import look_up
from jaxcnn.operators.activation import activation, initializer

CONNECTIONS = 15  # of a unit, in Martens 2010

CLAIMS = {
    "autoencoder_mlp": Claim(
        (28, 28, 1), 2_837_314, 2_833_000, "2 (784 * 1000 + 1000 * 500 + 500 * 250 + 250 * 30), and 4,314 biases"
    )
}


def sparse_normal(key: jax.Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> jax.Array:
    """N(0, 1) for 15 inputs of each unit and zero for the others (Martens 2010), whatever the width.

    Args:
      key: PRNG key.
      shape: (inputs, units).
      dtype: of the result.
    Returns:
      An array of that shape.
    """
    inputs, units = shape
    seen = min(CONNECTIONS, inputs)
    choice, values = jax.random.split(key)
    _, rows = jax.lax.top_k(jax.random.uniform(choice, (units, inputs)), seen)
    drawn = jax.random.normal(values, (seen, units), dtype)
    return jnp.zeros(shape, dtype).at[rows.T, jnp.arange(units)].set(drawn)


INITIALISATIONS = {"suited": initializer, "sparse": lambda name: sparse_normal}  # f(activation) -> initializer


class AutoencoderMLP(Autoencoder):
    """An autoencoder of full connections for images of any one size: (n, h, w, c) -> the same, through a short code.

    Attributes:
      hidden: widths of the encoder's hidden layers; the decoder's are the same, backwards.
      code: numbers in the code.
      activation: of the hidden layers, a name in `jaxcnn.operators.ACTIVATIONS`; the paper's units are logistic.
      initialisation: "suited" (to the activation, see `jaxcnn.operators.initializer`) or "sparse"; biases are zero.
      output: "sigmoid", the paper's, for pixels from 0 to 1, or "linear".
      channels: of the image that is returned; 0: as the input has.
      dtype: what the layers compute in; parameters, the last layer and the image are float32.
    Raises:
      ValueError: an unknown name.
    """

    hidden: Sequence[int] = (1000, 500, 250)
    code: int = 30
    activation: str = "sigmoid"
    initialisation: str = "suited"
    output: str = "sigmoid"
    channels: int = 0
    dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        super().__post_init__()
        check_output(self.output)

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool, code: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, h, w, c)
        act = activation(self.activation)
        init = look_up(self.initialisation, table=INITIALISATIONS, kind="initialisation")
        curved: dict[str, Any] = {"kernel_init": init(self.activation)}
        straight: dict[str, Any] = {"kernel_init": init("identity")}
        features, (n, h, w, c) = {}, x.shape
        if code is None:
            y = x.reshape(n, -1)
            for layer, width in enumerate(self.hidden, start=1):
                stage = f"encoder{layer}"
                y = features[stage] = act(nn.Dense(width, dtype=self.dtype, name=stage, **curved)(y))  # (n, width)
            code = nn.Dense(self.code, dtype=self.dtype, name="code", **straight)(y)
        y = features["code"] = code  # (n, code)
        for layer, width in reversed(list(enumerate(self.hidden, start=1))):
            stage = f"decoder{layer}"
            y = features[stage] = act(nn.Dense(width, dtype=self.dtype, name=stage, **curved)(y))
        channels = self.channels or c
        y = nn.Dense(h * w * channels, name="output", **straight)(y.astype(jnp.float32))
        return finish(y.reshape(n, h, w, channels), x, output=self.output), features


MODELS = {"autoencoder_mlp": AutoencoderMLP}
