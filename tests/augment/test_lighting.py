"""Lighting: the colours that it adds have the covariance of the paper."""

import jax
import numpy as np
import pytest

from jaxcnn.augment.lighting import IMAGENET_VALUES, IMAGENET_VECTORS, lighting

KEYS = jax.random.split(jax.random.key(0), 4000)


def shifts(channels, **options):
    image = np.full((2, 3, channels), 0.5, np.float32)
    found = np.asarray(jax.jit(jax.vmap(lambda key: lighting(key, image, **options)))(KEYS), np.float64) - 0.5
    np.testing.assert_array_equal(found, np.broadcast_to(found[:, :1, :1], found.shape))  # one colour for all pixels
    return found[:, 0, 0]


def test_multiples_of_the_components_are_normal_and_independent():
    multiples = np.linalg.solve(np.array(IMAGENET_VECTORS), shifts(3, magnitude=0.1).T).T / np.array(IMAGENET_VALUES)
    error = 5 / np.sqrt(2 * len(KEYS))  # five standard errors of a deviation, relative
    np.testing.assert_allclose(multiples.std(axis=0), 0.1, rtol=error)
    np.testing.assert_allclose(multiples.mean(axis=0), 0, atol=0.1 * 4 / np.sqrt(len(KEYS)))
    np.testing.assert_allclose(np.corrcoef(multiples.T), np.eye(3), atol=4 / np.sqrt(len(KEYS)))
    np.testing.assert_allclose((np.abs(multiples) < 0.1).mean(), 0.6827, atol=0.02)


def test_the_published_components_are_orthonormal_and_of_the_covariance():
    vectors = np.array(IMAGENET_VECTORS)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-4)
    deviations = np.sqrt(np.square(vectors) @ np.array(IMAGENET_VALUES))
    np.testing.assert_allclose(deviations, [0.28, 0.28, 0.28], atol=0.01)  # of pixels; square roots would give 0.13


def test_components_of_grey_images():
    found = shifts(1, magnitude=0.2, values=[0.5], vectors=[[1.0]])
    np.testing.assert_allclose(found.std(), 0.1, rtol=5 / np.sqrt(2 * len(KEYS)))


def test_components_of_another_number_of_channels_are_refused():
    with pytest.raises(ValueError, match=r"lighting of 3 channels: values \(1,\) and vectors \(1, 1\)"):
        lighting(KEYS[0], np.zeros((2, 2, 3), np.float32), magnitude=0.1, values=[0.5], vectors=[[1.0]])
