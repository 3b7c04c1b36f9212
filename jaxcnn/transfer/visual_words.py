"""Bags of visual words: SIFT, a k-means codebook, histograms, the spatial pyramid, the Fisher vector.

What image classification was before convolutional networks (Csurka et al. 2004, "Visual categorization with bags of
keypoints"; Lazebnik, Schmid and Ponce 2006, "Beyond bags of features"; Perronnin, Sanchez and Mensink 2010, "Improving
the Fisher kernel for large-scale image classification").
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import normalize

from jaxcnn.errors import InputError, how_to_install

LENGTH = 128  # 4x4 histograms of 8 orientations


class Mixture(NamedTuple):
    """Principal components of descriptors, and a mixture of Gaussians over them, for `fisher_vector`."""

    components: PCA
    gaussians: GaussianMixture


def dense_sift(image: np.ndarray, *, step: int = 8, patch: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """SIFT of upright patches on a regular grid (Lazebnik et al. 2006, section 4: 16x16 pixels, spaced by 8).

    A patch is 4x4 cells of orientation histograms (Lowe 2004, section 6), gradients taken at a blur of 1.6 pixels. One
    without any contrast has a descriptor of zeros.

    Args:
      image: (h, w) float, grey values of 0 to 1.
      step: pixels between the centres of patches.
      patch: side of a patch in pixels.
    Returns:
      descriptors (n, 128) uint8, and places (n, 2) float64: row and column of the centres, in [0, 1) of the image.
    Raises:
      InputError: scikit-image is not installed.
      ValueError: the image is smaller than a patch.
    """
    if min(image.shape) < patch:
        raise ValueError(f"an image of {image.shape} holds no patch of {patch}x{patch}")
    sift = _sift(n_octaves=1, n_scales=1)
    grid = np.meshgrid(*(np.arange(patch / 2, side - patch / 2 + 1, step) for side in image.shape), indexing="ij")
    sift.positions = np.stack(grid, axis=-1).reshape(-1, 2)
    count = len(sift.positions)
    sift.sigmas = np.full(count, patch / (2 * sift.lambda_descr))  # a cell is lambda_descr * sigma / 2 wide
    sift.scales = sift.octaves = np.zeros(count, int)
    sift.orientations = np.zeros(count)
    with np.errstate(invalid="ignore"):  # 0 / 0 where there is no contrast
        sift.extract(image)
    return sift.descriptors, sift.positions / image.shape


def keypoint_sift(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SIFT at the extrema of the scale space (Lowe 2004), oriented by their gradient; none in an image without any.

    Args:
      image: (h, w) float, grey values of 0 to 1.
    Returns:
      As `dense_sift`.
    Raises:
      InputError: scikit-image is not installed.
    """
    sift = _sift()
    try:
        sift.detect_and_extract(image)
    except RuntimeError:  # "SIFT found no features"
        return np.zeros((0, LENGTH), np.uint8), np.zeros((0, 2))
    return sift.descriptors, sift.positions / image.shape


def _sift(**options):
    return _skimage_feature().SIFT(upsampling=1, **options)


def _skimage_feature():
    try:
        import skimage.feature
    except ImportError as error:
        raise InputError(f"visual words need scikit-image: {how_to_install('scikit-image', 'vision')}") from error
    return skimage.feature


def make_codebook(descriptors: np.ndarray, *, words: int, seed: int) -> np.ndarray:
    """The visual words: centres of k-means over descriptors, (words, d) float32.

    Args:
      descriptors: (n, d), n at least `words`.
      words: how many.
      seed: of the centres to start from and the batches.
    """
    options = {"init": "k-means++", "n_init": 1, "batch_size": 4096, "max_iter": 50}
    found = MiniBatchKMeans(words, random_state=seed, **options).fit(np.asarray(descriptors, np.float32))
    return found.cluster_centers_.astype(np.float32)


def nearest_words(descriptors: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """The word nearest to each descriptor, by Euclidean distance; of equally near ones the first.

    |x - c|^2 = |x|^2 - 2 x.c + |c|^2, and |x|^2 is the same for every word

    Args:
      descriptors: (n, d).
      codebook: (words, d).
    Returns:
      (n,) int.
    """
    codebook = np.asarray(codebook, np.float32)
    return np.argmin((codebook**2).sum(axis=1) - 2 * np.asarray(descriptors, np.float32) @ codebook.T, axis=1)


def word_histogram(words: np.ndarray, *, size: int) -> np.ndarray:
    """The share of each word among those of an image, (size,) float64 of sum 1; zeros where there are none.

    Args:
      words: (n,) int in [0, size).
      size: of the codebook.
    """
    return np.bincount(words, minlength=size) / max(len(words), 1)


def spatial_pyramid(words: np.ndarray, places: np.ndarray, *, size: int, levels: int = 2) -> np.ndarray:
    """Weighted histograms of the cells of ever finer grids (Lazebnik et al. 2006, equation 3 and section 3.2).

    Level l has 2**l x 2**l cells; its histograms weigh 1 / 2**L at level 0 and 1 / 2**(L - l + 1) above, so that the
    intersection of two such vectors is the pyramid match kernel.

    Args:
      words: (n,) int in [0, size).
      places: (n, 2), row and column in [0, 1).
      size: of the codebook.
      levels: L, the finest; 0 is `word_histogram`.
    Returns:
      (size * (4**(L + 1) - 1) / 3,) float64: level by level, row by row, the words of a cell together. Each level sums
      to its weight; all to 1.
    """
    found = []
    for level in range(levels + 1):
        side = 2**level
        row, column = np.minimum((np.asarray(places) * side).astype(int), side - 1).T
        weight = 1 / 2**levels if level == 0 else 1 / 2 ** (levels - level + 1)
        found.append(weight * word_histogram((row * side + column) * size + words, size=side * side * size))
    return np.concatenate(found)


def fit_mixture(descriptors: np.ndarray, *, modes: int, dimensions: int = 64, seed: int) -> Mixture:
    """Principal components of descriptors and a Gaussian mixture of diagonal covariances over them, by EM.

    Descriptors are scaled to unit length first; Perronnin et al. 2010 reduce SIFT to 64 dimensions.

    Args:
      descriptors: (n, d).
      modes: Gaussians.
      dimensions: components that are kept.
      seed: of the start of EM.
    Returns:
      A Mixture.
    """
    descriptors = normalize(np.asarray(descriptors, np.float64))
    components = PCA(dimensions, random_state=seed).fit(descriptors)
    options = {"covariance_type": "diag", "reg_covar": 1e-5, "tol": 1e-2, "max_iter": 200}
    gaussians = GaussianMixture(modes, random_state=seed, **options).fit(components.transform(descriptors))
    return Mixture(components, gaussians)


def fisher_vector(descriptors: np.ndarray, mixture: Mixture) -> np.ndarray:
    """The improved Fisher vector of an image (Perronnin et al. 2010, sections 2 and 3).

    The gradient of the mean log-likelihood by the mixture's weights, means and variances, each divided by the root of
    its Fisher information; then sign(z) sqrt(|z|), then unit length.

    Args:
      descriptors: (n, d), of one image.
      mixture: a Mixture.
    Returns:
      (modes * (2 * dimensions + 1),) float32; zeros where there are no descriptors.
    Raises:
      InputError: scikit-image is not installed.
    """
    modes, dimensions = mixture.gaussians.means_.shape
    if not len(descriptors):
        return np.zeros(modes * (2 * dimensions + 1), np.float32)
    reduced = mixture.components.transform(normalize(np.asarray(descriptors, np.float64)))
    return _skimage_feature().fisher_vector(reduced, mixture.gaussians, improved=True).astype(np.float32)
