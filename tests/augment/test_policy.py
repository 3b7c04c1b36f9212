"""The augmentation of a run, as its config names it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import default_config
from jaxcnn.augment import OPERATIONS, RECIPES, brightness, cutmix, make_augment, make_mix, mixup

IMAGE = np.arange(1.0, 5.0, dtype=np.float32).reshape(2, 2, 1)
GREY = np.full((4, 4, 1), 0.5, np.float32)


def settings(**changes):
    config = default_config().augment
    config.update(changes)
    return config


def draws(config, image, count=600, magnitude=1.0):
    keys = jax.random.split(jax.random.key(0), count)
    augment = jax.jit(jax.vmap(make_augment(config), (0, None, None)))
    return np.asarray(augment(keys, image, magnitude))


def outcomes(**changes):
    return {tuple(image.ravel().tolist()) for image in draws(settings(**changes), IMAGE)}


def test_off_is_the_identity():
    assert outcomes() == {(1, 2, 3, 4)}


def test_flip_alone():
    assert outcomes(flip=True) == {(1, 2, 3, 4), (2, 1, 4, 3)}
    assert outcomes(vertical_flip=True) == {(1, 2, 3, 4), (3, 4, 1, 2)}
    assert len(outcomes(flip=True, vertical_flip=True)) == 4


def test_crops_are_shifts_by_at_most_the_padding():
    found = outcomes(pad_crop=1)
    assert len(found) == 9
    assert {(1, 2, 3, 4), (4, 0, 0, 0), (0, 0, 0, 1), (2, 0, 4, 0), (0, 0, 1, 2)} <= found


def test_every_crop_comes_mirrored_and_not():
    cropped = outcomes(pad_crop=1)
    mirrored = {(b, a, d, c) for a, b, c, d in cropped}
    assert len(cropped | mirrored) == 18  # of four different numbers no window mirrors another
    assert outcomes(pad_crop=1, flip=True) == cropped | mirrored


@pytest.mark.parametrize(("crop", "options"), [("resized", {"crop_area": (0.1, 0.5)}), ("scaled", {})])
def test_crops_have_the_size_asked_for_where_there_is_one(crop, options):
    image = np.random.default_rng(0).random((16, 12, 3), np.float32)
    augment = make_augment(settings(crop=crop, **options), size=(8, 8))
    one, other = (np.asarray(augment(jax.random.key(n), image)) for n in range(2))
    assert one.shape == other.shape == (8, 8, 3) and (one != other).any()
    uncut = make_augment(settings(crop=crop, **options))(jax.random.key(0), image)  # the reader has cut it
    np.testing.assert_array_equal(uncut, image)


def test_operations_act_with_their_probability():
    """A share of 600 with probability 0.25 lies within 4 standard errors of it."""
    found = draws(settings(operations=(("brightness", 0.25, 0.5),)), GREY)
    changed = (found != GREY).any(axis=(1, 2, 3)).mean()
    assert abs(changed - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 600)
    assert np.abs(found - 0.5).max() <= 0.5


def test_operations_act_one_after_another():
    """A hole stays black where it is cut last; an inversion after it makes it grey, and leaves the grey around it."""
    entries = (("invert", 1.0, 1.0), ("coarse_dropout", 1.0, 1.0))
    holes = draws(settings(operations=entries), GREY) == 0
    assert holes.any(axis=(1, 2, 3)).mean() > 0.8
    assert not (draws(settings(operations=entries[::-1]), GREY) == 0).any()


def test_the_magnitude_is_traced_and_scales_every_operation():
    config = settings(operations=(("brightness", 1.0, 0.2),))
    traces = []

    def augment(key, image, magnitude):
        traces.append(1)
        return make_augment(config)(key, image, magnitude)

    program, key = jax.jit(augment), jax.random.key(1)
    shift = {m: float(program(key, GREY, m).mean()) - 0.5 for m in (0.0, 1.0, 2.0)}
    assert len(traces) == 1
    assert shift[0.0] == 0 and abs(shift[1.0]) > 0.01
    assert shift[2.0] == pytest.approx(2 * shift[1.0], rel=1e-5)


def test_rand_augment_draws_some_of_the_operations_for_each_image():
    """Of two operations one is drawn: an image is inverted or darkened, never both and never neither."""
    entries = (("invert", 1.0, 1.0), ("coarse_dropout", 1.0, 1.0))
    image = np.full((4, 4, 1), 0.25, np.float32)
    separate = [draws(settings(operations=(entry,)), image) for entry in entries]
    assert all((found != image).any(axis=(1, 2, 3)).mean() > 0.9 for found in separate)
    mixed = draws(settings(operations=entries, rand_augment=1), image)
    dropped = (mixed == 0).any(axis=(1, 2, 3))
    assert 0.3 < dropped.mean() < 0.7
    assert not (mixed[dropped] > 0.26).any()


def test_measured_components_replace_imagenets():
    values, vectors = (0.3, 0.2, 0.1), np.eye(3)
    config = settings(operations=(("lighting", 1.0, 0.1),), pca=(*values, *vectors.ravel()))
    image = np.full((2, 2, 3), 0.5, np.float32)
    own, published = draws(config, image), draws(settings(operations=config.operations), image)
    shift = own[:, 0, 0] - 0.5
    # Independent channels, each with the deviation 0.1 x its value; 600 draws give it within 12 %.
    np.testing.assert_allclose(shift.std(axis=0), 0.1 * np.asarray(values), rtol=0.12)
    assert np.abs(np.corrcoef((published[:, 0, 0] - 0.5).T)[0, 1]) > 0.9


def test_mixing_is_off_or_one_of_both():
    images, targets = jnp.asarray(np.random.default_rng(0).random((4, 8, 8, 1), np.float32)), jnp.eye(4)
    key = jax.random.key(3)
    assert make_mix(settings()) is None
    for name, function in (("mixup", mixup), ("cutmix", cutmix)):
        found = jax.jit(make_mix(settings(**{name: 0.7})))(key, images, targets)
        expected = jax.jit(functools.partial(function, alpha=0.7))(key, images, targets)
        for left, right in zip(found, expected, strict=True):
            np.testing.assert_array_equal(left, right)
    both = jax.jit(make_mix(settings(mixup=1.0, cutmix=1.0)))
    kinds = set()
    for number in range(12):
        mixed, _ = both(jax.random.key(number), images, targets)
        kinds.add(bool(np.isin(np.asarray(mixed), np.asarray(images)).all()))  # cutmix makes no new pixel
    assert kinds == {True, False}


@pytest.mark.parametrize("name", list(RECIPES))
def test_recipes_run(name):
    config = settings(**RECIPES[name])
    image = np.random.default_rng(0).random((40, 40, 3), np.float32)
    augment = jax.jit(make_augment(config, size=(32, 32) if config.crop != "none" else None))
    found = np.asarray(augment(jax.random.key(0), image))
    assert found.shape == ((32, 32, 3) if config.crop != "none" else image.shape)
    assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1


def test_every_operation_has_three_rising_magnitudes():
    for operation in OPERATIONS.values():
        weak, medium, strong = operation.magnitudes
        assert 0 < weak < medium < strong and operation.unit
    assert OPERATIONS["brightness"].function is brightness
