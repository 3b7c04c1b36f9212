"""Vectors of faces without a network: eigenfaces, Fisherfaces and local binary patterns."""

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline

from jaxcnn.errors import InputError, how_to_install

POINTS, RADIUS = 8, 2  # Ahonen, Hadid and Pietikainen 2006, section 4


def eigenfaces(images: np.ndarray, *, components: int) -> Callable[[np.ndarray], np.ndarray]:
    """The principal components of faces (Turk and Pentland 1991, "Eigenfaces for recognition").

    Args:
      images: (n, h, w) float, to learn from.
      components: how many, at most n - 1.
    Returns:
      f(images (m, h, w)) -> (m, components) float, to be compared by Euclidean distance.
    Raises:
      InputError: there are not so many components.
    """
    _check_components(components, len(images) - 1, len(images), "images")
    return _of_flat(PCA(components, svd_solver="full").fit(_flat(images)))


def fisherfaces(
    images: np.ndarray, label: np.ndarray, *, components: int | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """Linear discriminants of faces, behind principal components (Belhumeur, Hespanha and Kriegman 1997).

    Args:
      images: (n, h, w) float, to learn from.
      label: (n,) int, of C people.
      components: of the principal components; None for n - C, as many as the scatter within people has.
    Returns:
      f(images (m, h, w)) -> (m, C - 1) float, to be compared by Euclidean distance.
    Raises:
      InputError: no person has two images, or there are not so many components.
    """
    most = len(images) - len(np.unique(label))
    if not most:
        raise InputError("Fisherfaces need a person with two images or more: there is no scatter within people.")
    _check_components(components or most, most, len(images), f"images of {len(np.unique(label))} people")
    steps = PCA(components or most, svd_solver="full"), LinearDiscriminantAnalysis(solver="svd")
    return _of_flat(make_pipeline(*steps).fit(_flat(images), label))


def binary_patterns(images: np.ndarray, *, cells: Sequence[int] = (7, 7)) -> np.ndarray:
    """Histograms of uniform local binary patterns in cells (Ahonen, Hadid and Pietikainen 2006, "Face description").

    Patterns of 8 points at a radius of 2; 58 uniform ones, and one for all others. The roots of the shares of each
    cell: their squared Euclidean distance is twice that of Hellinger, in place of the paper's chi-squared.

    Args:
      images: (n, h, w) uint8 or float.
      cells: rows and columns of cells, of nearly equal size.
    Returns:
      (n, rows * columns * 59) float64.
    Raises:
      InputError: scikit-image is not installed.
    """
    try:
        from skimage.feature import local_binary_pattern
    except ImportError as error:
        install = how_to_install("scikit-image", "vision")
        raise InputError(f"local binary patterns need scikit-image: {install}") from error
    found = []
    for image in np.asarray(images):
        image = image if image.dtype == np.uint8 else np.round(255 * image).astype(np.uint8)  # of floats it warns
        codes = local_binary_pattern(image, POINTS, RADIUS, method="nri_uniform").astype(int)
        parts = [part for rows in np.array_split(codes, cells[0]) for part in np.array_split(rows, cells[1], axis=1)]
        histograms = [np.bincount(part.ravel(), minlength=POINTS * (POINTS - 1) + 3) / part.size for part in parts]
        found.append(np.sqrt(np.concatenate(histograms)))
    return np.stack(found)


def _check_components(components, most, count, what):
    if not 1 <= components <= most:
        raise InputError(f"{components} components: {count} {what} have 1 to {most}.")


def _flat(images):
    return np.asarray(images, np.float64).reshape(len(images), -1)


def _of_flat(fitted):
    return lambda images: fitted.transform(_flat(images))
