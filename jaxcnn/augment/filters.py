"""Augmentations that filter an image. Beyond the border the nearest pixel of the image continues, or nothing counts."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.augment.photometric import photometric

LAPLACIAN = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]])  # a pixel against its eight neighbours
SLOPE = np.array([[-1, -1, 0], [-1, 0, 1], [0, 1, 1]])  # rises to the lower right
SMALLEST_SIGMA = 1e-3  # in pixels: exp(-1 / (2 * sigma**2)) is 0 in float32, and sigma**2 is not


def _correlate(image, kernel):
    """The sum over a 3x3 kernel, static, of shifted images; beyond the border the nearest pixel counts."""
    height, width, _ = image.shape
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    taps = ((place, int(weight)) for place, weight in np.ndenumerate(kernel) if weight)
    return sum(weight * padded[i : i + height, j : j + width] for (i, j), weight in taps)


@photometric
def sharpen(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array) -> jax.Array:
    """Adds u times the difference between eight times the pixel and its eight neighbours, u uniform on [0, magnitude].

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: the largest u; 1 is the kernel of 9 amid -1, which is harsh.
    Returns:
      (h, w, c), the dtype of image.
    """
    return image + jax.random.uniform(key, maxval=magnitude) * _correlate(image, LAPLACIAN)


@photometric
def emboss(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array) -> jax.Array:
    """Adds u times the slope towards the lower right, u uniform on [-magnitude, magnitude].

    The slope is the sum of the three neighbours right, below and between, less that of the three across. As in a relief
    under light from one side, what rises to the lower right is bright and what falls is dark; under a negative u the
    light comes from the other side.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: the largest u.
    Returns:
      (h, w, c), the dtype of image.
    """
    strength = jax.random.uniform(key, minval=-magnitude, maxval=magnitude)
    return image + strength * _correlate(image, SLOPE)


@photometric
def gaussian_blur(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array) -> jax.Array:
    """Averages with Gaussian weights of standard deviation s, uniform on [0, magnitude].

    At the border the weights of the pixels that exist sum to 1. Written as two products with (h, h) and (w, w)
    matrices of weights: nothing is cut off at a radius, so a traced s may be of any size.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: the largest standard deviation, in pixels.
    Returns:
      (h, w, c), the dtype of image.
    """
    sigma = jax.random.uniform(key, maxval=magnitude)
    rows, columns = (_gaussian_weights(size, sigma) for size in image.shape[:2])
    return jnp.einsum("ih,hwc,jw->ijc", rows, image, columns, precision=lax.Precision.HIGHEST)


def _gaussian_weights(size, sigma):
    """(size, size): row i holds the weights of the pixels in the average at i; they sum to 1."""
    places = np.arange(size)
    distance = np.square(places[:, None] - places[None]).astype(np.float32)
    weights = jnp.exp(-distance / (2 * jnp.maximum(sigma, SMALLEST_SIGMA) ** 2))
    return weights / weights.sum(axis=1, keepdims=True)
