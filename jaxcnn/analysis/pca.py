"""Principal component analysis as the baseline of an autoencoder: the best linear code of as many numbers."""

import numpy as np


def pca_error(train: np.ndarray, test: np.ndarray, components: int) -> float:
    """The summed squared error of an image that is restored from its first principal components, mean over images.

    The components are those of all training images, exactly: from their covariance, or from their singular values where
    they are fewer than their values. What is restored is not cut to [0, 1], as in Hinton and Salakhutdinov 2006.

    Args:
      train, test: images (n, ...), floats, or uint8 that stand for [0, 1].
      components: how many, at most as many as there are training images, and values of an image.
    Returns:
      float: the mean over test images of the sum of squared differences.
    """
    from sklearn.decomposition import PCA

    train, test = (_flat(images) for images in (train, test))
    solver = "covariance_eigh" if len(train) >= train.shape[1] else "full"
    method = PCA(components, svd_solver=solver).fit(train)
    restored = method.inverse_transform(method.transform(test))
    return float(np.mean(np.sum(np.square(test - restored), axis=1)))


def _flat(images):
    flat = images.reshape(len(images), -1).astype(np.float64)
    return flat / 255 if images.dtype == np.uint8 else flat
