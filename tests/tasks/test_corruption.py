"""What is done to an image before it is restored: the numbers of noise and marks, and their keys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.tasks.corruption import corruption

GREY = jnp.full((64, 48, 3), 0.02, jnp.float32)


def draws(name, image, count, **options):
    """(images (count, h, w, c), marks or None) of as many keys."""
    keys = jax.random.split(jax.random.key(5), count)
    return jax.vmap(corruption(name, image.shape, options), (0, None))(keys, image)


def test_noise_is_gaussian_of_sigma_and_not_clipped():
    image = jnp.tile(GREY, (4, 4, 1))
    (noisy,), mark = draws("noise", image, 1, sigma=25.0)
    added, n = np.asarray(noisy - image, np.float64) * 255, image.size
    assert mark is None and noisy.min() < -0.2
    assert abs(added.mean()) < 3 * 25 / np.sqrt(n)
    assert abs(added.std() - 25) < 3 * 25 / np.sqrt(2 * n)
    assert abs(np.mean(added**4) / 25**4 - 3) < 3 * np.sqrt(96 / n)  # of a Gaussian; uniform noise has 1.8
    (clipped,), _ = draws("noise", image, 1, sigma=25.0, clip=True)
    np.testing.assert_array_equal(clipped, np.clip(noisy, 0, 1))


def test_salt_and_pepper_takes_whole_pixels_in_equal_parts():
    image = jnp.tile(GREY, (4, 4, 1))
    (found,), _ = draws("salt_and_pepper", image, 1, share=0.2)
    salt, pepper = (np.all(found == value, axis=-1) for value in (1, 0))
    np.testing.assert_array_equal(found[~(salt | pepper)], image[~(salt | pepper)])
    for part in (salt, pepper):
        assert abs(part.mean() - 0.1) < 3 * np.sqrt(0.1 * 0.9 / part.size)


def test_squares_are_filled_and_marked():
    images, marks = draws("mask", GREY, 50, squares=2, side=0.25, fill=0.5)
    marks = np.asarray(marks)[..., 0]
    np.testing.assert_array_equal(np.all(images == 0.5, axis=-1), marks == 1)
    assert marks.sum(axis=(1, 2)).max() <= 2 * 12 * 12 and marks.sum(axis=(1, 2)).min() > 0


def test_a_watermark_covers_what_it_marks_and_nothing_else():
    image = jnp.asarray(np.random.default_rng(0).random((64, 80, 3)), jnp.float32)
    images, marks = jax.device_get(draws("watermark", image, 100, strength=(0.4, 0.6)))
    marked = marks[..., 0] > 0
    where = np.broadcast_to(marks == 0, images.shape)
    np.testing.assert_array_equal(images[where], np.broadcast_to(image, images.shape)[where])
    assert images.min() >= 0 and images.max() <= 1
    covered = marked.mean(axis=(1, 2))
    assert covered.min() > 0 and covered.max() < 0.7
    assert np.count_nonzero(marked.any(axis=0)) > 0.95 * 64 * 80  # every place is marked by some
    assert len(np.unique(marked.reshape(100, -1), axis=0)) == 100
    # at full cover an image keeps 1 - a of its contrast
    whole, grey = (draws("watermark", jnp.full((64, 80, 3), x), 100, strength=(0.4, 0.6))[0] for x in (1.0, 0.0))
    kept = np.asarray(whole - grey)[marked].min(axis=-1)
    assert 0.4 - 1e-6 < kept.min() < 0.45
    inside = [own[places].min() for own, places in zip(np.asarray(whole - grey), marked, strict=True)]
    assert min(inside) > 0.4 - 1e-6 and 0.58 < max(inside) < 0.6 + 1e-6  # each its own strength


@pytest.mark.parametrize("white", [0.0, 0.3, 1.0])
def test_a_share_of_the_watermarks_is_white(white):
    images, marks = jax.device_get(draws("watermark", jnp.ones((32, 32, 3)), 200, white=white))
    found = np.mean([image[mark[..., 0] > 0].min() == 1 for image, mark in zip(images, marks, strict=True)])
    assert abs(found - white) <= 3 * np.sqrt(white * (1 - white) / 200)


@pytest.mark.parametrize("name", ["noise", "salt_and_pepper", "mask", "watermark"])
def test_a_key_gives_one_corruption(name):
    corrupt = jax.jit(corruption(name, GREY.shape, {}))
    one, same, other = (corrupt(jax.random.key(seed), GREY)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert one.shape == GREY.shape and one.dtype == jnp.float32 and (np.asarray(one) != other).any()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("nois", {}, "unknown corruption 'nois'; did you mean 'noise'?"),
        ("noise", {"sigm": 1}, "corruption noise takes no option 'sigm'; did you mean 'sigma'?"),
        ("noise", {"sigma": -1}, "sigma is -1; it is a number of 0 or more"),
        ("noise", {"sigma": "much"}, "an option of corruption noise is of the wrong kind"),
        ("mask", {"side": 2.0}, "side is 2.0; it is a share within"),
        ("watermark", {"strength": (0.5, 0.2)}, "strength is .0.5, 0.2.; it is .least, most."),
        ("watermark", {"white": 2.0}, "white is 2.0; it is a share from 0 to 1"),
    ],
)
def test_wrong_options_are_named(name, options, words):
    with pytest.raises(ValueError, match=words):
        corruption(name, GREY.shape, options)
