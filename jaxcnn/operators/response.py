"""Normalisation of an activation by its neighbours: across channels, or by the contrast around it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.operators.lowering.channel_sum import sum_of_channels
from jaxcnn.operators.padding import check_image
from jaxcnn.operators.precision import root, wide


def local_response_norm(
    x: jax.Array,
    *,
    size: int = 5,
    k: float = 2.0,
    alpha: float = 1e-4,
    beta: float = 0.75,
    divide_by_size: bool = False,
) -> jax.Array:
    """Divides each activation by the energy of its neighbour channels.

    y_c = x_c / (k + alpha * sum_{|j - c| <= size // 2} x_j**2) ** beta   (Krizhevsky et al. 2012, section 3.3)

    alpha scales the sum, as printed. Caffe, cuda-convnet and PyTorch write alpha / size there, at the border too, and
    begin at k = 1: divide_by_size=True. TensorFlow takes size // 2 instead of size and scales the sum.

    Args:
      x: (n, h, w, c), any float type; the sum is taken in float32 at least.
      size: number of channels in the window; odd.
      k, alpha, beta: as above; k positive, so that zeros have a gradient.
      divide_by_size: reads alpha as that of a mean.
    Returns:
      (n, h, w, c), the dtype of x.
    Raises:
      ValueError: size is even or not positive, or k is not positive.
    """
    check_image(x.shape)
    if size < 1 or size % 2 == 0:
        raise ValueError(f"local_response_norm needs an odd number of channels, got size {size}")
    if isinstance(k, (int, float)) and k <= 0:
        raise ValueError(f"local_response_norm needs a positive k, got {k}")
    return _local_response_norm(x, k, alpha, size=size, beta=beta, divide_by_size=divide_by_size)


# a call by name in the jaxpr, which a deconvnet passes by
@functools.partial(jax.jit, static_argnames=("size", "beta", "divide_by_size"))
def _local_response_norm(x, k, alpha, *, size, beta, divide_by_size):
    values = wide(x)
    energy = sum_of_channels(jnp.square(values), reach=size // 2)
    divisor = k + (alpha / size if divide_by_size else alpha) * energy
    return (values * _power(divisor, beta)).astype(x.dtype)


def _power(divisor, beta):
    """divisor ** -beta; by roots at the papers' beta of 3/4, where a power costs five times as much."""
    if isinstance(beta, float) and beta == 0.75:
        half = lax.rsqrt(divisor)
        return half * jnp.sqrt(half)
    return divisor**-beta


@functools.partial(jax.jit, static_argnames=("window", "sigma", "across_features", "epsilon"))
def local_contrast_norm(
    x: jax.Array, *, window: int = 9, sigma: float | None = None, across_features: bool = True, epsilon: float = 1e-4
) -> jax.Array:
    """Takes away the mean around each pixel, then divides by the deviation there (Jarrett et al. 2009, section 2.1).

    v_c = x_c - sum_{d, p, q} w_pq x_d[i + p, j + q]
    s   = sqrt(sum_{d, p, q} w_pq v_d[i + p, j + q]**2)
    y_c = v_c / max(m, s, epsilon),   m the mean of s over the image

    w is a Gaussian window, its sum over the window and the features 1; at a border over the pixels that exist, so a
    constant image is zero everywhere. The paper gives neither the width of the Gaussian, by default a quarter of the
    window, nor epsilon, which keeps an image without contrast from 0 / 0; both are those of the authors' Torch code.

    Args:
      x: (n, h, w, c), any float type; computed in float32 at least.
      window: side of the window, odd; 9 in the paper.
      sigma: standard deviation of the Gaussian in pixels; None for window / 4.
      across_features: sums over the features d as in the paper; False normalises each feature by itself.
      epsilon: the least divisor, positive.
    Returns:
      (n, h, w, c), the dtype of x.
    Raises:
      ValueError: window is even or not positive, or sigma or epsilon is not positive.
    """
    check_image(x.shape)
    if window < 1 or window % 2 == 0:
        raise ValueError(f"local_contrast_norm needs an odd window, got {window}")
    sigma = window / 4 if sigma is None else sigma
    if sigma <= 0 or epsilon <= 0:
        raise ValueError(f"local_contrast_norm needs a positive sigma and epsilon, got {sigma} and {epsilon}")
    values = wide(x)
    # changes nothing but the rounding, which a small divisor would make large
    values = values - jnp.mean(values, axis=(1, 2, 3) if across_features else (1, 2), keepdims=True)
    rows, columns = (_gaussian(size, window, sigma).astype(values.dtype) for size in x.shape[1:3])

    def local_mean(values):
        if across_features:
            values = jnp.mean(values, axis=-1, keepdims=True)
        blurred = jnp.einsum("ai,nijc->najc", rows, values, precision="highest")
        return jnp.einsum("bj,najc->nabc", columns, blurred, precision="highest")

    values = values - local_mean(values)
    deviation = root(local_mean(jnp.square(values)))
    divisor = jnp.maximum(deviation, jnp.mean(deviation, axis=(1, 2), keepdims=True))
    return (values / jnp.maximum(divisor, epsilon)).astype(x.dtype)


def _gaussian(size, window, sigma):
    """Weights (size, size): row i holds the window around pixel i, as far as there are pixels; each row sums to 1."""
    distance = np.arange(size).reshape(-1, 1) - np.arange(size)
    weights = np.where(np.abs(distance) <= window // 2, np.exp(-np.square(distance) / (2 * sigma**2)), 0)
    return weights / weights.sum(axis=1, keepdims=True)
