"""Mirror images, on an image small enough to list every outcome, and the signature of every augmentation."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import augment
from jaxcnn.augment.geometry import horizontal_flip, vertical_flip

IMAGE = np.array([[[1.0], [2.0]], [[3.0], [4.0]]], np.float32)  # 1 2 over 3 4
FLIPS = {"horizontal": (horizontal_flip, [[2, 1], [4, 3]]), "vertical": (vertical_flip, [[3, 4], [1, 2]])}


def keys(count, seed=0):
    return jax.random.split(jax.random.key(seed), count)


@pytest.mark.parametrize(("flip", "expected"), FLIPS.values(), ids=FLIPS)
def test_flip_mirrors_the_image(flip, expected):
    key = jax.random.key(0)
    np.testing.assert_array_equal(flip(key, IMAGE, probability=1.0)[..., 0], expected)
    np.testing.assert_array_equal(flip(key, IMAGE, probability=0.0), IMAGE)


@pytest.mark.parametrize(("flip", "expected"), FLIPS.values(), ids=FLIPS)
def test_flip_happens_as_often_as_its_probability(flip, expected):
    many = keys(2000)
    for probability in (0.5, 0.1):
        flipped = jax.vmap(lambda key, p=probability: flip(key, IMAGE, probability=p)[0, 0, 0] == expected[0][0])(many)
        deviation = np.sqrt(probability * (1 - probability) / len(many))
        assert abs(float(flipped.mean()) - probability) < 4 * deviation
    default = jax.vmap(lambda key: flip(key, IMAGE)[0, 0, 0] == expected[0][0])(many)
    assert abs(float(default.mean()) - 0.5) < 4 * np.sqrt(0.25 / len(many))


def test_the_probability_of_a_flip_may_be_traced():
    flip = jax.jit(lambda p: horizontal_flip(jax.random.key(0), IMAGE, probability=p))
    np.testing.assert_array_equal(flip(0.0), IMAGE)
    np.testing.assert_array_equal(flip(1.0), IMAGE[:, ::-1])


@pytest.mark.parametrize("operation", [horizontal_flip, vertical_flip])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_vmap_and_jit_equal_a_loop(operation, dtype):
    images = np.random.default_rng(0).integers(1, 256, (16, 5, 4, 3)).astype(dtype)
    expected = np.stack([operation(key, image) for key, image in zip(keys(16), images, strict=True)])
    assert expected.dtype == dtype and expected.shape == images.shape
    assert not (expected == images).all(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(jax.vmap(operation)(keys(16), jnp.asarray(images)), expected)
    np.testing.assert_array_equal(jax.jit(jax.vmap(operation))(keys(16), jnp.asarray(images)), expected)


def test_every_augmentation_takes_key_and_image_and_then_keywords():
    """Those of a batch take key, images and targets; those that a policy names take a magnitude."""
    whole = {"mixup": ("key", "images", "targets"), "cutmix": ("key", "images", "targets")}
    whole |= dict.fromkeys(("horizontal_flip_with_boxes", "random_zoom_with_boxes"), ("key", "image", "boxes"))
    names = [name for name in augment.__all__ if name[0].islower() and not name.startswith("make_")]
    assert set(augment.OPERATIONS) < set(names)
    for name in names:
        function = getattr(augment, name)
        arrays, parameters = whole.get(name, ("key", "image")), list(inspect.signature(function).parameters.values())
        assert tuple(parameter.name for parameter in parameters[: len(arrays)]) == arrays
        options = parameters[len(arrays) :]
        assert all(option.kind is option.KEYWORD_ONLY for option in options), name
        assert function.__doc__, name
        assert (name in augment.OPERATIONS) == any(option.name == "magnitude" for option in options), name
