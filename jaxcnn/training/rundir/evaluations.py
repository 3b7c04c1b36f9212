"""evaluations.jsonl, and how any file with a JSON object a line is read."""

import datetime
import errno
import functools
import json
import logging
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax

from jaxcnn.errors import InputError
from jaxcnn.files import local_path

logger = logging.getLogger(__name__)


def append_evaluation(workdir: str | os.PathLike[str], evaluation: Mapping[str, Any]) -> None:
    """Logs an evaluation of the run in evaluations.jsonl."""
    if jax.process_index() == 0:
        row = {"time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), **evaluation}
        path = local_path(workdir) / "evaluations.jsonl"
        if path.is_symlink():  # of a stranger's run it may lead to any file of ours, and class names are text of theirs
            raise OSError(errno.ELOOP, "it is a link; a file of its own takes evaluations", str(path))
        torn = path.exists() and path.read_bytes()[-1:] != b"\n"  # a process was killed while it wrote
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" * torn + json.dumps(row) + "\n")


def log_evaluation(workdir: str | os.PathLike[str], evaluation: Mapping[str, Any]) -> None:
    """`append_evaluation` where the directory can be written; else says so, and the evaluation is not lost for it."""
    try:
        append_evaluation(workdir, evaluation)
    except OSError as error:
        path = local_path(workdir) / "evaluations.jsonl"
        logger.warning("not logged: %s cannot be written: %s", path, error.strerror)


def read_evaluations(workdir: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The logged evaluations of a run, oldest first.

    Excluding those of `evaluate_protocols`, which use other crops, those of other data than the run's, and those of
    generated images.
    """
    path = local_path(workdir) / "evaluations.jsonl"
    return [row for row in read_rows(path) if not {"protocols", "data", "samples"} & set(row)]


def read_measured_samples(workdir: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The rows of `evaluate --classifier`, the measures of images that the run generates, oldest first."""
    return [row for row in read_rows(local_path(workdir) / "evaluations.jsonl") if "samples" in row]


def read_rows(path: pathlib.Path) -> list[dict[str, Any]]:
    """The JSON objects of a file with one a line, [] where there is none.

    A half-written last line is left out, and damaged ones before it, whose number is said.
    """
    rows, bad = [], 0
    try:
        text = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    lines = text.splitlines()
    whole = len(lines) if text.endswith(b"\n") else len(lines) - 1
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            rows.append(row)
        else:
            bad += number <= whole
    if bad:
        _say_left_out(path, bad)
    return rows


@functools.cache  # once, however often the file is read
def _say_left_out(path, count):
    logger.warning("%s: %d damaged line%s left out", path, count, " is" if count == 1 else "s are")
