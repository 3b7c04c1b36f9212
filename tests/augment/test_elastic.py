"""Elastic deformation: the field read off a ramp has the length, the smoothness and the fairness that are claimed."""

import functools

import jax
import numpy as np
import pytest
import scipy.ndimage

from jaxcnn.augment.elastic import elastic

SIZE = 48
KEYS = jax.random.split(jax.random.key(0), 200)
RAMP = np.stack(np.mgrid[:SIZE, :SIZE], axis=-1).astype(np.float32)
CORE = slice(8, -8)  # pixels that no displacement below takes outside


@pytest.fixture(scope="module")
def deform():
    """f(keys, image, magnitude), compiled once for each shape."""
    return jax.jit(jax.vmap(lambda key, image, m: elastic(key, image, magnitude=m, fill=0.5), in_axes=(0, None, None)))


@pytest.fixture(scope="module")
def fields(deform):
    """(n, core, core, 2): displacements (down, right) at magnitude 1.5."""
    return np.asarray(deform(KEYS, RAMP, 1.5), np.float64)[:, CORE, CORE] - RAMP[CORE, CORE]


def test_the_root_mean_square_displacement_is_the_magnitude(fields, deform):
    lengths = np.sqrt((fields**2).sum(axis=-1).mean(axis=(1, 2)))
    assert abs(np.sqrt((lengths**2).mean()) - 1.5) < 0.05  # over the core; over the whole field it is exact
    twice = np.asarray(deform(KEYS, RAMP, 3.0), np.float64)[:, CORE, CORE] - RAMP[CORE, CORE]
    small = np.abs(twice).max(axis=(1, 2, 3)) < 8
    assert small.mean() > 0.8
    np.testing.assert_allclose(twice[small], 2 * fields[small], atol=1e-3)


def test_every_pixel_and_both_directions_move_alike(fields):
    power = (fields**2).mean(axis=0) / (1.5**2 / 2)  # (core, core, 2), 1 everywhere in expectation
    assert abs(power[..., 0].mean() - 1) < 0.1 and abs(power[..., 1].mean() - 1) < 0.1
    assert abs(power[0].mean() / power[power.shape[0] // 2].mean() - 1) < 0.25
    assert np.abs(fields.mean(axis=0)).max() < 5 * 1.5 / np.sqrt(2 * len(KEYS))
    assert abs(np.corrcoef(fields[..., 0].ravel(), fields[..., 1].ravel())[0, 1]) < 0.1


@pytest.mark.parametrize("lag", [2, 5, 8])
def test_the_field_is_as_smooth_as_white_noise_after_the_gaussian(fields, lag):
    """A Gaussian of sigma makes white noise correlate by exp(-lag**2 / (4 sigma**2)); sigma is 4."""
    for moved in (fields[:, lag:] * fields[:, :-lag], fields[:, :, lag:] * fields[:, :, :-lag]):
        assert abs(moved.mean() / (fields**2).mean() - np.exp(-(lag**2) / 64)) < 0.06


def test_an_image_is_read_at_the_displaced_points(deform):
    image = np.random.default_rng(0).random((SIZE, SIZE, 2)).astype(np.float32)
    points = np.asarray(deform(KEYS[:5], RAMP, 1.5), np.float64)[:, CORE, CORE]
    for found, (rows, columns) in zip(deform(KEYS[:5], image, 1.5), points.transpose(0, 3, 1, 2), strict=True):
        for channel in range(2):
            expected = scipy.ndimage.map_coordinates(image[..., channel].astype(float), (rows, columns), order=1)
            np.testing.assert_allclose(found[CORE, CORE, channel], expected, atol=1e-4)


def test_what_comes_from_outside_is_fill(deform):
    image = np.ones((SIZE, SIZE, 1), np.float32)
    found = np.asarray(deform(KEYS[:20], image, 3.0))
    assert found[:, 0].min() == 0.5 and found.max() <= 1 + 1e-6  # some points lie more than a pixel outside
    np.testing.assert_allclose(found[:, 24, 24], 1, atol=1e-6)


@pytest.mark.parametrize("sigma", [0, -1.0])
def test_a_gaussian_without_width_is_refused(sigma):
    with pytest.raises(ValueError, match="sigma is"):
        functools.partial(elastic, sigma=sigma)(KEYS[0], RAMP, magnitude=1.0)
