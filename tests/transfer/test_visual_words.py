"""Visual words against plain NumPy, and what is known of SIFT without computing it."""

import sys

import numpy as np
import pytest

from jaxcnn import InputError
from jaxcnn.transfer.visual_words import (
    dense_sift,
    fisher_vector,
    fit_mixture,
    keypoint_sift,
    make_codebook,
    nearest_words,
    spatial_pyramid,
    word_histogram,
)


@pytest.fixture(scope="module")
def photograph():
    """Smooth noise of 80x96, with edges at every scale."""
    random = np.random.default_rng(0)
    image = sum(np.kron(random.uniform(size=(80 // s, 96 // s)), np.ones((s, s))) for s in (4, 8, 16))
    return (image / 3).astype(np.float32)


def test_a_grid_of_patches(photograph):
    descriptors, places = dense_sift(photograph, step=8, patch=16)
    assert descriptors.shape == (9 * 11, 128) and descriptors.dtype == np.uint8
    np.testing.assert_allclose(places[[0, 1, 11, -1]] * photograph.shape, [[8, 8], [8, 16], [16, 8], [72, 88]])
    lengths = np.linalg.norm(descriptors.astype(float), axis=1)
    assert (lengths > 480).all() and (lengths < 513).all()  # unit length times 512, rounded down


def test_descriptors_move_with_the_image(photograph):
    before = dense_sift(photograph)[0].reshape(9, 11, 128)
    after = dense_sift(np.roll(photograph, (8, 16), axis=(0, 1)))[0].reshape(9, 11, 128)
    np.testing.assert_array_equal(after[3:-2, 4:-2], before[2:-3, 2:-4])


def test_a_vertical_edge_has_one_orientation_and_a_flat_patch_none():
    image = np.zeros((64, 64), np.float32)
    image[:, 40:] = 0.5
    descriptors, places = dense_sift(image)
    near = np.abs(places[:, 1] * 64 - 39.5) < 8
    assert not descriptors[np.abs(places[:, 1] * 64 - 39.5) > 20].any()
    energy = (descriptors[near].astype(float) ** 2).reshape(-1, 16, 8).sum(axis=(0, 1))
    assert energy.max() == energy.sum() > 0
    turned = (dense_sift(image.T)[0].astype(float) ** 2).reshape(-1, 16, 8).sum(axis=(0, 1))
    assert turned.max() == turned.sum() and turned.argmax() == (energy.argmax() - 2) % 8  # a quarter of 8 orientations


def test_keypoints(photograph):
    descriptors, places = keypoint_sift(photograph)
    assert len(descriptors) == len(places) > 5 and descriptors.shape[1] == 128
    assert (places >= 0).all() and (places < 1).all()
    descriptors, places = keypoint_sift(np.zeros((64, 64), np.float32))
    assert descriptors.shape == (0, 128) and places.shape == (0, 2)
    with pytest.raises(ValueError, match="no patch of 16x16"):
        dense_sift(np.zeros((15, 64), np.float32))


def test_the_codebook_finds_clusters():
    centres = np.random.default_rng(0).integers(0, 256, (6, 128))
    descriptors = np.repeat(centres, 50, axis=0) + np.random.default_rng(1).normal(size=(300, 128))
    found = make_codebook(descriptors, words=6, seed=0)
    means = descriptors.reshape(6, 50, 128).mean(axis=1)
    nearest = np.linalg.norm(found[:, None] - means[None], axis=-1)
    assert sorted(nearest.argmin(axis=1)) == list(range(6)) and nearest.min(axis=1).max() < 3
    np.testing.assert_array_equal(found, make_codebook(descriptors, words=6, seed=0))


def test_the_nearest_word_and_the_share_of_each():
    random = np.random.default_rng(0)
    descriptors, codebook = random.integers(0, 256, (40, 16)).astype(np.uint8), random.uniform(0, 255, (7, 16))
    distances = np.linalg.norm(descriptors[:, None].astype(float) - codebook[None], axis=-1)
    np.testing.assert_array_equal(nearest_words(descriptors, codebook), distances.argmin(axis=1))
    np.testing.assert_array_equal(word_histogram(np.array([0, 2, 2, 2]), size=4), [0.25, 0, 0.75, 0])
    np.testing.assert_array_equal(word_histogram(np.zeros(0, int), size=2), [0, 0])


def test_the_weights_of_the_pyramid():
    words, places = np.array([0, 1, 1, 1]), np.array([[0.1, 0.1], [0.1, 0.9], [0.9, 0.1], [0.99, 0.4]])
    cells = [[1, 0], [0, 1], [0, 2], [0, 0]]  # upper left, upper right, lower left, lower right
    expected = np.concatenate([np.array([1, 3]) / 4 / 2, np.ravel(cells) / 4 / 2])
    np.testing.assert_allclose(spatial_pyramid(words, places, size=2, levels=1), expected, rtol=1e-12)
    three = spatial_pyramid(words, places, size=2)
    sums = [three[:2].sum(), three[2:10].sum(), three[10:].sum()]
    np.testing.assert_allclose(sums, [1 / 4, 1 / 4, 1 / 2], rtol=1e-12)


def test_its_intersection_is_the_pyramid_match_kernel():
    """Lazebnik et al. 2006, equation 2: I_L + sum over l < L of (I_l - I_(l+1)) / 2**(L - l), word by word."""
    random, size, count = np.random.default_rng(0), 3, 30
    images = [(random.integers(0, size, count), random.uniform(size=(count, 2))) for _ in range(2)]
    matches = []
    for level in range(3):
        counts = np.zeros((2, 2**level, 2**level, size))
        for number, (words, places) in enumerate(images):
            for word, (row, column) in zip(words, places, strict=True):
                counts[number, int(row * 2**level), int(column * 2**level), word] += 1
        matches.append(np.minimum(*counts).sum() / count)
    kernel = matches[2] + (matches[1] - matches[2]) / 2 + (matches[0] - matches[1]) / 4
    pyramids = [spatial_pyramid(*image, size=size) for image in images]
    assert np.minimum(*pyramids).sum() == pytest.approx(kernel, rel=1e-12)


def test_the_fisher_vector():
    """Perronnin et al. 2010, section 2, the gradient by the weights too; scikit-image negates that by the variances."""
    random = np.random.default_rng(0)
    learned = random.normal(size=(200, 5)) + 4 * np.eye(5)[random.integers(0, 3, 200)]
    mixture = fit_mixture(learned, modes=3, dimensions=4, seed=0)
    descriptors = random.normal(size=(20, 5))
    unit = descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True)
    x = (unit - mixture.components.mean_) @ mixture.components.components_.T
    w, mu, var = mixture.gaussians.weights_, mixture.gaussians.means_, mixture.gaussians.covariances_
    density = np.stack(
        [w[k] * np.exp(-((x - mu[k]) ** 2 / var[k]).sum(axis=1) / 2) / np.sqrt(var[k].prod()) for k in range(3)], axis=1
    )
    gamma = density / density.sum(axis=1, keepdims=True)
    blocks = [(gamma.mean(axis=0) - w) / np.sqrt(w)]
    scaled = (x[:, None] - mu) / np.sqrt(var)
    blocks.append((gamma[..., None] * scaled).mean(axis=0) / np.sqrt(w)[:, None])
    blocks.append(-(gamma[..., None] * (scaled**2 - 1)).mean(axis=0) / np.sqrt(2 * w)[:, None])
    expected = np.concatenate([block.ravel() for block in blocks])
    expected = np.sign(expected) * np.sqrt(np.abs(expected))
    found = fisher_vector(descriptors, mixture)
    assert found.shape == (3 * (2 * 4 + 1),) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), rtol=1e-4, atol=1e-6)
    assert not fisher_vector(descriptors[:0], mixture).any()


def test_without_scikit_image_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    with pytest.raises(InputError, match=r"pip install scikit-image; or, .* JAXCNN_EXTRAS=vision"):
        dense_sift(np.zeros((32, 32), np.float32))
