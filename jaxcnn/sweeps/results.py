"""The results of the finished runs of a study: read from their directories, gathered by cell, written as a table."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import pathlib
import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import rich.table
import rich.text

from jaxcnn.analysis import summarize
from jaxcnn.errors import InputError
from jaxcnn.files import replaced, write_json, write_text
from jaxcnn.quantity import amount, extent, heading
from jaxcnn.sweeps.metrics import Metric, with_label
from jaxcnn.sweeps.summary import summary
from jaxcnn.sweeps.verdicts import findings
from jaxcnn.training.model import make_model
from jaxcnn.training.rundir.about import read_data, read_fields
from jaxcnn.training.rundir.directory import read_config
from jaxcnn.training.rundir.environment import environment, last_start
from jaxcnn.training.rundir.evaluations import read_evaluations
from jaxcnn.training.rundir.extension import EVENT
from jaxcnn.training.rundir.log import read_metrics
from jaxcnn.visualize.effects import draw_cells
from jaxcnn.visualize.figure import save_figure
from jaxcnn.visualize.study_report import Cell, StudyReport, study_report

if TYPE_CHECKING:
    from jaxcnn.sweeps.study import Study
    from jaxcnn.tasks.task import Measure


class Damaged(InputError):
    """The files of a finished run are not those of a run of the study, or cannot be read."""


class Result(NamedTuple):
    """The result of one finished run.

    Attributes:
      values: {metric: float}, None for what it does not have or what is not finite.
      step: of the checkpoint that was tested.
      images: which test images they were, to be compared for equality.
      wrong: positions of those it has wrong; None in a run that did not keep them, or of a task that has none.
      rows: of metrics.jsonl.
      network: (its config, the classes, the shape of the images, the fields of the examples).
    """

    values: dict
    step: int
    images: tuple
    wrong: list | None
    rows: list
    network: tuple


def read_result(folder: pathlib.Path, metrics: Mapping[str, Metric]) -> Result | None:
    """The Result of a run directory; None where its run is not finished.

    Args:
      folder: the run directory, which need not be there.
      metrics: {name: Metric}, those of the study.
    Raises:
      Damaged: one of its files is; what the report reads of a run is read here, so that it is found once.
      InputError: a measure of the study's own failed on the rows.
    """
    with _damage_named(folder):
        # The one at the end of training; others are a person's, of any checkpoint.
        test = next((row for row in read_evaluations(folder) if row.get("final")), None)
        if test is None:
            return None
        rows = _first_duration(read_metrics(folder), test, folder)
        if not any(row.get("split") == "train" for row in rows):
            raise Damaged(f"{folder / 'metrics.jsonl'} is damaged: it has no row of the training.")
        every = [*rows, test]
        found = {name: _finite(metric.function(every)) for name, metric in metrics.items() if not metric.own}
        network = read_config(folder), *read_data(folder), read_fields(folder)
        images = (*(network[0].data[key] for key in ("name", "data_dir", "test")), test["n"])
        step = test["step"]
    found |= {name: _measured(name, metric, rows, folder) for name, metric in metrics.items() if metric.own}
    return Result({name: found[name] for name in metrics}, step, images, test.get("wrong"), rows, network)


def _first_duration(rows, test, folder):
    """The rows up to where a person made the run longer; Damaged where that was before its end."""
    longer = next((place for place, row in enumerate(rows) if row.get("event") == EVENT), None)
    if longer is None:
        return rows
    old, new = rows[longer]["old"], rows[longer]["new"]
    if test.get("duration", old) != old:
        raise Damaged(f"{folder} was made longer, from {old} to {new}, before it ended: it is no run of this study.")
    return rows[:longer]


@contextlib.contextmanager
def _damage_named(folder):
    """Raises Damaged for whatever a file that is not as it was written leads to."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        raise Damaged(text if str(folder) in text else f"a file of {folder} is damaged: {text}") from error


def result_or_damage(folder: pathlib.Path, metrics: Mapping[str, Metric]) -> tuple[Result | None, str]:
    """(The Result of a run directory or None, which of its files is damaged or ""); arguments as in `read_result`."""
    try:
        return read_result(folder, metrics), ""
    except Damaged as error:
        return None, f"{str(error).rstrip('.')}. Move {folder} away, and the next sweep trains the run again."


def _measured(name, metric, rows, folder):
    try:
        return _finite(metric.function(rows))
    except Exception as error:  # a slip of the user's function: it must name itself
        raise InputError(f"measure '{name}' failed on {folder}: {type(error).__name__}: {error}") from error


def _finite(value):
    return float(value) if value is not None and math.isfinite(value) else None


def write_study(
    study: Study,
    workdir: pathlib.Path,
    results: Mapping[str, Any],
    left: Mapping[str, str],
    *,
    title: str,
    docstring: str = "",
) -> list[Any]:
    """Writes results.csv, verdicts.json, figure.png, summary.md and report.html of a study into workdir.

    Args:
      results: {run id: Result, None without one}.
      left: {run id: state of those without a result}.
    Returns:
      The Cells of the study, in its order.
    """
    _write_table(workdir / "results.csv", study, results, left)
    cells = gather(study, results, left)
    found = findings(study, cells)
    write_json(workdir / "verdicts.json", found)
    save_figure(draw_cells(found["cells"], found["metrics"]), workdir / "figure.png")
    starts = list(filter(None, (_start(workdir / run.id) for run in study.runs())))
    write_text(workdir / "summary.md", summary(starts, found, left, title=title))
    about = starts[0] if starts else environment(), study.kind, named_measures(study)
    report = StudyReport(title, docstring, how_to_repeat(), cells, found, *about)
    write_text(workdir / "report.html", study_report(report))
    return cells


def named_measures(study: Study) -> dict[str, Measure]:
    """{name: Measure} of a study's metrics, each with a label."""
    return {name: with_label(name, metric.measure) for name, metric in study.metrics.items()}


def _start(folder):
    """The last start of a run; None where it has none or its record is damaged."""
    with contextlib.suppress(Damaged), _damage_named(folder):
        return last_start(folder)


def how_to_repeat() -> str:
    """The command that does this again, wherever its runs are trained."""
    program = "-m jaxcnn" if pathlib.Path(sys.argv[0]).parent.name == "jaxcnn" else shlex.quote(sys.argv[0])
    return f"python {program} {shlex.join(word for word in sys.argv[1:] if word != '--collect')}"


def gather(study: Study, results: Mapping[str, Any], left: Mapping[str, str]) -> list[Any]:
    """The Cells of a study, in its order.

    Args:
      results: {run id: Result or None}.
      left: {run id: state of those without a result}.
    """
    cells, costs = {}, {}
    for run in study.runs():
        empty = {name: [] for name in study.metrics}
        cell = cells.setdefault(run.cell, Cell(run.cell, run.levels, [], empty, {}, [], [], {}))
        result = results[run.id]
        if result is None:
            cell.left.append(f"{run.id}: {left[run.id]}")
            continue
        cell.seeds.append(run.seed)
        for name, value in result.values.items():
            cell.values[name].append(value)
        cell.tested[run.seed] = result.images, result.wrong
        cell.rows.append(result.rows)
        if not cell.cost:
            cell.cost.update(_cost(*result.network, costs))
    return list(cells.values())


def _cost(config, classes, shape, fields, known):
    """{"parameters", "macs"} of a run's network; `known` keeps those of other runs."""
    key = config.model.to_json(), classes, shape
    if key not in known:
        totals = summarize(make_model(config, shape, classes, fields), shape)
        known[key] = {"parameters": totals["parameters"], "macs": totals["macs"]}
    return known[key]


def _write_table(path, study, results, left):
    """A row for each run, the levels of its factors and all metrics as columns."""
    with replaced(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["run", "cell", *study.factors, "seed", "status", "checkpoint_step", *study.metrics])
        for run in study.runs():
            done = results[run.id]
            values = [done.values[name] for name in study.metrics] if done else [None] * len(study.metrics)
            state = ["done", done.step] if done else [left[run.id].partition(":")[0], None]
            row = [run.id, run.cell, *run.levels.values(), run.seed, *state, *values]
            writer.writerow([json.dumps(v) if isinstance(v, float) else v for v in row])


def results_table(study: Study, found: Mapping[str, Any]) -> Any:
    """The table of a study for the terminal: n, mean, standard deviation and interval of every cell's main metric.

    Args:
      study: a Study.
      found: what `findings` returns of it.
    """
    names = ("n", "mean", "std", "95 % interval", "s/run")
    numbers = [rich.table.Column(name, justify="right", no_wrap=True) for name in names]
    metric, seconds = found["metrics"][study.main], {"unit": "s"}
    title = f"{heading(metric)} of the {'best held-out' if study.kind.selects else 'latest'} checkpoint"
    table = rich.table.Table(rich.table.Column("cell", overflow="fold"), *numbers, title=title)
    for cell in found["cells"]:
        test, time = cell["metrics"][study.main], cell["metrics"]["seconds"]
        spread = amount(test["mean"], metric), amount(test["std"], metric), extent(test["interval"], metric)
        table.add_row(rich.text.Text(cell["cell"]), str(test["n"]), *spread, amount(time["mean"], seconds))
    return table
