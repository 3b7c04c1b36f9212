"""LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document recognition", II.B).

    layer                                    output      parameters
    C1  convolution 5x5                      28x28x6            156
    S2  sub-sampling 2x2, trained            14x14x6             12
    C3  convolution 5x5, connected by table  10x10x16         1,516
    S4  sub-sampling 2x2, trained            5x5x16              32
    C5  convolution 5x5                      1x1x120         48,120
    F6  full connection                      84              10,164
    output  distance to fixed bitmaps        10                   0
                                                   in all    60,000

`lenet5_common` is what is commonly called LeNet-5 and is another network: C3 sees all maps, the pooling has no
parameters, the output is a linear layer under a softmax (61,706 parameters for 32x32x1 and 10 classes).
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.architectures.claim import Claim
from jaxcnn.architectures.digit_bitmaps import DIGIT_BITMAPS
from jaxcnn.errors import look_up
from jaxcnn.operators.activation import activation, initializer, scaled_tanh
from jaxcnn.operators.convolution import Conv, PartialConv
from jaxcnn.operators.dense import HEAD_INIT
from jaxcnn.operators.pooling import SubSampling, average_pool, max_pool

C3_TABLE = (  # the maps of S2 that each of the 16 maps of C3 sees: table I, by column
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip

POOLINGS = {"average": average_pool, "max": max_pool}

CLAIMS = {
    "lenet5": Claim((32, 32, 1), 60_000, 325_680, "the sum of the layers in LeCun et al. 1998, section II.B"),
    "lenet5_common": Claim((32, 32, 1), 61_706, 416_520, "156 + 2,416 + 48,120 + 10,164 + 850"),
}


def paper_uniform(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    """U(-2.4 / F, 2.4 / F), F the inputs of a unit (LeCun et al. 1998, appendix A); a sub-sampling unit has four.

    The paper does not say whether the bias counts; here it does not, and biases start at zero.
    """
    fan_in = 4 if len(shape) == 1 else np.prod(shape[:-1])
    return jax.random.uniform(key, shape, dtype, -2.4 / fan_in, 2.4 / fan_in)


class LeNet5(nn.Module):
    """LeNet-5 as printed: scaled tanh after every layer up to F6, logits are minus the penalties of the RBF units.

    Train it with `rbf_loss`. The paper pads 28x28 digits to 32x32 and maps the paper's white to -0.1, ink to 1.175.

    Attributes:
      num_classes: ten, the digits that have a bitmap.
      dtype: what the layers compute in; parameters, penalties and logits are float32.
    Raises:
      ValueError: another num_classes, or images that are not 32x32x1.
    """

    num_classes: int = 10
    dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_classes != len(DIGIT_BITMAPS):
            raise ValueError(
                f"lenet5 has a bitmap for each of the ten digits and no other class, so num_classes must be 10, got "
                f"{self.num_classes}; lenet5_common takes any number"
            )

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, 32, 32, 1)
        if x.shape[1:] != (32, 32, 1):
            raise ValueError(f"lenet5 takes images of 32x32x1 (the paper pads 28x28 digits by 2), got {x.shape}")
        options: dict[str, Any] = {"kernel_init": paper_uniform, "dtype": self.dtype}
        sampling: dict[str, Any] = {"coefficient_init": paper_uniform, "dtype": self.dtype}
        features = {}
        x = features["C1"] = scaled_tanh(Conv(6, 5, padding=0, name="C1", **options)(x))  # (n, 28, 28, 6)
        x = features["S2"] = scaled_tanh(SubSampling(name="S2", **sampling)(x))  # (n, 14, 14, 6)
        x = features["C3"] = scaled_tanh(PartialConv(C3_TABLE, 5, name="C3", **options)(x))  # (n, 10, 10, 16)
        x = features["S4"] = scaled_tanh(SubSampling(name="S4", **sampling)(x))  # (n, 5, 5, 16)
        x = features["C5"] = scaled_tanh(Conv(120, 5, padding=0, name="C5", **options)(x))  # (n, 1, 1, 120)
        x = x.reshape(x.shape[0], -1)
        x = features["F6"] = scaled_tanh(nn.Dense(84, name="F6", **options)(x))  # (n, 84)
        return -_penalties(x), features


def _penalties(x):
    """y_i = sum_k (x_k - w_ik)**2, eq. 7, for x (n, 84) and the bitmaps w: (n, 10) float32."""
    bitmaps = jnp.asarray(DIGIT_BITMAPS.reshape(1, 10, 84))
    return jnp.sum(jnp.square(x.astype(jnp.float32)[:, None, :] - bitmaps), axis=-1)


class LeNet5Common(nn.Module):
    """The network commonly called LeNet-5: full C3, pooling without parameters, a linear output for a softmax.

    Weights are initialised to suit the activation, see `jaxcnn.operators.initializer`; those of the output are
    N(0, 0.01**2).

    Attributes:
      num_classes: any number.
      activation: a name in `jaxcnn.operators.ACTIVATIONS`, after C1, C3, C5 and F6.
      pooling: "average" or "max".
      padding: of C1; 2 lets images of 28x28 in with the same 61,706 parameters.
      dtype: what the layers compute in; parameters, the output layer and logits are float32.
    Raises:
      ValueError: the images are too small, or an activation or pooling is unknown.
    """

    num_classes: int = 10
    activation: str = "tanh"
    pooling: str = "average"
    padding: Any = 0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, 32, 32, 1)
        act, pool = activation(self.activation), look_up(self.pooling, table=POOLINGS, kind="pooling")
        options: dict[str, Any] = {"kernel_init": initializer(self.activation), "dtype": self.dtype}
        image, features = x.shape, {}
        x = features["C1"] = act(Conv(6, 5, padding=self.padding, name="C1", **options)(x))  # (n, 28, 28, 6)
        if min(x.shape[1:3]) < 28:
            raise ValueError(
                f"lenet5_common needs images of at least 32x32, or 28x28 with padding=2, got {image} with "
                f"padding={self.padding!r}"
            )
        x = features["S2"] = pool(x, window=2)  # (n, 14, 14, 6)
        x = features["C3"] = act(Conv(16, 5, padding=0, name="C3", **options)(x))  # (n, 10, 10, 16)
        x = features["S4"] = pool(x, window=2)  # (n, 5, 5, 16)
        x = features["C5"] = act(Conv(120, 5, padding=0, name="C5", **options)(x))  # (n, 1, 1, 120)
        x = x.reshape(x.shape[0], -1)
        x = features["F6"] = act(nn.Dense(84, name="F6", **options)(x))  # (n, 84)
        return nn.Dense(self.num_classes, kernel_init=HEAD_INIT, name="output")(x.astype(jnp.float32)), features


MODELS = {"lenet5": LeNet5, "lenet5_common": LeNet5Common}
