"""How far every run of a study is, from the files in its workdir."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError
from jaxcnn.files import local_path
from jaxcnn.lock import is_held
from jaxcnn.sweeps.results import result_or_damage
from jaxcnn.sweeps.worker import read_error
from jaxcnn.training.rundir.log import read_metrics

if TYPE_CHECKING:
    from jaxcnn.sweeps.study import Study


def states(study: Study, workdir: pathlib.Path) -> list[tuple[Any, ...]]:
    """[(run id, state, step)] in the order of the study.

    The state is "done" or what `unfinished` says. The step is the last that was logged, "" without one.

    Args:
      study: a Study.
      workdir: of its runs, a pathlib.Path.
    Raises:
      InputError: there is no such directory.
    """
    workdir = local_path(workdir)
    if not workdir.is_dir():
        raise InputError(f"there is no directory {workdir}: nothing was started there.")
    return [(run.id, *_state(workdir / run.id, study.metrics)) for run in study.runs()]


def unfinished(folder: pathlib.Path, damage: str = "") -> str:
    """The state of a run that has no result.

    Args:
      folder: its run directory.
      damage: which of its files is damaged, "" for none.
    Returns:
      "waiting", it has not begun; "running", a process is at work on it; "failed: why"; or "stopped", it has begun and
      no process is at work on it.
    """
    if not folder.is_dir():
        return "waiting"
    if is_held(folder):
        return "running"
    if error := damage or read_error(folder):
        return f"failed: {error}"
    return "stopped"


def _state(folder, metrics):
    result, damage = result_or_damage(folder, metrics)
    return "done" if result is not None else unfinished(folder, damage), _step(folder)


def _step(folder):
    try:
        rows = read_metrics(folder)
    except InputError:
        return ""
    return str(rows[-1]["step"]) if rows and "step" in rows[-1] else ""
