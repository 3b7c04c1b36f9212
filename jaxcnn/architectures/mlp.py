"""A multi-layer perceptron: an image as one long vector, and full connections (CS231n notes, "Neural networks 1").

    layer     output         parameters, for 28x28x1
    fc<k>     hidden[k - 1]  784 * 256 + 256
    output    num_classes    256 * 10 + 10

Without hidden layers it is a linear classifier. It keeps nothing of where a pixel is, so it is what a convolutional
network is to be compared with.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.operators.activation import activation, initializer
from jaxcnn.operators.dense import HEAD_INIT
from jaxcnn.operators.normalization import BatchNorm
from jaxcnn.operators.regularization import Dropout

CLAIMS = {"mlp": Claim((28, 28, 1), 203_530, 203_264, "200,960 + 2,570")}


class MLP(nn.Module):
    """A multi-layer perceptron for images of any one size.

    Attributes:
      num_classes: any number.
      hidden: widths of the hidden layers; none makes a linear classifier.
      activation: a name in `jaxcnn.operators.ACTIVATIONS`.
      deviation: the weights of the hidden layers begin as N(0, deviation**2); 0: as it suits the activation. Those of
        the output are N(0, 0.01**2).
      dropout_rate: behind every hidden layer; a number or a traced scalar.
      input_dropout: of the pixels; a number.
      batch_norm: puts a `norm` between each hidden full connection, then without bias, and its activation.
      norm: the module of that normalisation, called with train.
      dtype: what the layers compute in; parameters, the output layer and logits are float32.
    Raises:
      ValueError: an unknown activation.
    """

    num_classes: int = 10
    hidden: Sequence[int] = (256,)
    activation: str = "relu"
    deviation: float = 0.0
    dropout_rate: Any = 0.0
    input_dropout: float = 0.0
    batch_norm: bool = False
    norm: Callable = BatchNorm
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, h, w, c)
        act, init = activation(self.activation), initializer(self.activation)
        init = nn.initializers.normal(self.deviation) if self.deviation else init
        options: dict[str, Any] = {"use_bias": not self.batch_norm, "kernel_init": init, "dtype": self.dtype}
        features = {}
        x = x.reshape(x.shape[0], -1)  # (n, h * w * c)
        x = Dropout(self.input_dropout, name="dropout_input")(x, train=train)
        for layer, width in enumerate(self.hidden, start=1):
            x = nn.Dense(width, name=f"fc{layer}", **options)(x)
            x = self.norm(name=f"fc{layer}_norm")(x, train=train) if self.batch_norm else x
            x = features[f"fc{layer}"] = act(x)  # (n, width)
            x = Dropout(self.dropout_rate, name=f"dropout{layer}")(x, train=train)
        return nn.Dense(self.num_classes, kernel_init=HEAD_INIT, name="output")(x.astype(jnp.float32)), features


MODELS = {"mlp": MLP}
