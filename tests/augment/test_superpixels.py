"""Superpixels by what they are: patches of one colour, which is the mean of what they hide."""

import functools

import jax
import numpy as np
import pytest

from jaxcnn.augment.superpixels import superpixels

KEYS = jax.random.split(jax.random.key(0), 64)
IMAGE = np.random.default_rng(0).uniform(size=(16, 19, 3)).astype(np.float32)  # cells of 4 x 5 reach over the border


@functools.cache
def of_sixteen():
    return jax.jit(
        jax.vmap(lambda key, image, m: superpixels(key, image, magnitude=m, segments=16), in_axes=(0, None, None))
    )


def test_every_patch_is_the_mean_of_its_pixels():
    found = np.asarray(of_sixteen()(KEYS, IMAGE, 1.0))
    for image in found[:8]:
        colours, patch = np.unique(image.reshape(-1, 3).round(5), axis=0, return_inverse=True)
        assert 8 <= len(colours) <= 16
        means = [IMAGE.reshape(-1, 3)[patch == number].mean(axis=0) for number in range(len(colours))]
        np.testing.assert_allclose(colours, means, atol=2e-5)


def test_a_patch_is_replaced_as_often_as_the_magnitude_says():
    whole, some = (np.asarray(of_sixteen()(KEYS, IMAGE, magnitude)) for magnitude in (1.0, 0.3))
    replaced = (some == whole).all(axis=-1)
    np.testing.assert_array_equal(some, np.where(replaced[..., None], whole, IMAGE[None]))
    shares = replaced.mean(axis=(1, 2))
    assert abs(shares.mean() - 0.3) < 4 * shares.std() / np.sqrt(len(KEYS))
    assert shares.std() > 0.05


def test_patches_follow_an_edge_that_the_grid_does_not_know():
    image = np.where(np.arange(19) < 8, 0.1, 0.9)[None, :, None] * np.ones((16, 1, 3))
    found = np.asarray(of_sixteen()(KEYS, image.astype(np.float32), 1.0))
    np.testing.assert_allclose(found, np.broadcast_to(image, found.shape), atol=1e-5)


@pytest.mark.parametrize(("segments", "expected"), [(1, IMAGE.mean(axis=(0, 1), keepdims=True)), (16 * 19, IMAGE)])
def test_one_patch_and_a_patch_for_each_pixel(segments, expected):
    found = jax.jit(superpixels, static_argnames="segments")(KEYS[0], IMAGE, magnitude=1, segments=segments)
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-5)


def test_no_segments_are_refused():
    with pytest.raises(ValueError, match="segments is 0"):
        superpixels(KEYS[0], IMAGE, magnitude=1.0, segments=0)
