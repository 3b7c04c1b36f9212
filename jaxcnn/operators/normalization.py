"""Batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167)."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax import lax


def batch_statistics(x, *, axis_name=None):
    """Takes the mean and the biased variance of each channel over everything else.

    mean_c = E[x_c],  variance_c = E[x_c**2] - mean_c**2

    One pass over x, as in Flax: the difference loses digits where the mean is much larger than the deviation. It is
    kept from falling below zero.

    Args:
      x: (..., c), any float type; the sums are taken in float32 at least.
      axis_name: name of a mapped axis, or a tuple of names, over which the statistics are shared.
    Returns:
      mean (c,) and variance (c,), float32 (float64 for float64).
    """
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    axes = tuple(range(x.ndim - 1))
    mean, mean_of_squares = jnp.mean(x, axis=axes), jnp.mean(jnp.square(x), axis=axes)
    if axis_name is not None:
        mean, mean_of_squares = lax.pmean((mean, mean_of_squares), axis_name)
    return mean, jnp.maximum(mean_of_squares - jnp.square(mean), 0.0)


def normalize(x, mean, variance, scale, bias, *, epsilon=1e-5):
    """Brings each channel to given statistics.

    y_c = (x_c - mean_c) / sqrt(variance_c + epsilon) * scale_c + bias_c   (Ioffe and Szegedy 2015, algorithm 1)

    Args:
      x: (..., c), any float type; computed in the wider of its dtype and that of the statistics.
      mean, variance, scale, bias: (c,).
      epsilon: added to the variance, inside the root.
    Returns:
      The shape and dtype of x.
    """
    shape = (1,) * (x.ndim - 1) + (-1,)
    factor = scale * lax.rsqrt(variance + epsilon)
    y = (x - mean.reshape(shape)) * factor.reshape(shape) + bias.reshape(shape)
    return y.astype(x.dtype)


class BatchNorm(nn.Module):
    """Normalises each channel by the batch when it trains, by the running statistics when it does not.

    running = momentum * running + (1 - momentum) * batch

    momentum is the fraction that is kept, as in Flax; torch's momentum 0.1 is 0.9 here. The biased variance is
    stored, as in Flax: x = [1, 2, 3, 4] moves a running variance of 1 to 1.025 (torch stores the unbiased one and
    gets 1.066667). Parameters `scale` and `bias`, `batch_stats` `mean` and `var`: (c,), float32, whatever the dtype.

    Attributes:
      momentum, epsilon: as above and in `normalize`.
      axis_name: synchronises the statistics over that mapped axis; None leaves them to each replica.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    axis_name: str | Sequence[str] | None = None
    scale_init: Callable = nn.initializers.ones_init()
    bias_init: Callable = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, x, *, train: bool):
        channels = x.shape[-1:]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        running_variance = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)
        scale = self.param("scale", self.scale_init, channels, jnp.float32)
        bias = self.param("bias", self.bias_init, channels, jnp.float32)
        if not train:
            return normalize(x, running_mean.value, running_variance.value, scale, bias, epsilon=self.epsilon)
        # there is no mapped axis while the parameters are made, and nothing to learn from that image
        initializing = self.is_initializing()
        mean, variance = batch_statistics(x, axis_name=None if initializing else self.axis_name)
        if not initializing:
            for running, batch in ((running_mean, mean), (running_variance, variance)):
                running.value = self.momentum * running.value + (1 - self.momentum) * batch.astype(jnp.float32)
        return normalize(x, mean, variance, scale, bias, epsilon=self.epsilon)
