"""Elastic deformation (Simard, Steinkraus and Platt 2003, section 2)."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import gaussian_filter1d

from jaxcnn.augment.resample import sample


def elastic(
    key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array, sigma: float = 4.0, fill: float = 0.0
) -> jax.Array:
    """Moves every pixel by a smooth random field.

    d = G_sigma * u,   u uniform on [-1, 1] for each pixel and direction;   result(p) = image(p + magnitude d(p) / |d|)

    |d| is the root mean square length of d over the image, so magnitude is the typical way of a pixel. The randomness
    is the field's: its strength is magnitude itself, as in the paper.

    The paper normalises the field "to a norm of 1", multiplies by alpha, and finds sigma 4 and alpha 34 best on MNIST
    at 29x29; of sigma it says that a small one makes noise and a large one a translation. If the norm is the root of
    the sum over the pixels, alpha 34 is a magnitude of 34 / 29 = 1.2 pixels. Nothing is said of the border: here the
    Gaussian wraps around, so that pixels there move as much as the others.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), any float type.
      magnitude: root mean square displacement in pixels; 0 is the identity; may be traced.
      sigma: standard deviation of the Gaussian in pixels; static.
      fill: the value outside the image; static.
    Returns:
      (h, w, c), the dtype of image.
    Raises:
      ValueError: sigma is not positive.
    """
    if sigma <= 0:
        raise ValueError(f"sigma is {sigma}; it is a standard deviation in pixels, above 0.")
    height, width, _ = image.shape
    noise = jax.random.uniform(key, (2, height, width), minval=-1, maxval=1)
    smooth_rows, smooth_columns = _smoothing(height, sigma), _smoothing(width, sigma)
    field = jnp.einsum("ih,dhw,jw->dij", smooth_rows, noise, smooth_columns, precision="highest")
    down, right = magnitude * field / jnp.sqrt(2 * jnp.mean(field**2))
    column, row = jnp.meshgrid(jnp.arange(width), jnp.arange(height))
    return sample(image, row + down, column + right, fill=fill)


def _smoothing(size, sigma):
    """(size, size): the matrix that convolves a column with the Gaussian; as a product it is fast on every device."""
    return gaussian_filter1d(np.eye(size, dtype=np.float32), sigma, axis=0, mode="wrap")
