"""The run directory: what lies in it, and whether a run may start or resume there."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pathlib
import shutil
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import jax

from jaxcnn import trust
from jaxcnn.data import located, path_of
from jaxcnn.errors import InputError, disk_is_full
from jaxcnn.files import damage_named, local_path, read_json, write_text
from jaxcnn.names import shown
from jaxcnn.training.config import differences, from_json, to_json
from jaxcnn.training.rundir.about import DATA, read_about
from jaxcnn.training.rundir.checkpoint import Checkpoints, Damaged
from jaxcnn.training.rundir.data_changes import data_changes

if TYPE_CHECKING:
    from ml_collections import ConfigDict


logger = logging.getLogger(__name__)

CONVERTED = "preprocessing.json"  # lies beside weights that come from elsewhere


def open_run(
    workdir: pathlib.Path, config: ConfigDict, about: Mapping[str, Any] | None = None, *, extend: bool = False
) -> list[tuple[str, str]]:
    """Makes or reopens a run directory for a resolved config.

    Args:
      about: what `about_data` says of the data, None where nothing is trained.
      extend: config.duration may be another; config.json is given the new one.
    Returns:
      [(where the data lay, where they lie)] of the folders that were moved since the last start.
    Raises:
      InputError: the directory holds a run of another config (shows the differences) or of data that have changed
        (says how), or cannot be written.
    """
    if shown(path := os.path.abspath(workdir)) != path:
        raise InputError(
            f"the run directory {path} has a name that is not UTF-8, which checkpoints need: give another."
        )
    path, moved = workdir / "config.json", []
    if there := _config_there(workdir):
        changed = differences(there, config)
        changed = [row for row in changed if not (extend and row[0] == "duration")]
        for row in [row for row in changed if about and _is_folder(*row)]:
            changed.remove(row)  # the same files may lie elsewhere now; whether they are the same comes next
            moved += [row[1:]] if located(row[1]) != row[2] else []
        if changed:
            longer = (
                " A longer duration, and nothing else: --extend (in Python: extend=True)."
                if "duration" in {key for key, *_ in changed}
                else ""
            )
            rows = "; ".join(f"{key}: {old!r} there, {new!r} here" for key, old, new in changed)
            raise InputError(
                f"{workdir} holds a run of another config. {rows}. Give another workdir, or the config "
                f"that it was started with, to resume it.{longer}"
            )
    begun = read_about(workdir) if about and (workdir / DATA).exists() else None
    if begun and about and (changes := data_changes(begun, about)):
        what = f"{config.data.name} has changed since the run in {workdir} began"
        if moved:
            there, here = (" and ".join(paths) for paths in zip(*moved, strict=True))
            what = f"{here} holds other data than {there}, on which the run in {workdir} began"
        raise InputError(
            f"{what}: {'; '.join(changes)}. The labels, the order and the held-out images would be "
            "others. Restore the data, or give another workdir."
        )
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        if jax.process_index() == 0:
            write_text(path, to_json(config))
    except OSError as error:
        raise InputError(
            f"the run directory {workdir} cannot be written: {error.strerror}. Give another workdir."
        ) from error
    return moved


def _is_folder(key, *names):
    if key not in ("data.name", "data.add") or None in map(path_of, names):
        return False
    return len({name.partition(":")[0] for name in names}) == 1


def _config_there(workdir):
    """The config of the run of a directory, from its latest checkpoint where config.json is gone; None of a new run."""
    if (workdir / "config.json").exists():
        return read_config(workdir)
    if (workdir / "checkpoints").is_dir():
        checkpoints = Checkpoints(workdir / "checkpoints", read_only=True)
        for step in reversed(checkpoints.steps()):
            with contextlib.suppress(Damaged):
                return from_json(json.dumps(checkpoints.memory(step)["config"]))
    return None


def check_space(workdir: str | os.PathLike[str], needed: int) -> None:
    """Raises InputError where the disk lacks the space that the checkpoints of this run will take."""
    free = shutil.disk_usage(workdir).free
    if free < needed:
        raise InputError(
            f"{workdir} has {free / 2**20:.0f} MiB free; the checkpoints of this run take "
            f"{needed / 2**20:.0f} MiB. Free some space, give another workdir or lower config.checkpoint.keep."
        )


@contextlib.contextmanager
def full_disk_named(folder: Any) -> Generator[None, None, None]:
    """Raises InputError instead of an error that says that the disk is full."""
    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, InputError) or not disk_is_full(error):
            raise
        raise InputError(
            f"the disk of {folder} is full. Checkpoints that were complete are kept: free some space, and the same "
            "command resumes."
        ) from error


def read_config(workdir: str | os.PathLike[str]) -> ConfigDict:
    """The resolved config of an existing run.

    Raises:
      InputError: the directory is not a run's.
    """
    path = local_path(workdir) / "config.json"
    if not path.is_file():
        raise InputError(f"{workdir} is not a run directory: it has no config.json.")
    text = json.dumps(read_json(path))
    with damage_named(path, "Where checkpoints are there, remove it: train with the config of the run restores it."):
        try:
            return trust.named_by(from_json(text), path)
        except InputError as error:  # which begins with "config.json"
            raise InputError(f"{path.parent}/{error}") from error
