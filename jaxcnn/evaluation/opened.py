"""The data that a trained network is used on: those of its run, or others in their place."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxcnn import data, trust
from jaxcnn.errors import InputError, input_errors
from jaxcnn.training.rundir.about import read_about
from jaxcnn.training.rundir.data_changes import about_data, data_changes
from jaxcnn.training.splits import load_records, load_training_records

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from jaxcnn.evaluation.trained import Trained


logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")


class Opened(NamedTuple):
    """A split of a data set, as a trained network takes its images.

    Attributes:
      records: Records of the split.
      row: {"data": name} of other data than the run's, for the log of an evaluation; else {}.
    """

    records: Any
    row: dict


def open_data(trained: Trained, split: str, *, name: str = "", data_dir: str = "") -> Opened:
    """The `Opened` split of a run's data set or of another; see `Trained.open`."""
    config, kept = config_on(trained, name=name, data_dir=data_dir), read_about(trained.workdir)
    if split != "train":  # added images may be gone
        with config.unlocked():
            config.data.add = ""
    _say_looked_up(trained.config, name)
    found = _same_elsewhere(config, kept) if name and "records" in kept else None
    if found is None:
        if name:
            take_default_splits(config, name)
        found = _load(config, kept)
    sets, changes = found
    records = _whole(config, sets, split) if name and changes else _split(config, sets, split)
    if records.classes != trained.classes:
        other = ", ".join(sorted(set(records.classes) ^ set(trained.classes))) or "they have another order"
        raise InputError(f"the classes of {records.name} are not those that this network was trained on: {other}.")
    if changes and not name:
        logger.warning(
            "%s has changed since this network was trained: %s. Some of its %s images may be among those that the "
            "network learned from.",
            *(records.name, "; ".join(changes), split),
        )
    return Opened(records, {"data": config.data.name} if name and ("records" not in kept or changes) else {})


def config_on(trained: Trained, *, name: str = "", data_dir: str = "") -> ConfigDict:
    """A run's config for its own splits of its data set, or of another in the place of that.

    Args:
      trained: a Trained.
      name: of a data set; empty for the run's own.
      data_dir: where TFDS sets lie; empty for where the run had its own.
    Raises:
      InputError: the run names no data set.
    """
    if not (name or trained.config.data.name):
        raise InputError(f"{trained.workdir} holds converted weights and names no data set: name one by --data.")
    trust.allow(name)
    config = trained.config.copy_and_resolve_references()
    with config.unlocked():
        settings = config.data
        settings.name, settings.data_dir = data.located(name or settings.name), data_dir or settings.data_dir
        settings.image_size, settings.channels = tuple(trained.shape[:2]), trained.shape[2]
    return config


def take_default_splits(config: ConfigDict, name: str) -> None:
    """Sets the splits of a config to those of the data set `name`; InputError where it is not there."""
    with config.unlocked(), input_errors("--data"):
        splits = data.splits_of_allowed(name, data_dir=config.data.data_dir or None)
        config.data.update({split: splits.get(split) or "" for split in SPLITS})
        config.data.keep, config.data.add = {}, ""


def _same_elsewhere(config, kept):
    """`_load` of the run's own splits, or None where they are not those of its data."""
    with contextlib.suppress(InputError):  # other data need not have the run's splits
        sets, changes = _load(config, kept)
        return None if changes else (sets, changes)


def _load(config, kept):
    """({split: Records}, how they differ from the data that the run kept a record of)."""
    try:
        sets = {"train": load_training_records(config)}
        sets |= {split: load_records(config, split) for split in SPLITS[1:] if config.data[split]}
    except InputError as error:
        path = data.path_of(config.data.name)
        if path is None or os.path.isdir(path):
            raise
        kind = config.data.name.partition(":")[0]
        raise InputError(
            f"{error}. Where the data lie now is said by evaluate --data {kind}:PATH, and once for all by "
            f"the command that trained with --config.data.name={kind}:PATH."
        ) from error
    return sets, data_changes(kept, about_data(sets, shape=kept["shape"]))


def _split(config, sets, split):
    return sets[split] if split in sets else load_records(config, split)


def _whole(config, sets, split):
    """Records of a split, or of all of a set that has one split alone: nothing is held out where nobody trains."""
    names = {name for records in sets.values() for name, _, _ in records.parts}
    if len(names) > 1:
        return _split(config, sets, split)
    with config.unlocked():
        (config.data[split],) = names
    return load_records(config, split)


def _say_looked_up(config, name):
    ours = config.data.name
    if not name and ours.startswith("folder:") and data.located(ours) != ours:  # a run of an older version
        logger.warning("%s of the run is looked up from the current folder: %s", ours, data.located(ours))
