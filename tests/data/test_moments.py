"""Statistics for normalisation, against NumPy."""

import numpy as np
import pytest

from jaxcnn.data import channel_statistics, epoch, load, principal_components, read_all, statistics


def assert_matches_numpy(found, images):
    np.testing.assert_allclose(found["channel_mean"], images.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(found["channel_std"], images.std(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(found["pixel_mean"], images.mean(axis=0), rtol=1e-6)
    assert {value.dtype for value in found.values()} == {np.dtype(np.float32)}


def random_arrays(n=300, dtype=np.uint8):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (n, 5, 4, 3)).astype(dtype)
    return {"image": images if dtype == np.uint8 else images / dtype(255), "mask": np.ones(n, np.float32)}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_arrays(dtype):
    arrays = random_arrays(dtype=dtype)
    scale = 255 if dtype == np.uint8 else 1
    assert_matches_numpy(statistics(arrays), arrays["image"].astype(np.float64) / scale)


def test_large_images_are_taken_in_pieces(monkeypatch):
    monkeypatch.setattr("jaxcnn.data.moments.CHUNK_VALUES", 600)
    arrays = random_arrays()
    assert_matches_numpy(statistics(arrays), arrays["image"] / 255)


def test_masked_images_are_left_out():
    arrays = random_arrays()
    arrays["mask"][::3] = 0
    assert_matches_numpy(statistics(arrays), arrays["image"][arrays["mask"] == 1] / 255)


def test_a_padded_epoch_equals_the_resident_arrays():
    records = load("digits", "train[:70]")
    expected = read_all(records)["image"] / 255
    assert_matches_numpy(statistics(epoch(records, batch_size=32)), expected)
    assert_matches_numpy(channel_statistics(records), expected)
    assert_matches_numpy(channel_statistics(records, limit=20), expected[:20])
    assert_matches_numpy(channel_statistics(read_all(records), limit=20), expected[:20])


def test_no_images():
    with pytest.raises(ValueError, match="no images"):
        statistics(iter(()))
    with pytest.raises(ValueError, match="no images"):
        statistics({"image": np.zeros((2, 3, 3, 1), np.uint8), "mask": np.zeros(2, np.float32)})


def test_principal_components_are_those_of_the_covariance():
    arrays = random_arrays()
    arrays["image"][..., 1] = arrays["image"][..., 0] // 2 + arrays["image"][..., 2] // 4
    values, vectors = principal_components(arrays)
    covariance = np.cov(arrays["image"].reshape(-1, 3).T / 255, ddof=0)
    expected = np.linalg.eigh(covariance)
    np.testing.assert_allclose(values, expected[0][::-1], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(np.abs(vectors), np.abs(expected[1][:, ::-1]), atol=1e-6)
    np.testing.assert_allclose(vectors * values @ vectors.T, covariance, atol=1e-7)
    assert (vectors[np.abs(vectors).argmax(axis=0), range(3)] > 0).all()
    halves = [{key: value[part] for key, value in arrays.items()} for part in (slice(100), slice(100, None))]
    np.testing.assert_allclose(principal_components(halves)[1], vectors, atol=1e-6)


def test_principal_components_recover_a_covariance():
    axes = np.array([[2, 3, 6], [-3, 6, -2], [6, 2, -3]]).T / 7  # orthonormal columns, largest entry positive
    spread = np.array([0.1, 0.05, 0.01])
    offsets = np.random.default_rng(0).normal(size=(200, 10, 10, 3)) * spread
    values, vectors = principal_components({"image": 0.5 + offsets @ axes.T})
    np.testing.assert_allclose(values, spread**2, rtol=5 * np.sqrt(2 / 20000))
    np.testing.assert_allclose(vectors, axes, atol=0.02)


def test_principal_components_of_grey_images_are_their_variance():
    arrays = {"image": random_arrays()["image"][..., :1]}
    values, vectors = principal_components(arrays)
    np.testing.assert_allclose(values, [(arrays["image"] / 255).var()], rtol=1e-6)
    np.testing.assert_array_equal(vectors, [[1]])
    with pytest.raises(ValueError, match="no images"):
        principal_components(iter(()))
