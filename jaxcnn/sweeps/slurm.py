"""A study as a SLURM job array: one task per run, requeued where it is preempted or its time ends."""

import pathlib
import shlex
import subprocess
import sys

from jaxcnn.errors import InputError
from jaxcnn.files import write_text

LAUNCH = pathlib.Path(__file__).parents[2] / "launch.sh"
STAMP = ".jaxcnn-installed"  # which launch.sh leaves in an environment of its own
WHERE = ("partition", "account", "qos")  # of the report's job too
NOTICE = 120  # seconds between SLURM's signal and the end of a job's time: a chunk of steps and a checkpoint

SCRIPT = """\
#!/bin/bash
{directives}
# One run of the study per task. SIGUSR1 comes {notice} s before the time ends: the run saves its state, and the task is
# queued again. SIGTERM is SLURM's own (preemption, scancel): the run saves its state, and SLURM decides.
cd {directory} || exit 1
runs=(
{runs}
)
{launch}{command} --run "${{runs[SLURM_ARRAY_TASK_ID]}}" &
child=$!
again=
trap 'again=yes; kill -TERM "$child" 2>/dev/null' USR1
trap 'kill -TERM "$child" 2>/dev/null' TERM
wait "$child"
code=$?
while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
if [ -n "$again" ] && [ "$code" -gt 128 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""

COLLECT = """\
#!/bin/bash
{directives}
cd {directory} || exit 1
exec {command} --collect
"""


def array_script(runs, command, workdir, options):
    """The sbatch script of the array.

    Args:
      runs: their ids. They are in the script, which SLURM keeps: a later submission changes nothing of this one.
      command: of a worker as a list of str; "--run ID" is added.
      workdir: a pathlib.Path; the output of each task goes to slurm/ below it.
      options: a dict with partition, account, qos, constraint, time, gpus_per_task, cpus_per_task, mem, tasks
        (processes of one run; more than one are started by srun), nodes, limit (tasks at a time) and name; what is None
        is left to the cluster.
    Returns:
      str.
    """
    array = f"0-{len(runs) - 1}" + (f"%{options['limit']}" if options.get("limit") else "")
    flags = {
        "job-name": options["name"],
        "array": array,
        "output": workdir / "slurm" / "%A_%a.log",
        "open-mode": "append",
        "signal": f"B:USR1@{NOTICE}",
        **{key: options.get(key) for key in (*WHERE, "constraint", "time", "nodes", "mem")},
        "ntasks": options.get("tasks") or 1,  # sbatch takes --gpus-per-task only beside it
        "gpus-per-task": options.get("gpus_per_task"),
        "cpus-per-task": options.get("cpus_per_task"),
    }
    return SCRIPT.format(
        directives=_directives(flags, "requeue"),
        notice=NOTICE,
        directory=shlex.quote(str(pathlib.Path.cwd())),
        runs="\n".join(map(shlex.quote, runs)),
        launch=_srun(options) if (options.get("tasks") or 1) > 1 else "",
        command=shlex.join(command),
    )


def _srun(options):
    """srun takes the tasks of its job, but since SLURM 22.05 not their cores."""
    cores = options.get("cpus_per_task")
    return f"srun --cpus-per-task={cores} " if cores else "srun "


def collect_script(command, workdir, options, array_job):
    """The sbatch script that writes table and report once every task of the array has ended."""
    flags = {
        "job-name": f"{options['name']}-report",
        "output": workdir / "slurm" / "report.log",
        "dependency": f"afterany:{array_job}",
        **{key: options.get(key) for key in (*WHERE, "time")},
    }
    return COLLECT.format(
        directives=_directives(flags),
        directory=shlex.quote(str(pathlib.Path.cwd())),
        command=shlex.join(command),
    )


def _directives(flags, *bare):
    rows = [f"#SBATCH --{key}={shlex.quote(str(value))}" for key, value in flags.items() if value is not None]
    return "\n".join([*rows, *(f"#SBATCH --{name}" for name in bare)])


def submit(runs, command, workdir, options):
    """Submits the array and the job that collects its results.

    Args:
      runs: the Runs that are not done.
      command, workdir, options: as in array_script.
    Returns:
      (job id of the array, job id of the report or why there is none).
    Raises:
      InputError: there is no sbatch here, it refuses the array, or the directory cannot be written.
    """
    folder = workdir / "slurm"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the directory {folder} cannot be written: {error.strerror}. Give another.") from error
    script = array_script([run.id for run in runs], command, workdir, options)
    write_text(folder / "array.sh", script)  # for people: what was submitted
    array = _sbatch(script)
    try:
        return array, _sbatch(collect_script(command, workdir, options, array))
    except InputError as error:  # the array is in the queue: to fail now would have it sent again
        return array, error


def _sbatch(script):
    try:
        answer = subprocess.run(["sbatch", "--parsable"], input=script, capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise InputError("there is no sbatch here: --runner slurm is for a machine that submits SLURM jobs.") from error
    except subprocess.CalledProcessError as error:
        raise InputError(f"sbatch refused the job: {error.stderr.strip()}") from error
    return answer.stdout.strip().partition(";")[0]


def worker_command(arguments):
    """The command of a task: launch.sh where it made the environment that we run in, else this Python."""
    by_launch = LAUNCH.exists() and (pathlib.Path(sys.prefix) / STAMP).exists()
    start = [str(LAUNCH)] if by_launch else [sys.executable, "-m", "jaxcnn"]
    return [*start, *arguments]
