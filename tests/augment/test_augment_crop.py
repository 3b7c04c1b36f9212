"""Crops: every window listed, every box read off a ramp, and what a box becomes against Pillow."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
import scipy.stats

from jaxcnn.augment.crop import crop_and_pad, pad_crop, random_crop, random_resized_crop, random_scaled_crop

IMAGE = np.array([[[1.0], [2.0]], [[3.0], [4.0]]], np.float32)  # 1 2 over 3 4
KEYS = jax.random.split(jax.random.key(0), 1000)


def windows(image, size):
    """Every window of the given size, row by row."""
    rows, columns = (range(side - cut + 1) for side, cut in zip(image.shape[:2], size, strict=True))
    return [image[i : i + size[0], j : j + size[1]] for i in rows for j in columns]


@pytest.mark.parametrize(
    ("operation", "image", "size", "source"),
    [
        (functools.partial(pad_crop, padding=1), IMAGE, (2, 2), np.pad(IMAGE, ((1, 1), (1, 1), (0, 0)))),
        (functools.partial(random_crop, size=(2, 3)), np.arange(20.0).reshape(4, 5, 1), (2, 3), None),
    ],
    ids=["pad_crop", "random_crop"],
)
def test_every_window_comes_alike(operation, image, size, source):
    expected = windows(image if source is None else source, size)
    found = np.asarray(jax.vmap(lambda key: operation(key, image))(KEYS))
    counts = np.array([(found == window).all(axis=(1, 2, 3)).sum() for window in expected])
    assert counts.sum() == len(KEYS)  # nothing else comes out, and the nine windows differ
    share = 1 / len(expected)
    assert (np.abs(counts / len(KEYS) - share) < 4 * np.sqrt(share * (1 - share) / len(KEYS))).all()


def test_no_padding_is_the_identity():
    np.testing.assert_array_equal(pad_crop(jax.random.key(1), IMAGE, padding=0), IMAGE)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_of_windows_equals_a_loop(dtype, channels):
    images = np.random.default_rng(0).integers(1, 256, (8, 5, 4, channels)).astype(dtype)
    for operation in (functools.partial(pad_crop, padding=2), functools.partial(random_crop, size=(3, 3))):
        expected = np.stack([operation(key, image) for key, image in zip(KEYS[:8], images, strict=True)])
        assert expected.dtype == dtype
        np.testing.assert_array_equal(jax.jit(jax.vmap(operation))(KEYS[:8], images), expected)


def ramp(height, width):
    """(height, width, 2): the (row, column) of each pixel's centre, measured between pixel edges."""
    return np.stack(np.mgrid[:height, :width] + 0.5, axis=-1).astype(np.float32)


def boxes(operation, image, keys=KEYS):
    """(corner (n, 2), sides (n, 2)) of the boxes that become the result under each key: top and left, height and width.

    A ramp resampled is a ramp: the line through its inner pixels tells where the edges of the result were in the image.
    It is exact where the result is larger than the box; antialiasing wears ripples of a few hundredths of a pixel.
    """
    result = np.asarray(jax.jit(jax.vmap(operation, in_axes=(0, None)))(keys, image), np.float64)
    lines = []
    for axis, side in enumerate(image.shape[:2]):
        size = result.shape[1 + axis]
        middle = np.moveaxis(result[..., axis], 1 + axis, -1)[:, result.shape[2 - axis] // 2]
        inner = [(line > 2) & (line < side - 2) for line in middle]
        place = (np.arange(size) + 0.5) / size
        lines.append([np.polyfit(place[some], line[some], 1) for line, some in zip(middle, inner, strict=True)])
    lines = np.array(lines)  # (axis, n, (slope, intercept))
    return lines[..., 1].T, lines[..., 0].T


def assert_uniform(values, low, high):
    """The values fill [low, high] evenly: Kolmogorov-Smirnov at p = 0.001, up to the ends and not beyond."""
    slack = 5e-3 * (high - low)
    assert abs(values.min() - low) < slack and abs(values.max() - high) < slack
    assert scipy.stats.kstest(values, scipy.stats.uniform(low, high - low).cdf).pvalue > 1e-3


def test_crop_and_pad_moves_each_side_on_its_own():
    corner, sides = boxes(functools.partial(crop_and_pad, magnitude=0.2), ramp(32, 24))
    moved = np.concatenate([-corner, corner + sides - [32, 24]], axis=1) / [32, 24, 32, 24]
    for side in moved.T:
        assert_uniform(side, -0.2, 0.2)
    assert np.abs(np.corrcoef(moved.T) - np.eye(4)).max() < 4 / np.sqrt(len(KEYS))


def test_crop_and_pad_fills_what_lies_outside():
    operation = functools.partial(crop_and_pad, magnitude=0.4, fill=0.25)
    corner, sides = boxes(operation, ramp(32, 24))
    images = np.asarray(jax.jit(jax.vmap(operation, in_axes=(0, None)))(KEYS, np.ones((32, 24, 1), np.float32)))
    for (top, left), (height, width), image in zip(corner, sides, images[..., 0], strict=True):
        rows, columns = top + (np.arange(32) + 0.5) / 32 * height, left + (np.arange(24) + 0.5) / 24 * width
        inside = ((rows > 0) & (rows < 32))[:, None] & ((columns > 0) & (columns < 24))[None]
        assert (np.abs(image - np.where(inside, 1, 0.25)) > 1e-5).sum() <= 24  # a line of pixels on the very edge


def test_crop_and_pad_leaves_the_image_as_it_is_at_magnitude_0_whatever_the_fill():
    image = np.random.default_rng(0).random((7, 9, 3)).astype(np.float32)
    same = jax.jit(lambda key: crop_and_pad(key, image, magnitude=0.0, fill=0.3))(KEYS[0])
    np.testing.assert_allclose(same, image, atol=1e-6)


LARGE = (64, 64)  # more pixels than any box below


def test_random_resized_crop_draws_area_aspect_and_place():
    """Up to half of a square's area every allowed shape fits, so nothing is drawn twice and the laws are exact."""
    operation = functools.partial(random_resized_crop, size=LARGE, area=(0.08, 0.5), aspect=(0.6, 1.8))
    corner, sides = boxes(operation, ramp(40, 40))
    draws = np.stack(
        [
            sides.prod(axis=1) / 1600,
            np.log(sides[:, 1] / sides[:, 0]),
            *(corner / (40 - sides)).T,
        ]
    )
    limits = [(0.08, 0.5), (math.log(0.6), math.log(1.8)), (0, 1), (0, 1)]
    for values, (low, high) in zip(draws, limits, strict=True):
        assert_uniform(values, low, high)
    assert np.abs(np.corrcoef(draws) - np.eye(4)).max() < 4 / np.sqrt(len(KEYS))


def test_random_resized_crop_keeps_to_the_image_and_reaches_its_corners():
    corner, sides = boxes(functools.partial(random_resized_crop, size=LARGE), ramp(40, 60))
    assert (corner > -0.05).all() and (corner + sides < np.array([40.05, 60.05])).all()
    aspect = sides[:, 1] / sides[:, 0]
    assert 3 / 4 - 0.005 < aspect.min() < 0.77 and 1.3 < aspect.max() < 4 / 3 + 0.005
    assert 0.08 - 1e-3 < sides.prod(axis=1).min() / 2400 < 0.1
    place = corner / (np.array([40, 60]) - sides).clip(1e-3)
    for end in ([0, 0], [0, 1], [1, 0], [1, 1]):
        assert (np.abs(place - end) < 0.15).all(axis=1).any()
    drawn = np.random.default_rng(0).uniform([0.08, math.log(3 / 4)], [1, math.log(4 / 3)], (20000, 2))
    areas, ratios = 2400 * drawn[:, 0], np.exp(drawn[:, 1])
    fits = (np.sqrt(areas / ratios) <= 40) & (np.sqrt(areas * ratios) <= 60)
    assert 0.5 < fits.mean() < 0.9  # so that drawing again matters
    assert scipy.stats.ks_2samp(sides.prod(axis=1), areas[fits]).pvalue > 1e-3


@pytest.mark.parametrize(
    ("shape", "area", "aspect", "expected"),
    [
        ((12, 60), (0.9, 1.0), (3 / 4, 4 / 3), (0, 22, 12, 16)),
        ((60, 12), (0.9, 1.0), (3 / 4, 4 / 3), (22, 0, 16, 12)),
        ((20, 24), (1.0, 1.0), (1.2, 1.2), (0, 0, 20, 24)),
    ],
)
def test_where_no_box_fits_the_largest_in_the_middle_is_taken(shape, area, aspect, expected):
    operation = functools.partial(random_resized_crop, size=LARGE, area=area, aspect=aspect)
    corner, sides = boxes(operation, ramp(*shape))
    np.testing.assert_allclose(np.concatenate([corner, sides], axis=1), [expected] * len(KEYS), atol=2e-3)


@pytest.mark.parametrize(
    ("shape", "size", "tight"), [((40, 60), (64, 64), 40 / 64), ((60, 40), (64, 96), 40 / 96)], ids=["square", "wide"]
)
def test_random_scaled_crop_draws_the_short_side_and_the_place(shape, size, tight):
    corner, sides = boxes(functools.partial(random_scaled_crop, size=size), ramp(*shape))
    scale = tight * np.array(size) / sides  # the short side of the resized image, in sides of the window
    np.testing.assert_allclose(scale[:, 0], scale[:, 1], rtol=1e-3)
    assert_uniform(scale[:, 0], 256 / 224, 480 / 224)
    place = corner / (np.array(shape) - sides)
    for values in place.T:
        assert_uniform(values, 0, 1)
    assert np.abs(np.corrcoef(np.stack([scale[:, 0], *place.T])) - np.eye(3)).max() < 4 / np.sqrt(len(KEYS))


@pytest.mark.parametrize("operation", [random_resized_crop, random_scaled_crop])
def test_a_box_becomes_what_pillow_makes_of_it(operation):
    """Grown and shrunk, each image of a batch under its own key; the box is the same for windows of one shape."""
    keys = KEYS[:20]
    images = np.random.default_rng(0).random((20, 40, 30, 3)).astype(np.float32)
    corner, sides = boxes(functools.partial(operation, size=(48, 36)), ramp(40, 30), keys)
    for size, dtype, tolerance in [((48, 36), "float32", 2e-4), ((8, 6), "float32", 2e-4), ((8, 6), "bfloat16", 2**-8)]:
        batch = jax.jit(jax.vmap(functools.partial(operation, size=size)))
        results = np.asarray(batch(keys, images.astype(jnp.dtype(dtype))))
        assert results.dtype == dtype and results.shape == (20, *size, 3)
        for result, image, (top, left), (height, width) in zip(results, images, corner, sides, strict=True):
            low, high = np.clip([(left, top), (left + width, top + height)], 0, (30, 40))
            for channel in range(3):
                plane = PIL.Image.fromarray(image[..., channel])
                expected = plane.resize(size[::-1], PIL.Image.Resampling.BILINEAR, box=(*low, *high))
                np.testing.assert_allclose(result[..., channel].astype(np.float32), expected, atol=tolerance)


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (functools.partial(pad_crop, padding=-1), "padding is -1"),
        (functools.partial(random_crop, size=(2, 3)), r"a window of \(2, 3\) does not fit"),
        (functools.partial(random_resized_crop, size=LARGE, area=(0.5, 1.1)), "area"),
        (functools.partial(random_resized_crop, size=LARGE, aspect=(4 / 3, 3 / 4)), "aspect"),
        (functools.partial(random_scaled_crop, size=LARGE, scale=(0.9, 1.5)), "scale"),
    ],
)
def test_what_cannot_be_cut_is_refused(operation, message):
    with pytest.raises(ValueError, match=message):
        operation(jax.random.key(0), IMAGE)
