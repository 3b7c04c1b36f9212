"""The images that a picture is drawn of: files, or records of the run's data set."""

from typing import NamedTuple

import numpy as np

from jaxcnn.errors import InputError


class Selection(NamedTuple):
    """Images to draw.

    Attributes:
      images: uint8 (n, h, w, c).
      names: a text each.
      labels: an int each, or None if unknown.
      fields: {name: (n, ...)} of records, what they hold beside their images; None of files.
    """

    images: np.ndarray
    names: list[str]
    labels: list[int | None]
    fields: dict | None = None


def choose(trained, *, files=(), split="validation", positions=()):
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
        return Selection(images, [path.name for path in paths], [None] * len(paths))
    records = trained.open(split).records
    wrong = [position for position in positions if not 0 <= position < len(records)]
    if wrong:
        raise InputError(f"there is no image {wrong[0]} in {split}; they are counted from 0 to {len(records) - 1}.")
    batch = records.read(positions)
    names = [f"{split} {position}" for position in positions]
    labels = batch["label"].tolist() if "label" in batch else [None] * len(names)
    return Selection(batch["image"], names, labels, {key: batch[key] for key in trained.fields})
