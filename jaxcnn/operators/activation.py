"""Nonlinearities by name, and the initialisation that keeps a signal alive through each."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.errors import look_up
from jaxcnn.operators.convolution import HE_FAN_IN


def identity(x):
    """y = x.

    Args:
      x: any shape, any type.
    Returns:
      x.
    """
    return x


def relu(x):
    """y = max(x, 0); the gradient at 0 is 0 (Nair and Hinton 2010).

    Args:
      x: any shape, any float type.
    Returns:
      The shape and dtype of x.
    """
    return jax.nn.relu(x)


def leaky_relu(x, *, slope=0.01):
    """y = x where x >= 0, slope * x elsewhere (Maas et al. 2013).

    Args:
      x: any shape, any float type.
      slope: the factor below zero.
    Returns:
      The shape and dtype of x.
    """
    return jax.nn.leaky_relu(x, negative_slope=slope)


def elu(x, *, alpha=1.0):
    """y = x where x > 0, alpha * (exp(x) - 1) elsewhere (Clevert et al. 2015, arXiv:1511.07289).

    Args:
      x: any shape, any float type.
      alpha: minus the limit at minus infinity.
    Returns:
      The shape and dtype of x.
    """
    return jax.nn.elu(x, alpha=alpha)


def sigmoid(x):
    """y = 1 / (1 + exp(-x)).

    Args:
      x: any shape, any float type.
    Returns:
      The shape and dtype of x, from 0 to 1.
    """
    return jax.nn.sigmoid(x)


def tanh(x):
    """y = tanh(x).

    Args:
      x: any shape, any float type.
    Returns:
      The shape and dtype of x, from -1 to 1.
    """
    return jnp.tanh(x)


def scaled_tanh(x, *, amplitude=1.7159, slope=2 / 3):
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


def activation(name):
    """Finds an activation by name.

    Args:
      name: str, a key of ACTIVATIONS.
    Returns:
      A function from an array to one of the same shape and dtype.
    Raises:
      ValueError: the name is unknown; the message names the nearest ones.
    """
    return look_up(name, table=ACTIVATIONS, kind="activation")


def initializer(name):
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
