"""Faces without a network: components by their definitions, patterns by hand."""

import numpy as np
import pytest

from jaxcnn import InputError
from jaxcnn.transfer.faces.baselines import binary_patterns, eigenfaces, fisherfaces


@pytest.fixture(scope="module")
def faces():
    """(images (30, 6, 5), label) of 5 people, noise on a mean face of each."""
    random = np.random.default_rng(0)
    label = np.repeat(np.arange(5), 6)
    return random.normal(size=(5, 6, 5))[label] + 0.4 * random.normal(size=(30, 6, 5)), label


def test_eigenfaces_are_the_leading_eigenvectors_of_the_covariance(faces):
    images, _ = faces
    found = eigenfaces(images[:20], components=4)(images)
    x = images.reshape(30, -1)
    vectors = np.linalg.eigh(np.cov(x[:20].T))[1][:, ::-1][:, :4]
    expected = (x - x[:20].mean(axis=0)) @ vectors
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-9)
    with pytest.raises(InputError, match="20 components: 20 images have 1 to 19"):
        eigenfaces(images[:20], components=20)


def test_fisherfaces_part_people_better_than_eigenfaces(faces):
    images, label = faces

    def ratio(vectors):  # of scatter between people to that within
        means = np.stack([vectors[label == person].mean(axis=0) for person in range(5)])
        return np.var(means[label], axis=0).sum() / np.var(vectors - means[label], axis=0).sum()

    fisher = fisherfaces(images, label)(images)
    assert fisher.shape == (30, 4)
    assert ratio(fisher) > 5 * ratio(eigenfaces(images, components=4)(images))
    with pytest.raises(InputError, match="26 components: 30 images of 5 people have 1 to 25"):
        fisherfaces(images, label, components=26)
    with pytest.raises(InputError, match="a person with two images"):
        fisherfaces(images[::6], label[::6])


def test_patterns_of_a_cell_are_counted():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2, 28, 21), dtype=np.uint8)
    images[1] = 7
    found = binary_patterns(images, cells=(4, 3))
    assert found.shape == (2, 12 * 59)
    np.testing.assert_allclose((found.reshape(2, 12, 59) ** 2).sum(axis=2), 1)
    assert (
        found[1].reshape(12, 59).argmax(axis=1) == 57
    ).all()  # flat, but for the border: all points reach the middle
    np.testing.assert_array_equal(binary_patterns(images / 255, cells=(4, 3)), found)
    changed = images.copy()
    changed[0, 25:, 18:] = 0  # within the last cell, of rows 21 to 27 and columns 14 to 20, 2 pixels from others
    assert (binary_patterns(changed, cells=(4, 3))[0, : 11 * 59] == found[0, : 11 * 59]).all()
