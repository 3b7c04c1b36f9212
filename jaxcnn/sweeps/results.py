"""What the finished runs of a study say: read from their directories, gathered by cell, written as a table."""

import csv
import json
import math
import pathlib
import shlex
import sys
from typing import NamedTuple

import rich.table
import rich.text

from jaxcnn.analysis import summarize
from jaxcnn.errors import InputError
from jaxcnn.sweeps.summary import summary
from jaxcnn.sweeps.verdicts import findings
from jaxcnn.training.metrics import read_metrics
from jaxcnn.training.model import make_model
from jaxcnn.training.rundir import environment, last_start, read_config, read_data, read_evaluations
from jaxcnn.visualize.effects import draw_cells
from jaxcnn.visualize.figure import save_figure
from jaxcnn.visualize.quantity import amount, extent
from jaxcnn.visualize.study_report import Cell, StudyReport, study_report


class Result(NamedTuple):
    """What one finished run came to.

    Attributes:
      values: {metric: float}, None for what it does not have or what is not finite.
      step: of the checkpoint that was tested.
      images: which test images they were, to be compared for equality.
      wrong: positions of those it has wrong; None in a run that did not keep them.
      rows: of metrics.jsonl.
    """

    values: dict
    step: int
    images: tuple
    wrong: list | None
    rows: list


def read_result(folder, metrics):
    """The Result of a run directory; None where its run is not finished.

    Args:
      folder: the run directory, which need not be there.
      metrics: {name: Measure}, those of the study.
    Raises:
      InputError: a measure of the study's own failed on the rows.
    """
    # The one at the end of training; others are a person's, of any checkpoint.
    test = next((row for row in read_evaluations(folder) if row.get("final")), None)
    if test is None:
        return None
    rows = read_metrics(folder)
    held_out = (row["top1"] for row in rows if row.get("split") == "validation" and row["step"] == test["step"])
    scores = {"test_top1": test["top1"], "test_loss": test["loss"], "validation_top1": next(held_out, None)}
    found = {name: _finite(value) for name, value in scores.items()}
    for name, measure in metrics.items():
        if measure.function is not None:
            found[name] = _measured(name, measure, rows, folder)
    data = read_config(folder).data
    images = (data.name, data.data_dir, data.test, test["n"])
    return Result({name: found[name] for name in metrics}, test["step"], images, test.get("wrong"), rows)


def _measured(name, measure, rows, folder):
    try:
        return _finite(measure.function(rows))
    except Exception as error:  # a slip of the user's function: it must name itself
        raise InputError(f"measure '{name}' failed on {folder}: {type(error).__name__}: {error}") from error


def _finite(value):
    return float(value) if value is not None and math.isfinite(value) else None


def write_study(study, workdir, results, failed, *, title, docstring=""):
    """Writes results.csv, verdicts.json, figure.png, summary.md and report.html of a study into workdir.

    Args:
      results: {run id: Result, None where it failed}.
      failed: {run id: error message}.
    Returns:
      The Cells of the study, in its order.
    """
    _write_table(workdir / "results.csv", study, results)
    cells = gather(study, workdir, results, failed)
    found = findings(study, cells)
    (workdir / "verdicts.json").write_text(json.dumps(found, indent=1) + "\n")
    save_figure(draw_cells(found["cells"], found["metrics"]), workdir / "figure.png")
    (workdir / "summary.md").write_text(summary(study, workdir, found, failed, title=title))
    starts = filter(None, (last_start(workdir / run.id) for run in study.runs()))
    report = StudyReport(title, docstring, _command(), cells, found, next(starts, None) or environment())
    (workdir / "report.html").write_text(study_report(report))
    return cells


def _command():
    """What is to be typed to do this again, wherever its runs are trained."""
    program = "-m jaxcnn" if pathlib.Path(sys.argv[0]).parent.name == "jaxcnn" else shlex.quote(sys.argv[0])
    return f"python {program} {shlex.join(word for word in sys.argv[1:] if word != '--collect')}"


def gather(study, workdir, results, failed):
    """The Cells of a study, in its order.

    Args:
      results: {run id: Result or None}.
      failed: {run id: what went wrong}.
    """
    cells, costs = {}, {}
    for run in study.runs():
        empty = {name: [] for name in study.metrics}
        cell = cells.setdefault(run.cell, Cell(run.cell, run.levels, [], empty, {}, [], [], {}))
        result = results[run.id]
        if result is None:
            cell.failed.append(f"{run.id}: {failed.get(run.id, 'not finished')}")
            continue
        cell.seeds.append(run.seed)
        for name, value in result.values.items():
            cell.values[name].append(value)
        cell.tested[run.seed] = result.images, result.wrong
        cell.rows.append(result.rows)
        if not cell.cost:
            cell.cost.update(_cost(workdir / run.id, costs))
    return list(cells.values())


def _cost(folder, known):
    """{"parameters", "macs"} of the run's network; `known` keeps those of other runs."""
    config, (classes, shape) = read_config(folder), read_data(folder)
    key = config.model.to_json(), classes, shape
    if key not in known:
        totals = summarize(make_model(config, shape, len(classes)), shape)
        known[key] = {"parameters": totals["parameters"], "macs": totals["macs"]}
    return known[key]


def _write_table(path, study, results):
    """A row for each run, the levels of its factors and all metrics as columns."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["run", "cell", *study.factors, "seed", "status", "checkpoint_step", *study.metrics])
        for run in study.runs():
            done = results[run.id]
            values = [done.values[name] for name in study.metrics] if done else [None] * len(study.metrics)
            state = ["done", done.step] if done else ["failed", None]
            row = [run.id, run.cell, *run.levels.values(), run.seed, *state, *values]
            writer.writerow([json.dumps(v) if isinstance(v, float) else v for v in row])


def results_table(found):
    """The table of a study for the terminal: n, mean, standard deviation and interval of every cell's test accuracy.

    Args:
      found: what `findings` returns.
    """
    names = ("n", "mean", "std", "95 % interval", "s/run")
    numbers = [rich.table.Column(name, justify="right", no_wrap=True) for name in names]
    title = "test accuracy (%) of the best held-out checkpoint"
    table = rich.table.Table(rich.table.Column("cell", overflow="fold"), *numbers, title=title)
    points, seconds = {"unit": "points"}, {"unit": "s"}
    for cell in found["cells"]:
        test, time = cell["metrics"]["test_top1"], cell["metrics"]["seconds"]
        spread = amount(test["mean"], points), amount(test["std"], points), extent(test["interval"], points)
        table.add_row(rich.text.Text(cell["cell"]), str(test["n"]), *spread, amount(time["mean"], seconds))
    return table
