"""Luminance, and CIELAB for sRGB images (D65, 2 degrees), as scikit-image has them; on the device."""

import jax
import jax.numpy as jnp
import numpy as np

RGB_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]], np.float64
)
WHITE = np.array([0.95047, 1.0, 1.08883], np.float32)  # D65
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601, as Pillow's mode L


def luminance(images: jax.Array) -> jax.Array:
    """The luminance (..., 1) of RGB images (..., 3); of an image whose channels are equal, any of them."""
    return jnp.sum(images * LUMINANCE.reshape((1,) * (images.ndim - 1) + (3,)), axis=-1, keepdims=True)


def rgb_to_lab(images: jax.Array) -> jax.Array:
    """(..., 3) sRGB in [0, 1] to L from 0 to 100, and a and b from about -110 to 110."""
    linear = jnp.where(images > 0.04045, jnp.power((jnp.maximum(images, 0) + 0.055) / 1.055, 2.4), images / 12.92)
    xyz = _mapped(linear, RGB_TO_XYZ) / _white(images)
    f = jnp.where(xyz > 0.008856, jnp.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = (f[..., i] for i in range(3))
    return jnp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lab_to_rgb(images: jax.Array) -> jax.Array:
    """The inverse of `rgb_to_lab`; colours that sRGB lacks are cut to [0, 1]."""
    y = (images[..., 0] + 16) / 116
    f = jnp.stack([images[..., 1] / 500 + y, y, jnp.maximum(y - images[..., 2] / 200, 0)], axis=-1)
    xyz = jnp.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787) * _white(images)
    linear = _mapped(xyz, np.linalg.inv(RGB_TO_XYZ))
    bent = 1.055 * jnp.power(jnp.maximum(linear, 0.0031308), 1 / 2.4) - 0.055
    return jnp.clip(jnp.where(linear > 0.0031308, bent, 12.92 * linear), 0, 1)


def _mapped(images, matrix):
    """Each pixel times a matrix, in float32: the fast products of accelerators keep 8 to 11 bits."""
    return jnp.einsum("...c,dc->...d", images, matrix.astype(np.float32), precision="highest")


def _white(images):
    return WHITE.reshape((1,) * (images.ndim - 1) + (3,))
