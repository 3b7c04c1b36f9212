"""The images that a picture is drawn of: files, or records of the run's data set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxcnn.data.formats import to_pillow
from jaxcnn.errors import InputError
from jaxcnn.evaluation.outputs import read_pixels

if TYPE_CHECKING:
    from jaxcnn.evaluation.trained import Trained


LARGEST = 320  # pixels of a side of a photograph that is drawn


class Selection(NamedTuple):
    """Images to draw.

    Attributes:
      images: uint8 (n, h, w, c).
      names: a text each, of records "test 3" and, in a second line, the file.
      labels: an int each, or None if unknown.
      fields: {name: (n, ...)} of records, what they hold beside their images; None of files.
      photographs: n of uint8 (height, width, c), the images as they are stored, made smaller than LARGEST; or None.
    """

    images: np.ndarray
    names: list[str]
    labels: list[int | None]
    fields: dict | None = None
    photographs: list[np.ndarray] | None = None


def choose(
    trained: Trained,
    *,
    files: Sequence[str | os.PathLike[str]] = (),
    split: str = "validation",
    positions: Sequence[int] = (),
) -> Selection:
    """Reads images as a network takes them.

    Args:
      trained: a Trained.
      files: paths of image files, and of folders of them; where there are none, records are read.
      split: "validation", "test" or "train".
      positions: of the records in the split.
    Returns:
      A `Selection`.
    Raises:
      InputError: no such file, not an image, no such record, or the data set is not there.
    """
    if files:
        paths, images = trained.read_images(files)
        photographs = [smaller(read_pixels(path, trained.shape[2])) for path in paths]
        return Selection(images, [path.name for path in paths], [None] * len(paths), photographs=photographs)
    records = trained.open(split).records
    wrong = [position for position in positions if not 0 <= position < len(records)]
    if wrong:
        raise InputError(f"there is no image {wrong[0]} in {split}; they are counted from 0 to {len(records) - 1}.")
    batch = records.read(positions)
    names = [_name(records, split, position) for position in positions]
    labels = batch["label"].tolist() if "label" in batch else [None] * len(names)
    photographs = [photograph(records, position) for position in positions]
    return Selection(batch["image"], names, labels, {key: batch[key] for key in trained.fields}, photographs)


def photograph(records: Any, position: int) -> np.ndarray:
    """A record's image uint8 (height, width, c) as it is stored, made smaller than LARGEST; a reader may skip it."""
    stored = records.whole(position)["image"]
    return records.read([position])["image"][0] if stored is None else smaller(stored)


def file_of(records: Any, position: int) -> str:
    """The name of a record's file without its folders, "" where it is none."""
    described = records.describe_record(position)
    return os.path.basename(described) if os.path.isfile(described) else ""


def smaller(pixels: np.ndarray) -> np.ndarray:
    """uint8 (height, width, c) with no side longer than LARGEST."""
    picture = to_pillow(pixels)
    picture.thumbnail((LARGEST, LARGEST))
    return np.asarray(picture).reshape(picture.height, picture.width, -1)


def _name(records, split, position):
    file = file_of(records, position)
    return f"{split} {position}" + (f"\n{file}" if file else "")
