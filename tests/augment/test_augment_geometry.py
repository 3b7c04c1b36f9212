"""Augmentations that move pixels, on images small enough to list every outcome."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import augment
from jaxcnn.augment import horizontal_flip, pad_crop

IMAGE = np.array([[[1.0], [2.0]], [[3.0], [4.0]]], np.float32)  # 1 2 over 3 4


def keys(count, seed=0):
    return jax.random.split(jax.random.key(seed), count)


def windows(image, padding):
    """Every window of the size of the image in the zero-padded image, row by row."""
    height, width, _ = image.shape
    padded = np.zeros((height + 2 * padding, width + 2 * padding, image.shape[2]), image.dtype)
    padded[padding : padding + height, padding : padding + width] = image
    places = range(2 * padding + 1)
    return [padded[i : i + height, j : j + width] for i in places for j in places]


def test_flip_mirrors_left_to_right():
    key = jax.random.key(0)
    np.testing.assert_array_equal(horizontal_flip(key, IMAGE, probability=1.0)[..., 0], [[2, 1], [4, 3]])
    np.testing.assert_array_equal(horizontal_flip(key, IMAGE, probability=0.0), IMAGE)


def test_flip_happens_as_often_as_its_probability():
    many = keys(2000)
    for probability in (0.5, 0.1):
        flipped = jax.vmap(lambda key, p=probability: horizontal_flip(key, IMAGE, probability=p)[0, 0, 0] == 2)(many)
        deviation = np.sqrt(probability * (1 - probability) / len(many))
        assert abs(float(flipped.mean()) - probability) < 4 * deviation
    default = jax.vmap(lambda key: horizontal_flip(key, IMAGE)[0, 0, 0] == 2)(many)
    assert abs(float(default.mean()) - 0.5) < 4 * np.sqrt(0.25 / len(many))


def test_the_probability_of_a_flip_may_be_traced():
    flip = jax.jit(lambda p: horizontal_flip(jax.random.key(0), IMAGE, probability=p))
    np.testing.assert_array_equal(flip(0.0), IMAGE)
    np.testing.assert_array_equal(flip(1.0), IMAGE[:, ::-1])


def test_pad_crop_gives_every_window_alike():
    expected = windows(IMAGE, 1)
    many = keys(1800)
    found = np.asarray(jax.vmap(lambda key: pad_crop(key, IMAGE, padding=1))(many))
    counts = np.array([(found == window).all(axis=(1, 2, 3)).sum() for window in expected])
    assert counts.sum() == len(many)  # nothing else comes out, and the nine windows differ
    share = 1 / len(expected)
    assert (np.abs(counts / len(many) - share) < 4 * np.sqrt(share * (1 - share) / len(many))).all()


def test_no_padding_is_the_identity():
    np.testing.assert_array_equal(pad_crop(jax.random.key(1), IMAGE, padding=0), IMAGE)


def test_a_negative_padding_is_refused():
    with pytest.raises(ValueError, match="padding is -1"):
        pad_crop(jax.random.key(0), IMAGE, padding=-1)


@pytest.mark.parametrize("operation", [horizontal_flip, lambda key, image: pad_crop(key, image, padding=2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_vmap_and_jit_equal_a_loop(operation, dtype):
    images = np.random.default_rng(0).integers(1, 256, (16, 5, 4, 3)).astype(dtype)
    expected = np.stack([operation(key, image) for key, image in zip(keys(16), images, strict=True)])
    assert expected.dtype == dtype and expected.shape == images.shape
    assert not (expected == images).all(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(jax.vmap(operation)(keys(16), jnp.asarray(images)), expected)
    np.testing.assert_array_equal(jax.jit(jax.vmap(operation))(keys(16), jnp.asarray(images)), expected)


def test_every_augmentation_takes_key_and_image_and_then_keywords():
    functions = [getattr(augment, name) for name in augment.__all__ if name != "make_augment"]
    assert functions
    for function in functions:
        first, second, *options = inspect.signature(function).parameters.values()
        assert (first.name, second.name) == ("key", "image")
        assert all(option.kind is option.KEYWORD_ONLY for option in options)
