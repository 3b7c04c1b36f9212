"""A study or a search as SLURM job arrays: tasks are requeued where they are preempted or their time ends."""

import json
import pathlib
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from jaxcnn.errors import InputError
from jaxcnn.files import write_json, write_text

LAUNCH = pathlib.Path(__file__).parents[2] / "launch.sh"
STAMP = ".jaxcnn-installed"  # which launch.sh leaves in an environment of its own
WHERE = ("partition", "account", "qos")  # of the report's job too
NOTICE = 120  # seconds between SLURM's signal and the end of a job's time: a chunk of steps and a checkpoint
JOBS = "jobs.json"  # what was submitted, in the folder slurm of a workdir

SCRIPT = """\
#!/bin/bash
{directives}
# A task starts {per_task} of the words below, one after another. {notice} s before its time ends it gets SIGUSR1: what
# runs saves its state, and the task is queued again. SIGTERM is SLURM's own (preemption, scancel): what runs saves
# its state, and SLURM decides.
cd {directory} || exit 1
{setup}words=(
{words}
)
code=0
again=
stop=
trap 'again=yes; kill -TERM "$child" 2>/dev/null' USR1
trap 'stop=yes; kill -TERM "$child" 2>/dev/null' TERM
for word in "${{words[@]:$((SLURM_ARRAY_TASK_ID * {per_task})):{per_task}}}"; do
    if [ -n "$again$stop" ]; then
        code=143
        break
    fi
    {launch}{command} "$word" &
    child=$!
    if [ -n "$again$stop" ]; then kill -TERM "$child" 2>/dev/null; fi
    wait "$child"
    ended=$?
    while kill -0 "$child" 2>/dev/null; do wait "$child"; ended=$?; done
    if [ "$ended" -ne 0 ]; then code=$ended; fi
done
if [ -n "$again" ] && [ "$code" -gt 128 ]{restarts}; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""

COLLECT = """\
#!/bin/bash
{directives}
cd {directory} || exit 1
{setup}exec {launch}{command} --collect
"""


def array_scripts(
    words: Sequence[str],
    command: Sequence[str],
    workdir: pathlib.Path,
    options: Mapping[str, Any],
    *,
    largest: int | None = None,
) -> list[str]:
    """The sbatch scripts of a study's runs or a search's workers: one array, or more where one would be too large.

    Args:
      words: what each is started with behind the command, one word: "--run=ID". They are in the script, which SLURM
        keeps: a later submission changes nothing of this one.
      command: of a worker as a list of str.
      workdir: a pathlib.Path; the output of each task goes to slurm/ below it.
      options: a dict with partition, account, qos, constraint, time, gpus_per_task, cpus_per_task, mem, tasks
        (processes of one run; more than one are started by srun), nodes, limit (tasks of an array at a time),
        runs_per_task, requeues (how often a task is queued again), notice (seconds), setup (lines of bash), container
        (a command that runs another), sbatch (further KEY=VALUE or KEY) and name; what is None or empty is left out.
      largest: tasks of an array, at most; None for any number.
    Returns:
      [str].
    """
    per_task = options.get("runs_per_task") or 1
    size = per_task * (largest or len(words))
    parts = [words[first : first + size] for first in range(0, len(words), size)]
    return [_array_script(part, command, workdir, options, per_task) for part in parts]


def _array_script(words, command, workdir, options, per_task):
    notice, limit, requeues = options.get("notice") or NOTICE, options.get("limit"), options.get("requeues")
    flags = {
        "job-name": options["name"],
        "array": f"0-{-(-len(words) // per_task) - 1}" + (f"%{limit}" if limit else ""),
        "output": f"{_literal(workdir)}/slurm/%A_%a.log",
        "open-mode": "append",
        "signal": f"B:USR1@{notice}",
        **{key: options.get(key) for key in (*WHERE, "constraint", "time", "nodes", "mem")},
        "ntasks": options.get("tasks") or 1,  # sbatch takes --gpus-per-task only beside it
        "gpus-per-task": options.get("gpus_per_task"),
        "cpus-per-task": options.get("cpus_per_task"),
    }
    return SCRIPT.format(
        directives=_directives(flags, "requeue", *options.get("sbatch") or ()),
        per_task=per_task,
        notice=notice,
        directory=shlex.quote(str(pathlib.Path.cwd())),
        setup=_setup(options),
        words="\n".join(map(shlex.quote, words)),
        launch=(_srun(options) if (options.get("tasks") or 1) > 1 else "") + _within(options),
        command=shlex.join(command),
        restarts="" if requeues is None else f' && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {requeues} ]',
    )


def collect_script(
    command: Sequence[str], workdir: pathlib.Path, options: Mapping[str, Any], array_jobs: Sequence[str]
) -> str:
    """The sbatch script that writes table and report once every task of the arrays has ended.

    Args:
      command, workdir, options: as in `array_scripts`; options["report_partition"] is another partition.
      array_jobs: ids of the arrays.
    """
    flags = {
        "job-name": f"{options['name']}-report",
        "output": f"{_literal(workdir)}/slurm/report.log",
        "dependency": ":".join(["afterany", *array_jobs]),
        **{key: options.get(key) for key in (*WHERE, "time")},
    }
    if options.get("report_partition"):
        flags["partition"] = options["report_partition"]
    return COLLECT.format(
        directives=_directives(flags),
        directory=shlex.quote(str(pathlib.Path.cwd())),
        setup=_setup(options),
        launch=_within(options),
        command=shlex.join(command),
    )


def _literal(path):
    """A path in a pattern of sbatch, which writes numbers in the place of %."""
    return str(path).replace("%", "%%")


def _directives(flags, *words):
    """The lines of sbatch; words are KEY=VALUE or KEY."""
    named = [word.partition("=") for word in words]
    rows = [*flags.items(), *((key, value if equals else "") for key, equals, value in named)]
    return "\n".join(
        f"#SBATCH --{key}" + (f"={shlex.quote(str(value))}" if value != "" else "")
        for key, value in rows
        if value is not None
    )


def _setup(options):
    """Lines that make the environment; the first that fails ends the task. A line may end in a comment."""
    return "".join(f"{line}\n[ $? = 0 ] || exit 1\n" for line in options.get("setup") or ())


def _srun(options):
    """srun takes the tasks of its job, but since SLURM 22.05 not their cores."""
    cores = options.get("cpus_per_task")
    return f"srun --cpus-per-task={cores} " if cores else "srun "


def _within(options):
    return f"{options['container']} " if options.get("container") else ""


def submit(
    words: Sequence[str],
    command: Sequence[str],
    workdir: pathlib.Path,
    options: Mapping[str, Any],
    *,
    report: bool = True,
) -> tuple[list[str], Any]:
    """Submits the arrays and the job that collects their results, and keeps the ids in slurm/jobs.json.

    Args:
      words, command, workdir, options: as in `array_scripts`.
      report: whether there is a job that collects.
    Returns:
      (job ids of the arrays, job id of the report, or why there is none).
    Raises:
      InputError: there is no sbatch here, it refuses an array, or the directory cannot be written.
    """
    folder = workdir / "slurm"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the directory {folder} cannot be written: {error.strerror}. Give another.") from error
    scripts, arrays = array_scripts(words, command, workdir, options, largest=largest_array()), []
    write_text(folder / "array.sh", "\n".join(scripts))  # for people: what was submitted
    try:
        for script in scripts:
            arrays.append(_sbatch(script))
            _keep(folder, arrays[-1])
    except InputError as error:
        if not arrays:
            raise
        said = f"array {len(arrays) + 1} of {len(scripts)} was not taken ({error}); jobs {', '.join(arrays)} were"
        raise InputError(f"{said}: give the same command when they have ended, or cancel them by --cancel.") from error
    if not report:
        return arrays, None
    try:
        collecting = _sbatch(collect_script(command, workdir, options, arrays))
        _keep(folder, collecting)
        return arrays, collecting
    except InputError as error:  # the array is in the queue: to fail now would have it sent again
        return arrays, error


def _keep(folder, job):
    write_json(folder / JOBS, [*_kept(folder), {"job": job, "submitted": time.strftime("%Y-%m-%d %H:%M:%S")}])


def _kept(folder):
    """The rows of jobs.json, [] without one."""
    path = folder / JOBS
    try:
        return json.loads(path.read_text()) if path.exists() else []
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); squeue and scancel know the jobs too.") from error


def cancel(workdir: pathlib.Path) -> list[str]:
    """Cancels the jobs that were submitted for a workdir: what runs saves its state, and the same command resumes it.

    Returns:
      Their ids, those that have ended among them; [] where none were submitted.
    Raises:
      InputError: there is no such directory or no scancel here, or it fails.
    """
    if not workdir.is_dir():
        raise InputError(f"there is no directory {workdir}: nothing was submitted for it.")
    jobs = [row["job"] for row in _kept(workdir / "slurm")]
    if jobs:
        _call("scancel", *jobs)
        (workdir / "slurm" / JOBS).unlink()
    return jobs


def largest_array() -> int | None:
    """How many tasks an array may have here (SLURM's MaxArraySize), None where SLURM does not say."""
    try:
        answer = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", answer.stdout, re.MULTILINE)
    return int(found[1]) if found and int(found[1]) else None


def _sbatch(script):
    return _call("sbatch", "--parsable", given=script).strip().partition(";")[0]


def _call(name, *arguments, given=None):
    try:
        return subprocess.run([name, *arguments], input=given, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError as error:
        raise InputError(
            f"there is no {name} here: --runner slurm is for a machine that submits SLURM jobs."
        ) from error
    except subprocess.CalledProcessError as error:
        said = "refused the job" if name == "sbatch" else "failed"
        raise InputError(f"{name} {said}: {error.stderr.strip()}") from error


def worker_command(arguments: Sequence[str], *, container: str = "") -> list[str]:
    """The command of a task: launch.sh where it made the environment that we run in, else this Python.

    Args:
      arguments: of jaxcnn.
      container: what runs the command in a container, whose own Python has jaxcnn then.
    """
    if container:
        return ["python", "-m", "jaxcnn", *arguments]
    by_launch = LAUNCH.exists() and (pathlib.Path(sys.prefix) / STAMP).exists()
    start = [str(LAUNCH)] if by_launch else [sys.executable, "-m", "jaxcnn"]
    return [*start, *arguments]
