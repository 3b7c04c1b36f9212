"""Filters against scipy.ndimage."""

import jax
import numpy as np
import pytest
from scipy import ndimage
from uniform import assert_uniform

from jaxcnn.augment.filters import emboss, gaussian_blur, sharpen

KEYS = jax.random.split(jax.random.key(0), 300)


def many(operation, image, magnitude):
    image = image.astype(np.float32)
    return np.asarray(jax.jit(jax.vmap(lambda key: operation(key, image, magnitude=magnitude)))(KEYS), np.float64)


@pytest.mark.parametrize(
    ("operation", "kernel", "low"),
    [
        (sharpen, [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], 0),
        (emboss, [[-1, -1, 0], [-1, 0, 1], [0, 1, 1]], -0.1),
    ],
)
def test_a_kernel_is_added(operation, kernel, low):
    image = np.random.default_rng(0).uniform(0.45, 0.55, (6, 5, 3))
    difference = ndimage.correlate(image, np.array(kernel)[..., None], mode="nearest")
    found = many(operation, image, 0.1) - image
    place = np.unravel_index(np.abs(difference).argmax(), difference.shape)
    strengths = found[:, *place] / difference[place]
    assert_uniform(strengths, low, 0.1)
    np.testing.assert_allclose(found, strengths[:, None, None, None] * difference[None], rtol=0, atol=1e-6)


def test_blur_of_a_point_is_a_gaussian():
    image = np.zeros((25, 31, 1))
    image[12, 15] = 1
    found = many(gaussian_blur, image, 2.0)
    ratio = np.maximum(found[:, 12, 16, 0] / found[:, 12, 15, 0], 1e-30)
    sigmas = 1 / np.sqrt(-2 * np.log(ratio))
    assert_uniform(sigmas, 0, 2.0)
    for blurred, sigma in zip(found[:20, ..., 0], sigmas, strict=False):
        # at deviations this small scipy's kernel, too, is that of the sampled Gaussian
        np.testing.assert_allclose(blurred, ndimage.gaussian_filter(image[..., 0], sigma, truncate=10), atol=2e-6)


def test_blur_keeps_a_flat_image_up_to_its_border():
    np.testing.assert_allclose(many(gaussian_blur, np.full((4, 6, 3), 0.7), 5.0), 0.7, rtol=1e-6)
