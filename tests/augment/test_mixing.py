"""Mixup and CutMix against their definitions, whole and split over devices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.augment.mixing import cutmix, mixup

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(size=(8, 6, 5, 3)).astype(np.float32)
TARGETS = np.eye(8, dtype=np.float32)
NEIGHBOURS = [1, 0, 3, 2, 5, 4, 7, 6]
BOTH = pytest.mark.parametrize("mix", [mixup, cutmix])


@functools.cache
def jitted(mix):
    return jax.jit(lambda key, images, targets, alpha: mix(key, images, targets, alpha=alpha))


def mixed(mix, seed, alpha, part=slice(None)):
    return [np.asarray(x) for x in jitted(mix)(jax.random.key(seed), IMAGES[part], TARGETS[part], alpha)]


@BOTH
def test_targets_are_shared_with_the_neighbour(mix):
    shares = set()
    for seed in range(5):
        targets = mixed(mix, seed, 1.0)[1]
        share = targets[0, 0]
        assert 0 <= share <= 1
        np.testing.assert_allclose(targets, share * TARGETS + (1 - share) * TARGETS[NEIGHBOURS], atol=1e-6)
        np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
        shares.add(share)
    assert len(shares) > 2


def test_mixup_blends_images_as_targets():
    for seed in range(5):
        images, targets = mixed(mixup, seed, 1.0)
        share = targets[0, 0]
        np.testing.assert_allclose(images, share * IMAGES + (1 - share) * IMAGES[NEIGHBOURS], atol=1e-6)


def test_cutmix_pastes_one_box_whose_area_the_targets_have():
    for seed in range(8):
        images, targets = mixed(cutmix, seed, 1.0)
        pasted = (images != IMAGES).all(axis=-1)
        np.testing.assert_array_equal(pasted, np.broadcast_to(pasted[:1], pasted.shape))
        np.testing.assert_array_equal(images, np.where(pasted[..., None], IMAGES[NEIGHBOURS], IMAGES))
        rows, columns = pasted[0].any(axis=1), pasted[0].any(axis=0)
        np.testing.assert_array_equal(pasted[0], rows[:, None] & columns[None])
        for inside in (rows, columns):
            assert np.abs(np.diff(np.pad(inside.astype(int), 1))).sum() in (0, 2)  # without a gap
        np.testing.assert_allclose(targets[0, 0], 1 - pasted[0].sum() / 30, atol=1e-6)


def test_the_share_is_beta_distributed():
    keys = jax.random.split(jax.random.key(0), 2000)
    draw = jax.jit(jax.vmap(lambda key, a: mixup(key, IMAGES[:2], TARGETS[:2], alpha=a)[1][0, 0], in_axes=(0, None)))
    for alpha in (0.2, 1.0, 4.0):
        shares = np.asarray(draw(keys, alpha))
        variance = 1 / (4 * (2 * alpha + 1))
        assert abs(shares.mean() - 0.5) < 4 * np.sqrt(variance / len(keys))
        assert abs(shares.var() - variance) < 4 * np.sqrt((1 / 16 - variance**2) / len(keys))


def test_the_box_has_the_sides_of_the_share():
    keys = jax.random.split(jax.random.key(0), 2000)
    images = np.stack([np.zeros((20, 10, 1)), np.ones((20, 10, 1))]).astype(np.float32)
    boxes = jax.jit(jax.vmap(lambda key: cutmix(key, images, TARGETS[:2], alpha=1.0)[0][0, ..., 0]))
    found = np.asarray(boxes(keys))
    heights, widths = found.max(axis=2).sum(axis=1), found.max(axis=1).sum(axis=1)
    inner = (found[:, 0].max(axis=1) == 0) & (found[:, -1].max(axis=1) == 0)
    inner &= (found[:, :, 0].max(axis=1) == 0) & (found[:, :, -1].max(axis=1) == 0) & (heights > 0) & (widths > 0)
    assert inner.sum() > 100
    assert set(heights[inner] - 2 * widths[inner]) == {0, 1}  # nothing is cut off: floor(20 r) and floor(10 r)
    centre = found[:, 10, 5].mean(), found[:, 0, 0].mean()
    assert centre[0] > centre[1] > 0.05


@BOTH
def test_halves_of_a_batch_give_the_whole(mix):
    whole = mixed(mix, 3, 1.0)
    halves = zip(*(mixed(mix, 3, 1.0, part) for part in (slice(4), slice(4, 8))), strict=True)
    for one, two in zip(whole, halves, strict=True):
        np.testing.assert_array_equal(one, np.concatenate(two))


@BOTH
def test_alpha_is_traced_and_0_is_the_identity(mix):
    for seed in range(3):
        images, targets = mixed(mix, seed, 0.0)
        np.testing.assert_array_equal(images, IMAGES)
        np.testing.assert_array_equal(targets, TARGETS)
    assert np.isfinite(mixed(mix, 0, 1e-6)[0]).all()
    assert jitted(mix)._cache_size() <= 2  # whole and half batches


@BOTH
def test_bfloat16_is_kept(mix):
    apply = functools.partial(mix, jax.random.key(0), alpha=1.0)
    images, targets = jax.eval_shape(apply, jnp.asarray(IMAGES, jnp.bfloat16), jnp.asarray(TARGETS))
    assert images.dtype == jnp.bfloat16 and targets.dtype == jnp.float32 and images.shape == IMAGES.shape


@BOTH
@pytest.mark.parametrize(
    ("images", "targets", "message"),
    [
        (IMAGES[:3], TARGETS[:3], "mixed in pairs, but the batch on this device has 3"),
        (IMAGES[:4], TARGETS[:2], "4 images with 2 rows of targets"),
        (IMAGES, TARGETS.astype(np.int32), "targets are int32"),
    ],
)
def test_what_cannot_be_mixed_is_refused(mix, images, targets, message):
    with pytest.raises(ValueError, match=message):
        mix(jax.random.key(0), images, targets, alpha=1.0)
