"""The options of sweep for SLURM, and what it submits: the runs of a study, or the workers of a search."""

from __future__ import annotations

import argparse
import pathlib
import re
from typing import TYPE_CHECKING

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from jaxcnn.sweeps.study import Study

SLURM = {  # option: its type, its help; those of sbatch have its names
    "partition": (str, "the partition"),
    "account": (str, "the account"),
    "qos": (str, "the quality of service"),
    "constraint": (str, "features that a node must have"),
    "time": (str, "time of a task, as 2:00:00; a run that needs more is requeued and resumes"),
    "nodes": (str, "nodes of one run"),
    "tasks": (int, "processes of one run, started by srun"),
    "gpus-per-task": (str, "GPUs of each process"),
    "cpus-per-task": (int, "cores of each process"),
    "mem": (str, "memory of each node, as 32G"),
    "limit": (int, "tasks of an array at a time"),
    "runs-per-task": (int, "runs that a task trains one after another; default: 1"),
    "workers": (int, "of a search: how many tasks work on it; default: 1"),
    "requeues": (int, "how often a task is queued again when its time ends; default: as often as it takes"),
    "notice": (int, "seconds before the end of its time at which a run saves its state; default: 120"),
    "report-partition": (str, "the partition of the job that writes the report"),
    "container": (str, "a command that runs another in a container, as 'apptainer exec --nv jaxcnn.sif'"),
}
SEVERAL = {  # option, given any number of times: its metavar, its help
    "setup": ("LINE", "a line of bash before the runs, as 'module load cuda'; again for more"),
    "sbatch": ("KEY=VALUE", "another option of sbatch, as exclude=node7 or exclusive; again for more"),
}
FLAGS = {  # option: its help
    "dry-run": "print the sbatch scripts and submit nothing",
    "unchecked": "submit without the check of every run, where only the nodes hold the data",
    "cancel": "cancel what was submitted for this workdir; its runs save their state",
}
NAMES = (*SLURM, *SEVERAL, *FLAGS)
COUNTS = ("tasks", "limit", "runs-per-task", "workers", "notice", "cpus-per-task")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the group of these options."""
    group = parser.add_argument_group("runner slurm")
    for name, (kind, text) in SLURM.items():
        group.add_argument(f"--{name}", type=kind, default=None, help=text)
    for name, (metavar, text) in SEVERAL.items():
        group.add_argument(f"--{name}", action="append", default=None, metavar=metavar, help=text)
    for name, text in FLAGS.items():
        group.add_argument(f"--{name}", action="store_true", help=text)


def submit_study(study: Study, arguments: argparse.Namespace, itself: list[str]) -> int:
    """Submits the runs that are not done; 0.

    Args:
      study: a Study.
      arguments: of sweep.
      itself: the arguments of this verb with its study, for another process.
    """
    from jaxcnn.sweeps.check import check_for_elsewhere
    from jaxcnn.sweeps.results import result_or_damage

    if arguments.cancel:
        return _cancel(arguments)
    if arguments.workers is not None:
        raise InputError("--workers is for searches; the runs of a study are as many as they are.")
    workdir, options = pathlib.Path(arguments.workdir).absolute(), _options(arguments)
    left = [run for run in study.runs() if result_or_damage(workdir / run.id, study.metrics)[0] is None]
    if not left:
        print("every run is done; --collect writes table and report")
        return 0
    if not arguments.unchecked:
        try:
            check_for_elsewhere(left)
        except InputError as error:
            raise InputError(f"{error} Where only the nodes hold the data: --unchecked.") from error
    return _submit([f"--run={run.id}" for run in left], itself, workdir, options, arguments.dry_run)


def submit_search(arguments: argparse.Namespace, itself: list[str]) -> int:
    """Submits tasks that work on one search; 0. SQLite fails on many clusters' disks: the default is a journal."""
    if arguments.cancel:
        return _cancel(arguments)
    for name in ("runs-per-task", "report-partition", "unchecked"):
        if getattr(arguments, name.replace("-", "_")):
            raise InputError(f"--{name} is for studies; {arguments.study} is a search, on which --workers tasks work.")
    workdir, options = pathlib.Path(arguments.workdir).absolute(), _options(arguments)
    storage = arguments.storage or f"journal:{workdir / 'search.journal'}"
    return _submit(
        [f"--storage={storage}"] * (arguments.workers or 1), itself, workdir, options, arguments.dry_run, report=False
    )


def _submit(words, itself, workdir, options, dry_run, *, report=True):
    from jaxcnn.sweeps.slurm import array_scripts, collect_script, largest_array, submit, worker_command

    command = worker_command(itself, container=options["container"])
    if dry_run:
        scripts = array_scripts(words, command, workdir, options, largest=largest_array())
        if report:
            jobs = [f"ARRAY{number}" for number in range(1, len(scripts) + 1)]
            scripts.append(collect_script(command, workdir, options, jobs))
        print("\n".join(scripts), end="")
        return 0
    arrays, collecting = submit(words, command, workdir, options, report=report)
    what = f"job {', '.join(arrays)}: {len(words)} {'runs' if report else 'workers'}"
    if isinstance(collecting, InputError):
        print(f"{what}. No job for the report ({collecting}): give --collect when they have ended")
    elif collecting:
        print(f"{what}; job {collecting} writes {workdir}/report.html when they have ended")
    else:
        print(f"{what}; the last to end writes {workdir}/report.html")
    return 0


def _options(arguments):
    """The options of sweeps.slurm, checked."""
    options = {name.replace("-", "_"): getattr(arguments, name.replace("-", "_")) for name in (*SLURM, *SEVERAL)}
    for name in COUNTS:
        value = options[name.replace("-", "_")]
        if value is not None and value < 1:
            raise InputError(f"--{name} is {value}; it is a whole number from 1.")
    if options["requeues"] is not None and options["requeues"] < 0:
        raise InputError(f"--requeues is {options['requeues']}; it is a whole number of 0 or more.")
    for word in options["sbatch"] or ():
        if not re.fullmatch(r"[a-z][a-z-]*(=.*)?", word):
            raise InputError(f"--sbatch is {word!r}; it is an option of sbatch without --, as exclude=node7.")
    options["name"] = pathlib.Path(arguments.study).stem
    return options


def _cancel(arguments):
    from jaxcnn.sweeps.slurm import cancel

    jobs = cancel(pathlib.Path(arguments.workdir).absolute())
    print(f"cancelled: job {', '.join(jobs)}" if jobs else f"nothing was submitted for {arguments.workdir}")
    return 0
