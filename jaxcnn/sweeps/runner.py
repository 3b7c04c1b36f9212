"""Runs what a study has not done yet, here or in workers of this machine, and keeps the results."""

from __future__ import annotations

import pathlib
import sys
import time
from typing import TYPE_CHECKING, Any

import jax
import rich.console

from jaxcnn import trust
from jaxcnn.errors import InputError
from jaxcnn.files import local_path
from jaxcnn.lock import hold
from jaxcnn.quantity import measured
from jaxcnn.sweeps.check import check_for_elsewhere, check_runs
from jaxcnn.sweeps.local import Workers, run_workers
from jaxcnn.sweeps.population import run_populations
from jaxcnn.sweeps.results import result_or_damage, write_study
from jaxcnn.sweeps.status import unfinished
from jaxcnn.sweeps.worker import read_error, run_one, write_error
from jaxcnn.training.processes.preemption import Preempted

if TYPE_CHECKING:
    from jaxcnn.sweeps.study import Study


def run_study(
    study: Study,
    workdir: pathlib.Path,
    *,
    title: str,
    docstring: str = "",
    quiet: bool = False,
    workers: Workers | None = None,
    population: bool = False,
    again: bool = True,
) -> tuple[list[Any], dict[str, str]]:
    """Runs a study in workdir/<run id>, each run skipped where it is done, resumed where it was broken off.

    All runs that are left are checked before the first one starts. One that fails later is named, with its error, and
    does not hide the others.

    Args:
      study: a Study.
      workdir: where the run directories, results.csv, verdicts.json and report.html go.
      title, docstring: for the report.
      quiet: print nothing.
      workers: a Workers: processes that take one run each; None runs one after another in this process.
      population: first train those together in one program that differ only in their seed and in numbers.
      again: whether runs that failed before are tried again.
    Returns:
      (list of Cell in the order of the study, {run id: its state} of those without a result, as `unfinished` says it).
    Raises:
      InputError: a run cannot be trained, another sweep is at work in workdir, or it cannot be written.
      Preempted: told to end; the state of every run is saved.
    """
    workdir = local_path(workdir)
    with hold(workdir, what="sweep", reentrant=True):
        train_study(study, workdir, quiet=quiet, workers=workers, population=population, again=again)
        return collect(study, workdir, title=title, docstring=docstring)


def train_study(
    study: Study,
    workdir: pathlib.Path,
    *,
    quiet: bool = False,
    workers: Workers | None = None,
    population: bool = False,
    again: bool = True,
) -> None:
    """Trains what run_study does, with its arguments and errors, and writes no table and no report."""
    workdir, runs = local_path(workdir), study.runs()
    console = rich.console.Console(file=sys.stderr, highlight=False, markup=False, emoji=False, quiet=quiet)

    def done(run):
        return result_or_damage(workdir / run.id, study.metrics)[0] is not None

    with hold(workdir, what="sweep", reentrant=True):
        left = [run for run in runs if not done(run) and (again or not read_error(workdir / run.id))]
        if 0 < len(left) < len(runs):
            console.print(f"{len(runs) - len(left)} of {len(runs)} runs are done")
        console.print(f"checking {len(left)} runs" if left else "every run is done")
        if workers is not None and not population:
            check_for_elsewhere(left)
        else:
            check_runs(left, devices=jax.devices()[:1] if population else None)
        if population:
            ended = {run.id for run in runs} - {run.id for run in left}
            for run in left:
                write_error(workdir / run.id, "")
            for run, error in run_populations(runs, workdir, done=ended, quiet=quiet).items():
                write_error(workdir / run, error)
            left = [run for run in left if not (read_error(workdir / run.id) or done(run))]
        if left:
            console.print(f"{len(left)} of {len(runs)} runs to train")
        tell = _teller(study, workdir, console, len(left))
        if workers is None:
            for run in left:
                tell(run, run_one(run, workdir))
        elif signal := run_workers(left, workdir, workers, done=tell):
            raise Preempted(f"told to end ({signal.name}); the same command resumes", signal)


def collect(
    study: Study, workdir: pathlib.Path, *, title: str, docstring: str = ""
) -> tuple[list[Any], dict[str, str]]:
    """Writes table, verdicts and report of the runs as they are now, whoever ran them.

    Args:
      study, workdir, title, docstring: as in run_study.
    Returns:
      As run_study.
    """
    workdir = local_path(workdir)
    if not workdir.is_dir():
        raise InputError(f"there is no directory {workdir}: nothing to collect.")
    results, left = read_runs(study, workdir)
    return write_study(study, workdir, results, left, title=title, docstring=docstring), left


def read_runs(study: Study, workdir: pathlib.Path) -> tuple[dict[str, Any], dict[str, str]]:
    """({run id: Result, None where it has none}, {run id: state of those that have none}) of a study's runs now."""
    results, left = {}, {}
    for run in study.runs():
        trust.allow_config(run.config)  # the user's study names it; its run is read as data
        results[run.id], damage = result_or_damage(workdir / run.id, study.metrics)
        if results[run.id] is None:
            left[run.id] = unfinished(workdir / run.id, damage)
    return results, left


def _teller(study, workdir, console, total):
    """f(run, error) prints a line about a run that has ended, with the time left at this rate."""
    begin, count = time.monotonic(), 0

    def tell(run, error):
        nonlocal count
        count += 1
        result, damage = (None, "") if error else result_or_damage(workdir / run.id, study.metrics)
        text = _scores(result.values, study) if result else f"failed: {error or damage}"
        left = (time.monotonic() - begin) / count * (total - count)
        console.print(f"{count}/{total}  {run.cell}, seed {run.seed}: {text}  ({left:.0f} s left)", soft_wrap=True)

    return tell


def _scores(values, study):
    measure = study.metrics[study.main].measure
    return f"test {measured(values[study.main], measure)}, held out {measured(values[study.held_out], measure)}"
