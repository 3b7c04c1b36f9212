"""Images of people with vectors that tell them apart: by a network, from a folder, a split or a file of features."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.preprocessing import normalize

from jaxcnn import data
from jaxcnn.analysis.accounting import result_name
from jaxcnn.data.views import ViewedRecords, default_scale
from jaxcnn.errors import InputError, input_errors
from jaxcnn.evaluation.opened import config_on, take_default_splits
from jaxcnn.training.splits import load_records
from jaxcnn.transfer.feature_file import read_features
from jaxcnn.transfer.features import Extractor
from jaxcnn.transfer.neighbours import records_again
from jaxcnn.transfer.stages import stage_names

if TYPE_CHECKING:
    from jaxcnn.evaluation.trained import Trained


EMBEDDING = "embedding"  # a task, and what its result is called beside the name of the stage


class People(NamedTuple):
    """Images, a row each.

    Attributes:
      name: of the data.
      label: (rows,) int, the person as a number.
      names: of the people, by that number.
      vectors: f(rows) -> (k, d) float32.
      images: f(rows) -> (k, h, w, c) uint8.
      files: f() -> [path] of all rows; empty of data that are no folder.
      described: f() -> [what tells a record from all others] of all rows; empty of a file of features.
    """

    name: str
    label: np.ndarray
    names: tuple
    vectors: Callable
    images: Callable
    files: Callable
    described: Callable

    @property
    def people(self) -> np.ndarray:
        """(rows,) the name of the person of each row."""
        return np.array(self.names)[self.label]


def default_stage(trained: Trained) -> str:
    """The stage whose vectors tell people apart best: "embedding" of that task, else the last before the result."""
    if trained.config.task.name == EMBEDDING:
        return EMBEDDING
    names = list(stage_names(trained.model, trained.variables, trained.shape))
    return names[max(names.index(result_name(trained.model)) - 1, 0)]


def people_of_network(
    trained: Trained,
    stage: str,
    *,
    name: str = "",
    split: str = "",
    data_dir: str = "",
    crops: int = 1,
    flip: bool = False,
    batch_size: int = 64,
) -> People:
    """The People of a data set with the vectors of a stage of a network.

    Args:
      trained: a Trained.
      stage: a name of `stage_names`; maps are flattened. Results of task embedding are scaled to length 1, and called
        "embedding" too.
      name: of a data set, as "folder:PEOPLE"; empty for the run's own.
      split: "train", "validation" or "test", as the run has them or by default_splits; empty for all images of a set.
      data_dir: where TFDS sets lie.
      crops: views of an image whose vectors are averaged, see `crop_views`: 1, 10, 12 or 144.
      flip: whether the mirror image is averaged in; crops above 1 are mirrored anyway.
      batch_size: images that are computed at once.
    Raises:
      InputError: there is no such stage, data set or split.
    """
    result = result_name(trained.model)
    unit = trained.config.task.name == EMBEDDING and stage in (EMBEDDING, result)
    extractor = Extractor(trained, result if unit else stage, batch_size=batch_size)
    config = config_on(trained, name=name, data_dir=data_dir)
    if name:
        take_default_splits(config, name)
    if not split:
        split = "test"
        with config.unlocked():
            config.data.test = _all_of(config.data)
    records = load_records(config, split)
    if crops > 1 and config.data.fit != "crop":
        raise InputError(
            f"{trained.workdir} was trained with config.data.fit '{config.data.fit}'; crops suit 'crop' only."
        )
    return People(
        f"{config.data.name} {config.data[split]}",
        records.labels(),
        records.classes,
        lambda rows: embed(extractor, records, rows, crops=crops, flip=flip, unit=unit),
        lambda rows: records.read(rows)["image"],
        lambda: [file for _, file in records.files()],
        lambda: [os.path.realpath(records.describe_record(row)) for row in range(len(records))],
    )


def _all_of(settings):
    """The expression of all images that the default splits of a set are cut from."""
    cut = (settings[split] for split in ("train", "validation", "test") if settings[split])
    return "+".join(dict.fromkeys(part for each in cut for part in re.sub(r"\[[^]]*\]", "", each).split("+")))


def embed(
    extractor: Extractor, records: Any, rows: np.ndarray, *, crops: int = 1, flip: bool = False, unit: bool = False
) -> np.ndarray:
    """The mean vector (k, d) float32 of the views of images.

    Args:
      extractor: an Extractor.
      records: Records of images of its network.
      rows: (k,) positions of images.
      crops, flip: as in `people_of_network`.
      unit: whether the vector of a view is scaled to length 1, as task embedding does, before the mean.
    Raises:
      DataError: an image cannot be read.
      InputError: a vector is not finite.
    """
    found = np.empty((len(rows), int(np.prod(extractor.shape))), np.float32)
    viewed = _viewed(records, crops, extractor.trained) if crops > 1 else None
    size = max(1, extractor.batch_size // (crops if crops > 1 else 1 + flip))
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        if viewed:
            views = [viewed(row) for row in part]
        else:
            views = _mirrored(_there(records, part, records.read(part))["image"], flip)
        outputs = extractor(np.concatenate(views)).reshape(-1, found.shape[1])
        outputs = normalize(outputs) if unit else outputs
        ends = np.cumsum([len(view) for view in views])[:-1]
        found[first : first + len(part)] = [output.mean(axis=0) for output in np.split(outputs, ends)]
    if not (finite := np.isfinite(found).all(axis=1)).all():
        named = records.describe_record(int(np.asarray(rows)[~finite][0]))
        raise InputError(f"the vectors of {np.sum(~finite)} of {len(rows)} images are not finite, first of {named}.")
    return found


def _there(records, rows, found):
    """What was read of these rows; DataError where one cannot be read, though data.on_error skips it."""
    if lost := np.flatnonzero(found["mask"] == 0).tolist():
        named = records.describe_record(int(rows[lost[0]]))
        raise data.DataError(f"{named} cannot be read, and has no vector: remove it, or name people without it.")
    return found


def _mirrored(images, flip):
    """[views (v, h, w, c)] of images: the image, and its mirror image where flip."""
    return list(np.stack([images, images[:, :, ::-1]], axis=1) if flip else images[:, None])


def _viewed(records, crops, trained):
    """f(row) -> views (crops, h, w, c)."""
    settings = trained.config.data
    scale = settings.resize or default_scale(trained.shape[:2])
    views = ViewedRecords(records, [(crops, scale)], interpolation=settings.interpolation or "bilinear")

    def view(row):
        with input_errors("--crops"):
            found = _there(records, [row], views.read([row]))
        return found["views"][found["order"]]

    return view


def people_of_file(path: str | os.PathLike[str]) -> People:
    """The People of a file of features; its data set is read for images and files alone."""
    features = read_features(path)
    vectors, kept = features.vectors(), []

    def records():
        kept[:] = kept or [records_again(features)]
        return kept[0]

    return People(
        str(path),
        features.label,
        features.classes,
        lambda rows: vectors[rows],
        lambda rows: records().read(features.position[rows])["image"],
        lambda: [files[position][1] for position in features.position] if (files := records().files()) else [],
        list,
    )


def opened(name: str, trained: Trained | None = None, stage: str = "", **options: Any) -> People:
    """The People of a name on the command line: a split of the run, a data set, or FILE.npz.

    Args:
      name: "train", "validation" or "test", a data set, or a file of features.
      trained: the Trained, for anything but a file.
      stage, **options: as in `people_of_network`.
    Raises:
      InputError: there is no run to compute vectors with, or as `people_of_network` and `read_features`.
    """
    if name.endswith(".npz"):
        return people_of_file(name)
    if trained is None:
        raise InputError(f"{name} is no file of features (FILE.npz): --workdir names the run whose network embeds it.")
    split = name if name in ("train", "validation", "test") else ""
    return people_of_network(trained, stage, name="" if split else data.located(name), split=split, **options)
