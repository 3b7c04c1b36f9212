"""Runs what a study has not done yet, one run after another, and keeps the results."""

import pathlib
import sys
import time
import traceback

import rich.console

from jaxcnn.errors import InputError
from jaxcnn.sweeps.results import read_result, write_study
from jaxcnn.training.loop import train
from jaxcnn.training.preemption import Preempted


def run_study(study, workdir, *, title, docstring="", quiet=False):
    """Runs a study in workdir/<run id>, each run skipped where it is done, resumed where it was broken off.

    A run that fails is named, with its error, and does not hide the others.

    Args:
      study: a Study.
      workdir: where the run directories, results.csv, verdicts.json and report.html go.
      title, docstring: for the report.
      quiet: print nothing.
    Returns:
      (list of Cell in the order of the study, {run id: error message of those that failed}).
    """
    workdir, runs = pathlib.Path(workdir), study.runs()
    _make(workdir)
    console = rich.console.Console(file=sys.stderr, highlight=False, quiet=quiet)
    results, failed, begin = {}, {}, time.monotonic()
    for number, run in enumerate(runs, start=1):
        folder = workdir / run.id
        done = read_result(folder, study.metrics)
        if done is None:
            error = _train(run.config, folder)
            if error:
                failed[run.id] = error
            done = read_result(folder, study.metrics)
        results[run.id] = done
        text = _scores(done.values) if done else f"failed: {failed[run.id]}"
        left = (time.monotonic() - begin) / number * (len(runs) - number)
        console.print(
            f"{number}/{len(runs)}  {run.cell}, seed {run.seed}: {text}  ({left:.0f} s left)",
            markup=False,
            soft_wrap=True,
        )
    return write_study(study, workdir, results, failed, title=title, docstring=docstring), failed


def _scores(values):
    return f"test {values['test_top1']:.2%}, held out {values['validation_top1']:.2%}"


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
