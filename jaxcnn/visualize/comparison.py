"""Runs beside one another: a table of their final evaluations."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from jaxcnn.analysis.proportion import wilson_interval
from jaxcnn.quantity import measured, percent, whole
from jaxcnn.tasks import CLASSIFICATION
from jaxcnn.training.rundir.evaluations import read_evaluations
from jaxcnn.training.rundir.frame import named_runs
from jaxcnn.training.rundir.log import read_metrics
from jaxcnn.visualize.history import best_row, measures_of, read_history
from jaxcnn.visualize.report import COLUMNS

if TYPE_CHECKING:
    from jaxcnn.tasks.task import Kind


SHARES = [name for name, measure in CLASSIFICATION.measures.items() if measure.unit == "points"]  # right of n images


def final_evaluations(workdirs: Iterable[str | os.PathLike[str]], kind: Kind) -> dict[str, Any]:
    """The last evaluation of each run on test, else its best one on held-out images.

    Args:
      workdirs: run directories.
      kind: the Kind of their task.
    Returns:
      {name: row}, the row {} of a run that was never evaluated. Of an accuracy NAME that is a share of the n images,
      NAME_interval is Wilson's 95 % interval (low, high); it holds no spread over seeds.
    """
    return {name: _with_intervals(_final(path, kind)) for name, path in named_runs(workdirs).items()}


def _final(path, kind):
    tests = [row for row in read_evaluations(path) if row.get("split") == "test"]
    if tests:
        return {key: value for key, value in tests[-1].items() if not isinstance(value, list | dict)}
    return best_row(read_history(read_metrics(path)), kind) or {}


def _with_intervals(row):
    n, shares = row.get("n"), [name for name in SHARES if row.get(name) is not None]
    if not n:
        return row
    return {**row, **{f"{name}_interval": wilson_interval(round(row[name] * n), n) for name in shares}}


def comparison_table(rows: Mapping[str, Any], kind: Kind) -> tuple[Any, list[Any]]:
    """(header, lines) of `final_evaluations`, as texts."""
    names = measures_of(rows.values(), kind)
    header = ["run", "split", "step", "n"]
    for name in names:
        header += [COLUMNS.get(name, name), *(("95 % interval",) if name in SHARES else ())]
    return header, [_line(run, row, names, kind) for run, row in rows.items()]


def _line(run, row, names, kind):
    if not row:
        return [run, "not evaluated", *(["–"] * (2 + sum(2 if name in SHARES else 1 for name in names)))]
    cells = [run, str(row.get("split")), str(row.get("step")), whole(row.get("n"))]
    for name in names:
        cells.append(measured(row.get(name), kind.measures[name]))
        if name in SHARES:
            interval = row.get(f"{name}_interval")
            cells.append(" to ".join(map(percent, interval)) if interval else "–")
    return cells
