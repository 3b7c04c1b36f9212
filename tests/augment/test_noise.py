"""Noise: its statistics, and every square of a small image."""

import jax
import numpy as np
import pytest

from jaxcnn.augment.noise import additive_gaussian_noise, coarse_dropout, coarse_salt

KEYS = jax.random.split(jax.random.key(0), 1000)


def many(operation, image, **options):
    image = np.asarray(image, np.float32)
    return np.asarray(jax.jit(jax.vmap(lambda key: operation(key, image, **options)))(KEYS), np.float64)


def test_gaussian_noise():
    noise = many(additive_gaussian_noise, np.full((10, 20, 3), 0.5), magnitude=0.1) - 0.5
    deviations = noise.std(axis=(1, 2, 3))
    assert deviations.max() < 0.1 * (1 + 4 / np.sqrt(2 * 600)) and deviations.min() < 0.005  # each from 600 values
    of_square = 0.1**2 * np.sqrt(4 / 45 / len(KEYS))  # standard error of the mean of s**2, s uniform on [0, 0.1]
    assert abs(np.square(noise).mean() - 0.1**2 / 3) < 4 * of_square
    units = noise / deviations[:, None, None, None]
    values = units.size
    assert abs(units.mean()) < 4 / np.sqrt(values)
    assert abs((units**4).mean() - 3) < 0.02 + 4 * np.sqrt(
        96 / values
    )  # fourth moment, 3 less 6 / 601 in samples of 600
    for neighbours in (
        units[:, 1:] * units[:, :-1],
        units[:, :, 1:] * units[:, :, :-1],
        units[..., 1:] * units[..., :-1],
    ):
        assert abs(neighbours.mean()) < 4 / np.sqrt(neighbours.size) + 2 / 600


def test_salt_whitens_whole_cells():
    found = many(coarse_salt, np.zeros((10, 9, 3)), magnitude=0.4, cell=4)
    assert set(np.unique(found)) == {0, 1}
    cells = found[:, ::4, ::4, 0]
    expected = cells.repeat(4, axis=1).repeat(4, axis=2)[:, :10, :9]
    np.testing.assert_array_equal(found, np.broadcast_to(expected[..., None], found.shape))
    fractions = cells.mean(axis=(1, 2))  # of 9 cells
    variance = 0.4**2 / 12 + (0.2 - 0.4**2 / 3) / 9  # of p, uniform on [0, 0.4], and of 9 draws given p
    assert abs(fractions.mean() - 0.2) < 4 * np.sqrt(variance / len(KEYS))
    assert abs(fractions.var() - variance) < 0.15 * variance
    with pytest.raises(ValueError, match="cell is 0"):
        coarse_salt(KEYS[0], np.zeros((4, 4, 1), np.float32), magnitude=0.1, cell=0)


def test_dropout_gives_every_square_around_a_pixel():
    found = many(coarse_dropout, np.ones((7, 6, 1)), magnitude=0.5)  # sides of 3, from one before the centre
    expected = set()
    for i in range(7):
        for j in range(6):
            image = np.ones((7, 6))
            image[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2] = 0
            expected.add(image.tobytes())
    assert {image[..., 0].tobytes() for image in found} == expected
    areas = (found == 0).sum(axis=(1, 2, 3))
    assert abs(areas.mean() - (19 / 7) * (16 / 6)) < 4 * areas.std() / np.sqrt(len(KEYS))


def test_dropout_fills_with_a_colour():
    found = many(coarse_dropout, np.ones((4, 4, 3)), magnitude=1.0, fill=(0.25, 0.5, 0.75))
    np.testing.assert_array_equal(np.unique(found.reshape(-1, 3), axis=0), [[0.25, 0.5, 0.75], [1, 1, 1]])
