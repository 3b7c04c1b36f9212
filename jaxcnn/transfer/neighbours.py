"""Nearest neighbours in feature space (Krizhevsky et al. 2012, figure 4, right)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.neighbors import NearestNeighbors

from jaxcnn import data
from jaxcnn.errors import InputError
from jaxcnn.evaluation.trained import Trained
from jaxcnn.transfer.features import Extractor

if TYPE_CHECKING:
    from jaxcnn.transfer.feature_file import Features


class Neighbours(NamedTuple):
    """Queries and what is nearest to them.

    Attributes:
      names: of the queries: "row 17" or a file.
      images: (q, h, w, c) uint8 of the queries.
      labels: (q,) of the gallery's classes; -1 for an image file, whose class is not known.
      rows: (q, k) rows of the gallery, the nearest first.
      distances: (q, k) float.
      matches: (q, k, h, w, c) uint8 of these rows.
      match_labels: (q, k).
    """

    names: list
    images: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    distances: np.ndarray
    matches: np.ndarray
    match_labels: np.ndarray


def nearest_rows(gallery: np.ndarray, queries: Any, *, k: int, metric: str = "cosine") -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of the gallery.

    Args:
      gallery: (n, d) float.
      queries: (q, d) float.
      k: at most n.
      metric: "cosine", 1 - x.y / (|x| |y|), or "euclidean", |x - y|.
    Returns:
      (distances, rows), both (q, k), the nearest first.
    """
    return NearestNeighbors(n_neighbors=k, metric=metric, algorithm="brute").fit(gallery).kneighbors(queries)


def leave_one_out(vectors: np.ndarray, label: np.ndarray, *, metric: str = "cosine") -> np.ndarray:
    """Whether the nearest other image has the same class.

    Args:
      vectors: (n, d) float, n at least 2.
      label: (n,) int.
      metric: as in `nearest_rows`.
    Returns:
      (n,) bool.
    Raises:
      InputError: there is one image.
    """
    if len(vectors) < 2:
        raise InputError("there is one image in the gallery, and none to compare it with.")
    found = NearestNeighbors(n_neighbors=1, metric=metric, algorithm="brute").fit(vectors)
    return label[found.kneighbors(return_distance=False)[:, 0]] == label  # without queries: a row is not its own


def find_neighbours(
    gallery: Features,
    queries: Sequence[str],
    *,
    k: int,
    metric: str = "cosine",
    workdir: str | os.PathLike[str] | None = None,
) -> Neighbours:
    """The images of a gallery that are nearest to some of its own or to image files.

    Args:
      gallery: Features; the images of its data set are read again.
      queries: rows of the gallery as digits ("17"), which are not their own neighbours, or image files and folders.
      k: neighbours of each.
      metric: as in `nearest_rows`.
      workdir: the run of the gallery's network, for image files; None for where it was.
    Returns:
      Neighbours, rows first, then files.
    Raises:
      InputError: a row or file is not there, k is too large, the data set or the run is gone or has changed.
    """
    vectors = gallery.vectors()
    own = [int(query) for query in queries if query.isdecimal()]
    files = [query for query in queries if not query.isdecimal()]
    if outside := [row for row in own if row >= len(vectors)]:
        raise InputError(f"there is no row {outside[0]}: the gallery has the rows 0 to {len(vectors) - 1}.")
    if not 1 <= k < len(vectors):
        raise InputError(f"-k is {k}; with {len(vectors)} images in the gallery it is 1 to {len(vectors) - 1}.")
    files, images, others = _of_files(gallery, files, workdir) if files else ([], None, vectors[:0])
    distances, rows = nearest_rows(vectors, np.concatenate([vectors[own], others]), k=k + 1, metric=metric)
    kept = [_without(row, own[query] if query < len(own) else None)[:k] for query, row in enumerate(rows)]
    distances, rows = (np.stack([x[places] for x, places in zip(y, kept, strict=True)]) for y in (distances, rows))
    shown, places = np.unique(np.concatenate([own, rows.ravel()]).astype(int), return_inverse=True)
    pictures = records_again(gallery).read(gallery.position[shown])["image"][places]
    return Neighbours(
        [f"row {row}" for row in own] + [str(file) for file in files],
        pictures[: len(own)] if images is None else np.concatenate([pictures[: len(own)], images]),
        np.concatenate([gallery.label[own], np.full(len(files), -1)]),
        rows,
        distances,
        pictures[len(own) :].reshape(*rows.shape, *pictures.shape[1:]),
        gallery.label[rows],
    )


def _without(rows, own):
    """The places of the rows that are not `own`; of equal images another may stand before it, or hide it."""
    return np.flatnonzero(rows != own) if own is not None else np.arange(len(rows))


def records_again(gallery: Features) -> Any:
    """The Records whose features a gallery holds, from its data set.

    Raises:
      InputError: the data set is gone or has changed.
    """
    options = {**gallery.meta["data"]}
    name, split = options.pop("name"), options.pop("split")
    options["image_size"], options["data_dir"] = tuple(options["image_size"]), options["data_dir"] or None
    try:
        records = data.load_allowed(name, split, **options)
    except ValueError as error:
        raise InputError(f"the images of the gallery cannot be read again: {error}") from error
    if len(records) != gallery.meta["images"]:
        raise InputError(
            f"{name} {split} has {len(records)} images now, and had {gallery.meta['images']} when the features were "
            "written: write them again."
        )
    files = gallery.meta.get("files")
    if files and files != records.class_digests():
        raise InputError(f"{name} {split} holds other files than when the features were written: write them again.")
    return records


def _of_files(gallery, paths, workdir):
    """(files, images, features (n, d)) of image files by the network of the gallery."""
    meta = gallery.meta
    trained = Trained(workdir or meta["run"], meta["checkpoint"])
    extractor = Extractor(trained, meta["stage"], pool=meta["pool"])
    if extractor.meta["weights"] != meta["weights"]:
        raise InputError(f"{trained.workdir} has other weights at step {trained.step} than the network of the gallery.")
    files, images = trained.read_images(paths)
    return files, images, extractor(images).reshape(len(files), -1)
