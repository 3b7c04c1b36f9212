"""Files that a network makes of files: where each goes, under its name, and how it is read and written."""

from __future__ import annotations

import logging
import os
import pathlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jaxcnn import data
from jaxcnn.data.fit import DataError
from jaxcnn.data.formats import to_pillow
from jaxcnn.data.image_files import files_below, read_file, say_left_out
from jaxcnn.errors import InputError
from jaxcnn.files import replaced

if TYPE_CHECKING:
    import numpy as np


logger = logging.getLogger(__name__)


def outputs_of(
    paths: Iterable[str | os.PathLike[str]], folder: str | os.PathLike[str]
) -> dict[pathlib.Path, pathlib.Path]:
    """Where the results of image files, and of the images below folders, go; nothing is written yet.

    Args:
      paths: files and folders.
      folder: the folder of the results, PNG files under the names of what they are made of.
    Returns:
      {file: path of its result}, in the order of the files.
    Raises:
      InputError: a path is not there, or two results, or a result and a file that is read, would have one name.
    """
    folder = pathlib.Path(folder)
    found, taken = {}, {}
    for path in map(pathlib.Path, paths):
        files, left_out = files_below([path])
        if left_out:
            logger.warning("left out: %s", say_left_out(left_out))
        for file in files:
            output = folder / (file.relative_to(path) if path.is_dir() else file.name)
            found[file] = output = output.with_suffix(".png")
            if taken.setdefault(output, file) != file:
                raise InputError(f"{taken[output]} and {file} would both be written to {output}: name them apart.")
    read = {os.path.realpath(file): file for file in found}
    for output in found.values():
        if (file := read.get(os.path.realpath(output))) is not None:
            raise InputError(f"{file} would be overwritten by its result or another's: name another folder.")
    return found


def read_pixels(file: str | os.PathLike[str], channels: int) -> np.ndarray:
    """The image of a file, upright and at its own size: uint8 (h, w, channels).

    Raises:
      DataError: it is not a readable image.
    """
    stored = read_file(file)
    if isinstance(stored, DataError):
        raise stored
    return data.decode_image(stored, channels=channels)


def write_png(path: pathlib.Path, image: np.ndarray) -> None:
    """Writes pixels uint8 (h, w, c) as a PNG file; its folder is made where it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as temporary:
        to_pillow(image).save(temporary, format="PNG")
