"""Weather: what covers an image does so by a blend that black and white images reveal."""

import colorsys
import functools

import jax
import numpy as np
import pytest

from jaxcnn.augment.weather import clouds, fast_snowy_landscape, fog, fractal_noise, snowflakes

KEYS = jax.random.split(jax.random.key(0), 100)
SHAPE = (24, 32)


@functools.cache
def batched(operation):
    return jax.jit(jax.vmap(lambda key, image, m: operation(key, image, magnitude=m), in_axes=(0, None, None)))


def many(operation, image, magnitude):
    image = np.broadcast_to(np.asarray(image, np.float32), (*SHAPE, 3))
    return np.asarray(batched(operation)(KEYS, image, magnitude), np.float64)


def opacity(operation, magnitude):
    """(n, h, w): the share of the image that is covered, for each key."""
    return 1 - (many(operation, 1.0, magnitude) - many(operation, 0.0, magnitude))[..., 0]


@pytest.mark.parametrize(("operation", "darkest"), [(clouds, 0.75), (fog, 0.82), (snowflakes, 1.0)])
def test_a_cover_is_a_blend_with_light_grey(operation, darkest):
    black, share = many(operation, 0.0, 1.0), opacity(operation, 1.0)
    np.testing.assert_array_equal(black, np.broadcast_to(black[..., :1], black.shape))
    assert share.min() > -1e-6 and share.max() < 1 + 1e-6
    covered = share > 0.05
    shade = black[covered][:, 0] / share[covered]
    assert shade.min() > darkest - 1e-4 and shade.max() < 1 + 1e-4
    image = np.random.default_rng(0).uniform(size=(*SHAPE, 3))
    expected = image[None] * (1 - share[..., None]) + black
    np.testing.assert_allclose(many(operation, image, 1.0), expected, atol=1e-6)


@pytest.mark.parametrize("operation", [clouds, fog, snowflakes])
def test_more_density_covers_more_and_never_less(operation):
    little, medium, much = (opacity(operation, magnitude) for magnitude in (0.3, 0.6, 1.0))
    assert (medium - little).min() > -1e-6 and (much - medium).min() > -1e-6
    assert little.mean() < 0.6 * much.mean()


def test_clouds_leave_parts_clear_and_hide_others():
    share = opacity(clouds, 0.7)
    assert (share.min(axis=(1, 2)) < 1e-6).mean() > 0.9
    assert (share.max(axis=(1, 2)) > 0.5).mean() > 0.4
    steps = np.abs(np.diff(share, axis=2)).mean()
    assert steps < 0.25 * np.abs(share - np.roll(share, 16, axis=2)).mean()  # neighbours are alike, far pixels are not


def test_fog_is_thinnest_at_six_tenths_of_its_density():
    share = opacity(fog, 1.0)
    assert (share.min(axis=(1, 2)) > 0.6 * share.max(axis=(1, 2)) - 1e-5).all()
    assert share.mean() == pytest.approx(0.8 / 2, abs=4 * 0.8 / np.sqrt(12 * len(KEYS)))


def test_snowflakes_are_few_white_dots_of_varied_size():
    share = opacity(snowflakes, 1.0)
    assert 0.01 < share.mean() < 0.15
    assert (share.max(axis=(1, 2)) > 0.5).mean() > 0.9
    assert (share < 0.01).mean() > 0.6


def test_snow_lies_where_colorsys_finds_it_dark():
    image = np.random.default_rng(0).uniform(0.02, 0.98, (*SHAPE, 3)).astype(np.float32)
    hls = np.array([[colorsys.rgb_to_hls(*pixel) for pixel in row] for row in image.tolist()])
    lit = np.array([[colorsys.hls_to_rgb(h, min(2.5 * light, 1), s) for h, light, s in row] for row in hls])
    changed = many(fast_snowy_landscape, image, 0.8)
    thresholds = []
    for found in changed[:20]:
        snowy = np.abs(found - image).max(axis=-1) > 1e-6
        np.testing.assert_allclose(found, np.where(snowy[..., None], lit, image), atol=1e-5)
        dark = hls[..., 1][snowy].max(initial=0)
        assert dark <= hls[..., 1][~snowy].min()
        thresholds.append(dark)
    assert min(thresholds) < 0.2 and 0.6 < max(thresholds) < 0.8


@pytest.mark.parametrize("shape", [SHAPE, (40, 30)])
def test_fractal_noise_is_smooth_and_fills_its_range(shape):
    noise = jax.jit(lambda key: fractal_noise(key, shape, fields=50, coarsest=2, persistence=0.4))
    fields = np.asarray(noise(KEYS[0]))
    assert fields.shape == (50, *shape) and fields.min() >= 0 and fields.max() <= 1
    assert abs(fields.mean() - 0.5) < 0.02
    assert 0.2 < fields.std() < 0.25  # a quarter, less what is clipped
    along = [np.corrcoef(field[:, 1:].ravel(), field[:, :-1].ravel())[0, 1] for field in fields]
    assert np.mean(along) > 0.6
    assert np.abs(np.corrcoef(fields.reshape(50, -1)) - np.eye(50)).max() < 0.999
