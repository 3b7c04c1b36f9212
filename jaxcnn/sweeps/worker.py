"""One run of a study, by its id: what a worker process and a task of a cluster do, and how they say what went wrong."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import signal
import sys
import traceback
from typing import TYPE_CHECKING

import jax

from jaxcnn.errors import InputError, nearest
from jaxcnn.files import write_text
from jaxcnn.names import shown
from jaxcnn.process import at_end_of
from jaxcnn.training.processes.distributed import hold_together
from jaxcnn.training.processes.preemption import Preempted
from jaxcnn.training.train import train

if TYPE_CHECKING:
    from jaxcnn.sweeps.study import Run, Study


WATCH = "JAXCNN_WATCH_STDIN"  # set by a parent that holds the other end of a worker's standard input
WATCHED = bool(os.environ.get(WATCH))  # then a worker of a killed parent, still saving its state, is waited for
ERROR = "error.txt"


def find_run(study: Study, run_id: str) -> Run:
    """The run of a study with this id, also of a seed that a sweep has added; InputError names the nearest."""
    runs = {run.id: run for run in study.runs()}
    if run_id not in runs and (seed := re.search(r"-seed=(\d+)-[0-9a-f]+$", run_id)):
        added = dataclasses.replace(study, seeds=(int(seed[1]),)).runs()
        runs |= {run.id: run for run in added if run.id == run_id}
    if run_id not in runs:
        cell = run_id.rpartition("-")[0]
        if any(known.rpartition("-")[0] == cell and len(known) == len(run_id) for known in runs):
            raise InputError(
                f"the study has no run {run_id!r} any more: its config, or code of yours that it names, has changed "
                "since this run was submitted. Give the command of the sweep again."
            )
        raise InputError(f"the study has no run {run_id!r}; {nearest(run_id, runs)}")
    return runs[run_id]


def run_one(run: Run, workdir: pathlib.Path, *, quiet: bool = True) -> str:
    """Trains one run in workdir/<its id>, or resumes it there, and keeps what went wrong in error.txt.

    Returns:
      The error, "" for none.
    Raises:
      Preempted: told to end; the state is saved.
    """
    folder = workdir / run.id
    try:
        with hold_together(folder, wait=WATCHED):
            if jax.process_index():  # of a run of several processes the first one keeps error.txt
                return _train(run.config, folder, quiet)
            write_error(folder, "")
            error = _train(run.config, folder, quiet)
            write_error(folder, error)
    except InputError as held:  # by a process that was started for this run alone: the others continue
        return str(held)
    return error


def _train(config, folder, quiet):
    try:
        result = train(config, folder, quiet=quiet)
    except Preempted:
        raise
    except Exception as error:  # a fault of one run, of the user's network say, must not hide the others
        return in_words(error)
    return "" if result.test else "it has no result on test images, because config.data.test is empty."


def in_words(error: BaseException) -> str:
    """The error of a run as text; one that is no InputError is a fault, and its traceback is printed."""
    if isinstance(error, InputError):
        return str(error)
    traceback.print_exception(error)
    return f"{type(error).__name__}: {error}"


def write_error(folder: pathlib.Path, error: str) -> None:
    """Keeps the error of a run as text; "" removes it."""
    if error:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / ERROR, error + "\n")
    else:
        (folder / ERROR).unlink(missing_ok=True)


def read_error(folder: pathlib.Path) -> str:
    """The error of the last start of a run as text, "" for none."""
    path = folder / ERROR
    return shown(path.read_text(encoding="utf-8", errors="replace").strip()) if path.exists() else ""


def end_with_parent() -> None:
    """Where a parent holds our standard input, its end sends this process SIGTERM: a run then saves its state."""
    if os.environ.pop(
        WATCH, ""
    ):  # by its descriptor: sys.stdin's own lock, held by a thread, aborts Python at its exit
        at_end_of(sys.stdin.fileno(), lambda: os.kill(os.getpid(), signal.SIGTERM))
