"""Nonlinearities by name, and the initialisation that keeps a signal alive through each."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.errors import look_up
from jaxcnn.operators.convolution import HE_FAN_IN
from jaxcnn.operators.precision import wide


def identity(x: jax.Array) -> jax.Array:
    """y = x.

    Args:
      x: any shape, any type.
    Returns:
      x.
    """
    return x


def relu(x: jax.Array) -> jax.Array:
    """y = max(x, 0); the gradient at 0 is 0 (Nair and Hinton 2010).

    Args:
      x: any shape, any float type.
    Returns:
      The shape and dtype of x.
    """
    return jax.nn.relu(x)


def leaky_relu(x: jax.Array, *, slope: float = 0.01) -> jax.Array:
    """y = x where x >= 0, slope * x elsewhere (Maas et al. 2013).

    The paper prints the slope as 1 / 100; lectures often draw 0.1, which is `slope=0.1`.

    Args:
      x: any shape, any float type.
      slope: the factor below zero.
    Returns:
      The shape and dtype of x.
    """
    return jax.nn.leaky_relu(x, negative_slope=slope)


def prelu(x: jax.Array, slopes: jax.Array) -> jax.Array:
    """y_c = x_c where x_c > 0, slopes_c * x_c elsewhere (He et al. 2015, arXiv:1502.01852, eq. 1).

    Args:
      x: (..., c), any float type.
      slopes: (c,), or (1,) for one that all channels share; brought to the dtype of x.
    Returns:
      The shape and dtype of x; the gradient at 0 is that of below.
    Raises:
      ValueError: the slopes are not those of the channels.
    """
    if slopes.shape not in ((1,), x.shape[-1:]):
        raise ValueError(f"expected slopes {x.shape[-1:]} or (1,) for input {x.shape}, got {slopes.shape}")
    return jnp.where(x > 0, x, slopes.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,)) * x)


class PReLU(nn.Module):
    """`prelu` with trained `slopes`, (c,) float32. The paper gives them no weight decay.

    Attributes:
      slope_init: 0.25 in the paper.
      shared: one slope (1,) for all channels, the paper's channel-shared variant.
    """

    slope_init: Callable = nn.initializers.constant(0.25)
    shared: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return prelu(x, self.param("slopes", self.slope_init, (1,) if self.shared else x.shape[-1:], jnp.float32))


def maxout(x: jax.Array, *, pieces: int) -> jax.Array:
    """Keeps the largest of each group of neighbour channels (Goodfellow et al. 2013, arXiv:1302.4389, section 2).

    y_c = max_{j < pieces} x_{c * pieces + j}

    Args:
      x: (..., c * pieces), any float type.
      pieces: the number of channels in a group.
    Returns:
      (..., c), the dtype of x; where several are largest they share the gradient.
    Raises:
      ValueError: pieces does not divide the channels.
    """
    if pieces < 1 or x.shape[-1] % pieces:
        raise ValueError(f"{x.shape[-1]} channels are no whole number of groups of {pieces}: input {x.shape}")
    return jnp.max(x.reshape(*x.shape[:-1], -1, pieces), axis=-1)


def softmax(x: jax.Array, *, axis: int = -1) -> jax.Array:
    """y_k = exp(x_k - max_j x_j) / sum_i exp(x_i - max_j x_j); without the maximum exp would overflow at 89.

    Args:
      x: any shape, any float type; computed in float32 at least.
      axis: along which the result sums to 1.
    Returns:
      The shape and dtype of x, from 0 to 1.
    """
    return jax.nn.softmax(wide(x), axis=axis).astype(x.dtype)


def elu(x: jax.Array, *, alpha: float = 1.0) -> jax.Array:
    """y = x where x > 0, alpha * (exp(x) - 1) elsewhere (Clevert et al. 2015, arXiv:1511.07289).

    Args:
      x: any shape, any float type.
      alpha: minus the limit at minus infinity.
    Returns:
      The shape and dtype of x.
    """
    return jax.nn.elu(x, alpha=alpha)


def sigmoid(x: jax.Array) -> jax.Array:
    """y = 1 / (1 + exp(-x)).

    Args:
      x: any shape, any float type.
    Returns:
      The shape and dtype of x, from 0 to 1.
    """
    return jax.nn.sigmoid(x)


def tanh(x: jax.Array) -> jax.Array:
    """y = tanh(x).

    Args:
      x: any shape, any float type.
    Returns:
      The shape and dtype of x, from -1 to 1.
    """
    return jnp.tanh(x)


def scaled_tanh(x: jax.Array, *, amplitude: float = 1.7159, slope: float = 2 / 3) -> jax.Array:
    """y = amplitude * tanh(slope * x)   (LeCun et al. 1998, eq. 6 and appendix A).

    With the paper's numbers f(1) = 1 and f(-1) = -1, where the curvature is largest: targets of +1 and -1 do not
    saturate the unit.

    Args:
      x: any shape, any float type.
      amplitude, slope: the paper's A and S.
    Returns:
      The shape and dtype of x.
    """
    return amplitude * jnp.tanh(slope * x)


ACTIVATIONS = {
    "elu": elu,
    "identity": identity,
    "leaky_relu": leaky_relu,
    "relu": relu,
    "scaled_tanh": scaled_tanh,
    "sigmoid": sigmoid,
    "tanh": tanh,
}

_GLOROT = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform")

# Half of a relu's inputs are lost, so He's variance is twice 1 / fan; tanh has slope 1 at 0: Glorot and Bengio 2010,
# eq. 16; the slope of a sigmoid there is 1 / 4, so its weights are 4 times Glorot's.
INITIALIZERS = {
    "elu": HE_FAN_IN,
    "identity": _GLOROT,
    "leaky_relu": HE_FAN_IN,
    "relu": HE_FAN_IN,
    "scaled_tanh": _GLOROT,
    "sigmoid": nn.initializers.variance_scaling(16.0, "fan_avg", "uniform"),
    "tanh": _GLOROT,
}


def activation(name: str) -> Callable[[jax.Array], jax.Array]:
    """Finds an activation by name.

    Args:
      name: str, a key of ACTIVATIONS.
    Returns:
      A function from an array to one of the same shape and dtype.
    Raises:
      ValueError: the name is unknown; the message names the nearest ones.
    """
    return look_up(name, table=ACTIVATIONS, kind="activation")


def initializer(name: str) -> nn.initializers.Initializer:
    """Finds the weight initialisation that suits an activation.

    He (fan-in) for the relu family, Glorot for tanh, four times Glorot for the sigmoid.

    Args:
      name: str, a key of ACTIVATIONS.
    Returns:
      An initializer (key, shape, dtype) -> array of that shape.
    Raises:
      ValueError: the name is unknown; the message names the nearest ones.
    """
    return look_up(name, table=INITIALIZERS, kind="activation")
