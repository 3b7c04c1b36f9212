"""The images of a run's splits, as config.data names them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxcnn import data
from jaxcnn.errors import InputError, input_errors

if TYPE_CHECKING:
    from ml_collections import ConfigDict


def load_records(config: ConfigDict, split: str, *, stored_size: Sequence[int] | None = None) -> Any:
    """Records of "train", "validation" or "test" as the config describes them, or whole at the (h, w) they have."""
    settings = config.data
    if not settings[split]:
        raise InputError(f"config.data.{split} is empty: this data set has no such split; name one.")
    size = stored_size or tuple(settings.image_size) or None
    proposals = settings.proposals.to_dict() or None
    with input_errors(""):
        return _load(
            config,
            settings.name,
            settings[split],
            size,
            settings.channels or None,
            proposals=proposals,
            whole=bool(stored_size),
        )


def _load(config, name, expression, size, channels, *, whole, proposals=None):
    settings = config.data
    return data.load_allowed(
        name,
        expression,
        data_dir=settings.data_dir or None,
        image_size=size,
        channels=channels,
        fit=settings.fit,
        resize=0 if whole else settings.resize,
        interpolation=settings.interpolation,
        on_error=settings.on_error,
        proposals=proposals,
    )


def load_training_records(config: ConfigDict, *, stored_size: Sequence[int] | None = None) -> Any:
    """The images that a run trains on: config.data.train, thinned by keep, with the images of add behind it.

    Args:
      config, stored_size: as in `load_records`. Added images get the size and the channels of the others.
    Raises:
      InputError: as `load_records` and `jaxcnn.data.Joined`.
    """
    settings, own = config.data, load_records(config, "train", stored_size=stored_size)
    if not (settings.keep or settings.add):
        return own
    added = None
    if settings.add:
        with input_errors("config.data.add"):
            added = _load(config, settings.add, "train", own.shape[:2], own.shape[2], whole=bool(stored_size))
    return data.Joined(own, keep=settings.keep.to_dict(), seed=settings.keep_seed, added=added)


def check_added(config: ConfigDict) -> None:
    """Raises InputError where config.data.add is no folder, or one that shares images with the data set."""
    name, kind = config.data.add, config.data.add.partition(":")[0]
    if not name:
        return
    if kind != "folder" or not data.path_of(name):
        raise InputError(f"config.data.add is '{name}'; it is a folder of class folders, folder:PATH.")
    if other := data.path_of(config.data.name):
        paths = [os.path.realpath(path) for path in (str(data.path_of(name)), other)]
        if os.path.commonpath(paths) in paths:
            raise InputError(
                f"config.data.add is '{name}' and config.data.name '{config.data.name}': one lies within the other, so "
                "that held-out images could be trained on. Put the added images beside the data set."
            )
