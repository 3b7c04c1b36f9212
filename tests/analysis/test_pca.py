"""PCA's error against singular values by hand."""

import numpy as np
import pytest

from jaxcnn.analysis.pca import pca_error


@pytest.mark.parametrize("count", [40, 12])  # more images than values, and fewer
def test_it_is_that_of_the_singular_vectors(count):
    random = np.random.default_rng(0)
    basis = random.normal(size=(20, 20))
    train, test = (random.normal(size=(n, 20)) @ basis for n in (count, 7))
    centred, directions = test - train.mean(axis=0), np.linalg.svd(train - train.mean(axis=0))[2][:5]
    wanted = np.mean(np.sum(np.square(centred - centred @ directions.T @ directions), axis=1))
    found = pca_error(train.reshape(count, 5, 4, 1), test.reshape(7, 5, 4, 1), 5)
    assert found == pytest.approx(wanted, rel=1e-10)


def test_bytes_stand_for_0_to_1():
    images = np.random.default_rng(0).integers(0, 256, (30, 3, 3, 1), np.uint8)
    assert pca_error(images, images[:9], 4) == pytest.approx(pca_error(images / 255, images[:9] / 255, 4), rel=1e-10)
