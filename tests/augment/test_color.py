"""Augmentations of colour against NumPy and the standard library's colorsys, pixel by pixel."""

import colorsys

import jax
import numpy as np
import pytest
from uniform import assert_uniform

from jaxcnn.augment import color

KEYS = jax.random.split(jax.random.key(0), 300)
IMAGE = np.random.default_rng(0).uniform(0.3, 0.45, (3, 4, 3))  # far enough from 0 and 1 that nothing is clipped
IMAGE[0, 0] = 0.4, 0.3, 0.35
MEAN = IMAGE.mean(axis=(0, 1))


def in_hsv(change):
    """change(h, s, v) on every pixel of IMAGE."""
    return np.array([[colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*pixel))) for pixel in row] for row in IMAGE])


def hsv(pixel):
    return np.array(colorsys.rgb_to_hsv(*pixel))


CASES = {  # magnitude, the strength that the first pixel shows, the image at a strength, the bounds of the strength
    "brightness": (0.2, lambda y: y[0] - IMAGE[0, 0, 0], lambda u: IMAGE + u, (-0.2, 0.2)),
    "contrast": (
        0.5,
        lambda y: (y[0] - MEAN[0]) / (IMAGE[0, 0, 0] - MEAN[0]) - 1,
        lambda u: MEAN + (1 + u) * (IMAGE - MEAN),
        (-0.5, 0.5),
    ),
    "saturation": (
        0.8,
        lambda y: hsv(y)[1] / hsv(IMAGE[0, 0])[1] - 1,
        lambda u: in_hsv(lambda h, s, v: (h, min(s * (1 + u), 1), v)),
        (-0.8, 0.8),
    ),
    "hue": (
        0.3,
        lambda y: (hsv(y)[0] - hsv(IMAGE[0, 0])[0] + 0.5) % 1 - 0.5,
        lambda u: in_hsv(lambda h, s, v: ((h + u) % 1, s, v)),
        (-0.3, 0.3),
    ),
    "gamma": (
        0.6,
        lambda y: np.log(np.log(y[0]) / np.log(IMAGE[0, 0, 0])),
        lambda u: IMAGE ** np.exp(u),
        (-np.log(1.6), np.log(1.6)),
    ),
    "invert": (
        0.9,
        lambda y: (y[0] - IMAGE[0, 0, 0]) / (1 - 2 * IMAGE[0, 0, 0]),
        lambda u: (1 - u) * IMAGE + u * (1 - IMAGE),
        (0, 0.9),
    ),
}


def many(operation, magnitude):
    image = IMAGE.astype(np.float32)
    return np.asarray(jax.jit(jax.vmap(lambda key: operation(key, image, magnitude=magnitude)))(KEYS), np.float64)


@pytest.mark.parametrize("name", CASES)
def test_operations_of_one_strength(name):
    magnitude, shown, expected, bounds = CASES[name]
    found = many(getattr(color, name), magnitude)
    strengths = [shown(image[0, 0]) for image in found]
    assert_uniform(strengths, *bounds)
    for image, strength in zip(found[:20], strengths, strict=False):
        np.testing.assert_allclose(image, expected(strength), rtol=0, atol=1e-5)


def test_a_colour_cast_moves_each_channel_by_a_number_of_its_own():
    shifts = many(color.color_cast, 0.2) - IMAGE
    np.testing.assert_allclose(shifts, np.broadcast_to(shifts[:, :1, :1], shifts.shape), rtol=0, atol=1e-6)
    of_channels = shifts[:, 0, 0].T
    for channel in of_channels:
        assert_uniform(channel, -0.2, 0.2)
    assert np.abs(np.corrcoef(of_channels) - np.eye(3)).max() < 4 / np.sqrt(len(KEYS))
