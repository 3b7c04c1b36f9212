"""Images that a trained network restores: files at their full size, and examples of a split beside their targets."""

from __future__ import annotations

import functools
import logging
import math
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxcnn.data.fit import DataError, Target, fit_array
from jaxcnn.evaluation.outputs import outputs_of, read_pixels, write_png
from jaxcnn.evaluation.tiles import MULTIPLE, PROBED, is_large, margin_of, restore_in_tiles
from jaxcnn.tasks.pixels import as_float

if TYPE_CHECKING:
    from jaxcnn.evaluation.trained import Trained


logger = logging.getLogger(__name__)


class Restored(NamedTuple):
    """Examples of a split: uint8 (n, h, w, c) each. `given` is the network's input, cut to [0, 1]."""

    split: str
    given: np.ndarray
    restored: np.ndarray
    target: np.ndarray


def restore_files(
    trained: Trained, paths: Iterable[str | os.PathLike[str]], folder: str | os.PathLike[str]
) -> list[dict[str, Any]]:
    """Writes what a network makes of image files, and of the images below folders, as PNG files of their own size.

    A network of any size gets a file as it is, mirrored at its lower and right border to a multiple of 32 pixels, which
    are cut off again; a large one in windows, see `jaxcnn.evaluation.tiles`, so that memory does not grow with it. To a
    network of one size it is scaled, and back.

    Args:
      trained: a Trained, of a task that restores images.
      paths: files and folders.
      folder: where they go, under their names; made where it is not there.
    Returns:
      [{"file", "output", "change"}] in the order of the files: the root of the mean squared change, in units of 1/255;
      {"file", "error"} of one that cannot be read.
    Raises:
      InputError: the task restores no images, a path is not there, or two results, or a result and a file that is read,
        would have one name.
    """
    restore = functools.partial(_at_its_size, functools.cache(lambda: _margin(trained)))
    if not takes_any_size(trained):
        restore = _at_one_size
        logger.warning(
            "%s takes images of %dx%d alone: files are scaled to that and back, which costs detail",
            *(trained.config.model.name, *trained.shape[:2]),
        )
    outputs = outputs_of(paths, folder)
    rows = []
    for file, output in outputs.items():
        try:
            image = read_pixels(file, trained.shape[2])
        except DataError as error:
            rows.append({"file": str(file), "error": str(error)})
            continue
        restored = restore(trained, image)
        write_png(output, restored)
        rows.append({"file": str(file), "output": str(output), "change": _change(restored, image)})
    return rows


def restored_examples(trained: Trained, split: str, *, count: int) -> Restored:
    """The first images of a split as evaluation sees them, corrupted by their numbers, and restored.

    Args:
      trained: a Trained, of a task that restores images.
      split: "validation", "test" or "train".
      count: how many at most; those that cannot be read are left out.
    Raises:
      InputError: the data set is not there.
    """
    records = trained.open(split).records
    batch = records.read(range(min(count, len(records))))

    def restore(variables, batch):
        batch = {name: as_float(x) if x.dtype == np.uint8 else x for name, x in batch.items()}
        batch = trained.task.inputs(batch)
        outputs = trained.model.apply(variables, batch, method=trained.task.infer)
        return batch["image"], outputs["restored"], batch["target"]

    there = batch["mask"] > 0
    found = jax.device_get(jax.jit(restore)(trained.variables, batch))
    return Restored(split, *(_pixels(images[there]) for images in found))


def takes_any_size(trained: Trained) -> bool:
    """Whether a network gives an image of the size of its input, whatever that is.

    Raises:
      InputError: its task restores no images.
    """
    trained.needs(("restored",), "restored images")
    try:
        found = trained.outputs(PROBED)["restored"].shape
    except Exception:  # a network of one size fails in its own way: Flax, a reshape, a check of its own
        return False
    return found == (1, *PROBED, trained.shape[2])


def _at_its_size(margin, trained, image):
    """The restored image; margin() says how far a pixel sees, or None."""
    height, width = image.shape[:2]
    room = [(0, -side % MULTIPLE) for side in (height, width)]
    padded = np.pad(image, (*room, (0, 0)), mode="symmetric")
    if not is_large(padded) or margin() is None:
        return _pixels(trained.map(trained.restored, padded[None], batch_size=1)[0, :height, :width])
    restored = np.empty_like(padded)
    for place, part in restore_in_tiles(trained, padded, margin()):
        restored[place] = _pixels(part)
    return restored[:height, :width]


def _margin(trained):
    """`margin_of`, with a word where there is none."""
    found = margin_of(trained)
    if found is None:
        logger.warning(
            "each pixel that %s gives sees the whole image: files are restored in one piece, and a large one takes as "
            "much memory as the maps of the network at its size",
            trained.config.model.name,
        )
    return found


def _at_one_size(trained, image):
    scaled = fit_array(image, Target(trained.shape[:2], fit="stretch"))
    restored = _pixels(trained.map(trained.restored, scaled[None], batch_size=1)[0])
    return fit_array(restored, Target(image.shape[:2], fit="stretch", interpolation="bicubic"))


def _change(restored, image):
    """The root of the mean squared difference, in units of 1/255, without a copy in float64."""
    difference = np.subtract(restored, image, dtype=np.int32)
    return math.sqrt(np.mean(np.square(difference, out=difference), dtype=np.float64))


def _pixels(images):
    return np.round(255 * np.clip(images, 0, 1)).astype(np.uint8)
