"""Runs what a study has not done yet, one run after another, and keeps the results."""

import csv
import json
import pathlib
import statistics
import sys
import time
import traceback

import rich.console
import rich.table

from jaxcnn.errors import InputError
from jaxcnn.sweeps.population import run_populations
from jaxcnn.training.loop import train
from jaxcnn.training.metrics import read_metrics
from jaxcnn.training.preemption import Preempted
from jaxcnn.training.rundir import environment, read_evaluations
from jaxcnn.visualize.report import Cell, StudyReport, study_report


def run_study(study, workdir, *, title, docstring="", quiet=False, runner="local"):
    """Runs a study in workdir/<run id>, each run skipped where it is done, resumed where it was broken off.

    A run that fails is named, with its error, and does not hide the others.

    Args:
      study: a Study.
      workdir: where the run directories, results.csv and report.html go.
      title, docstring: for the report.
      quiet: print nothing.
      runner: local, one run after another; population, those together that differ only in their seed and in numbers.
    Returns:
      (list of Cell in the order of the study, {run id: error message of those that failed}).
    """
    workdir, runs = pathlib.Path(workdir), study.runs()
    _make(workdir)
    console = rich.console.Console(file=sys.stderr, highlight=False, quiet=quiet)
    results, failed = {}, {}
    if runner == "population":
        done = {run.id for run in runs if _result(workdir / run.id)}
        failed = run_populations(runs, workdir, done=done, quiet=quiet)
    begin = time.monotonic()
    for number, run in enumerate(runs, start=1):
        folder = workdir / run.id
        done = _result(folder)
        if done is None and run.id not in failed:
            error = _train(run.config, folder)
            if error:
                failed[run.id] = error
            done = _result(folder)
        results[run.id] = done
        text = f"test {done['test']:.2%}, held out {done['validation']:.2%}" if done else f"failed: {failed[run.id]}"
        left = (time.monotonic() - begin) / number * (len(runs) - number)
        console.print(
            f"{number}/{len(runs)}  {run.cell}, seed {run.seed}: {text}  ({left:.0f} s left)",
            markup=False,
            soft_wrap=True,
        )
    cells = _cells(workdir, runs, results, failed)
    _write_csv(workdir / "results.csv", runs, results)
    report = StudyReport(title, docstring, "python -m jaxcnn " + " ".join(sys.argv[1:]), cells, environment())
    (workdir / "report.html").write_text(study_report(report))
    return cells, failed


def _make(workdir):
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the directory {workdir} cannot be written: {error.strerror}. Give another.") from error


def _train(config, folder):
    """Trains one run; returns what went wrong, "" for nothing."""
    try:
        result = train(config, folder, quiet=True)
    except Preempted:
        raise
    except InputError as error:
        return str(error)
    except Exception as error:  # a fault of one run, of the user's network say, must not hide the others
        traceback.print_exc()
        return f"{type(error).__name__}: {error}"
    return "" if result.test else "it has no test accuracy, because config.data.test is empty."


def results_table(cells):
    """The table of a study for the terminal: cell, n, mean, standard deviation and range of test accuracy."""
    numbers = [
        rich.table.Column(name, justify="right", no_wrap=True) for name in ("n", "mean", "std", "min to max", "s/run")
    ]
    title = "test accuracy (%) of the best held-out checkpoint"
    table = rich.table.Table(rich.table.Column("cell", overflow="fold"), *numbers, title=title)
    for cell in cells:
        values = [100 * v for v in cell.test_top1]
        mean = f"{statistics.mean(values):.2f}" if values else "n/a"
        spread = f"{statistics.stdev(values):.2f}" if len(values) > 1 else "n/a"
        extent = f"{min(values):.2f} to {max(values):.2f}" if values else "n/a"
        seconds = f"{statistics.mean(cell.seconds):.1f}" if cell.seconds else "n/a"
        table.add_row(cell.name, str(len(values)), mean, spread, extent, seconds)
    return table


def _result(folder):
    """{"test", "validation", "loss", "step", "seconds"} of a finished run, None of another."""
    # The one at the end of training; others are a person's, of any checkpoint.
    test = next((row for row in read_evaluations(folder) if row.get("final")), None)
    if test is None:
        return None
    rows = read_metrics(folder)
    held_out = next(row for row in rows if row.get("split") == "validation" and row["step"] == test["step"])
    seconds = next(row["seconds"] for row in reversed(rows) if row.get("split") == "train")
    return {
        "test": test["top1"],
        "validation": held_out["top1"],
        "loss": test["loss"],
        "step": test["step"],
        "seconds": seconds,
    }


def _cells(workdir, runs, results, failed):
    cells = {}
    for run in runs:
        cell = cells.setdefault(run.cell, Cell(run.cell, [], [], [], [], [], []))
        done = results[run.id]
        if done is None:
            cell.failed.append(f"{run.id}: {failed.get(run.id, 'not finished')}")
            continue
        cell.seeds.append(run.seed)
        cell.test_top1.append(done["test"])
        cell.validation_top1.append(done["validation"])
        cell.seconds.append(done["seconds"])
        cell.rows.append(read_metrics(workdir / run.id))
    return list(cells.values())


def _write_csv(path, runs, results):
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["run", "cell", "seed", "step", "validation_top1", "test_top1", "test_loss", "seconds"])
        for run in runs:
            done = results[run.id]
            row = (
                [done[k] for k in ("step", "validation", "test", "loss", "seconds")] if done else ["failed"] + [""] * 4
            )
            writer.writerow([run.id, run.cell, run.seed, *(json.dumps(v) if isinstance(v, float) else v for v in row)])
