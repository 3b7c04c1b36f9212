"""environment.json: commit, versions, devices and command of every start of a run."""

from __future__ import annotations

import datetime
import importlib.metadata
import logging
import os
import pathlib
import platform
import shlex
import sys
from typing import TYPE_CHECKING, Any

import jax

from jaxcnn.errors import InputError
from jaxcnn.files import local_path, read_json, write_json
from jaxcnn.training.rundir.code import about_code, commit_of

if TYPE_CHECKING:
    from ml_collections import ConfigDict


logger = logging.getLogger(__name__)

PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "tensorflow-datasets",
    "ml-collections",
    "grain",
    "numpy",
)


def write_environment(workdir: pathlib.Path, config: ConfigDict, *, step: int, **more: Any) -> None:
    """Adds this start of the run to environment.json: commit, versions, devices, seed, command; the latest is last.

    Args:
      workdir: the run directory.
      config: its config.
      step: where it starts.
      more: what else to say of this start, as JSON.
    """
    if jax.process_index():
        return
    path = workdir / "environment.json"
    try:
        starts = _starts(workdir)
    except InputError as error:  # nothing is computed from it
        aside = path.with_name("environment.json.damaged")
        path.replace(aside)
        logger.warning("%s It was set aside as %s; the starts before this one are not known.", error, aside.name)
        starts = []
    starts.append(
        {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "from_step": step,
            **environment(),
            "seed": config.seed,
            "deterministic": config.deterministic or jax.default_backend() == "cpu",
            **about_code(config),
            **more,
        }
    )
    write_json(path, {"starts": starts})


def last_start(workdir: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The `environment` of the last start of a run; None of a run that never started."""
    return next(reversed(_starts(local_path(workdir))), None)


def _starts(workdir):
    """The starts that environment.json holds; InputError where it is damaged."""
    path = workdir / "environment.json"
    if not path.exists():
        return []
    starts = read_json(path).get("starts")
    if not (isinstance(starts, list) and all(isinstance(start, dict) for start in starts)):
        raise InputError(f"{path} is damaged: it holds no list of starts.")
    return starts


def environment() -> dict[str, Any]:
    """Where this process runs: command, git commit, versions, devices, processes."""
    return {
        "command": shlex.join(sys.argv),
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": f"{os.cpu_count()} x {_cpu_model()}",
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "devices": [f"{d.platform}:{d.device_kind}" for d in jax.devices()],
        "processes": jax.process_count(),
    }


def _cpu_model():
    """The processor's name; platform.processor() is empty on most Linux systems."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def git_commit() -> str | None:
    """The commit of the checkout that jaxcnn runs from, "+" behind it where files differ; None outside one.

    A package that is installed somewhere inside another repository does not take that one's commit for its own.
    """
    return commit_of(pathlib.Path(__file__).parents[3], "-uno", toplevel=True)
