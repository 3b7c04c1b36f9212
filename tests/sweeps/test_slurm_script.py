"""The sbatch script of an array, without a cluster: which run a task takes, and what it asks of SLURM."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from jaxcnn.cli import main
from jaxcnn.errors import InputError
from jaxcnn.sweeps import slurm
from jaxcnn.sweeps.slurm import array_scripts, collect_script

NONE = dict.fromkeys(("partition", "account", "time", "nodes", "tasks", "gpus_per_task", "cpus_per_task", "limit"))


RUNS = ["rate=0.1-seed=0", "rate=é-seed=0", "rate=0.2 -seed=0"]


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """scripts(**options) of three runs, whose command prints what it is given."""
    monkeypatch.chdir(tmp_path)

    def make(command=("echo", "a b"), largest=None, **options):
        words = [f"--run={run}" for run in RUNS]
        options = {**NONE, "name": "rates", **options}
        return array_scripts(words, list(command), tmp_path / "of mine", options, largest=largest)

    return make


@pytest.fixture
def script(scripts):
    """The one script of an array."""

    def make(**options):
        (one,) = scripts(**options)
        return one

    return make


def run(script, task, **variables):
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": str(task), "SLURM_JOB_ID": "8", **variables}
    return subprocess.run(["bash"], input=script, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("task", range(3))
def test_a_task_takes_the_run_of_its_number(task, script):
    done = run(script(), task)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"a b --run={RUNS[task]}\n", "")


@pytest.mark.parametrize(("task", "taken"), [(0, RUNS[:2]), (1, RUNS[2:])])
def test_a_task_takes_several_runs_one_after_another(task, taken, script):
    asked = script(runs_per_task=2)
    assert "#SBATCH --array=0-1\n" in asked
    assert run(asked, task).stdout.splitlines() == [f"a b --run={name}" for name in taken]
    failing = script(runs_per_task=2, command=("bash", "-c", 'echo "$0"; exit 1'))
    done = run(failing, task)
    assert done.returncode == 1 and len(done.stdout.splitlines()) == len(taken)  # the next has its turn all the same


def test_an_array_is_cut_where_the_cluster_takes_no_larger_one(scripts):
    first, second = scripts(largest=2)
    assert "#SBATCH --array=0-1\n" in first and "#SBATCH --array=0-0\n" in second
    taken = [run(script, task).stdout for script, task in ((first, 0), (first, 1), (second, 0))]
    assert taken == [f"a b --run={name}\n" for name in RUNS]
    assert len(scripts(largest=2, runs_per_task=2)) == 1


@pytest.mark.parametrize(("limit", "before", "queued"), [(None, "9", True), (2, "1", True), (2, "2", False)])
def test_a_task_whose_time_ends_is_queued_again_so_often(limit, before, queued, script, tmp_path, monkeypatch):
    """Its command sends SIGUSR1 to the script itself, as SLURM does, and ends by the signal that it gets then."""
    (tmp_path / "scontrol").write_text(f'#!/bin/bash\necho "$@" > {tmp_path}/called\n')
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    command = ("bash", "-c", 'echo "$0"; kill -USR1 $PPID; while true; do read -t 1 < /dev/zero; done')
    done = run(script(runs_per_task=2, requeues=limit, command=command), 0, SLURM_RESTART_COUNT=before)
    assert done.returncode == 143
    assert done.stdout == f"--run={RUNS[0]}\n"  # the second is left for the next time
    called = tmp_path / "called"
    assert (called.read_text() if called.exists() else "") == ("requeue 8\n" if queued else "")


def test_what_it_asks_for(script, tmp_path):
    asked = [line for line in script(gpus_per_task="1").splitlines() if line.startswith("#SBATCH")]
    assert {"#SBATCH --array=0-2", "#SBATCH --ntasks=1", "#SBATCH --gpus-per-task=1", "#SBATCH --requeue"} <= set(asked)
    assert f"#SBATCH --output='{tmp_path / 'of mine' / 'slurm' / '%A_%a.log'}'" in asked
    assert "#SBATCH --array=0-2%5" in script(limit=5)
    assert "#SBATCH --signal=B:USR1@300\n" in script(notice=300)
    more = script(sbatch=["exclude=node7", "exclusive"])
    assert "\n#SBATCH --exclude=node7\n" in more and "\n#SBATCH --exclusive\n" in more


def test_a_percent_in_a_path_is_no_number_of_slurm(tmp_path):
    options = {**NONE, "name": "rates"}
    (array,) = array_scripts(["--run=a"], ["true"], tmp_path / "50%a", options)
    for script, name in ((array, "%A_%a.log"), (collect_script(["true"], tmp_path / "50%a", options, ["7"]), "report")):
        assert f"#SBATCH --output={tmp_path}/50%%a/slurm/{name}" in script


def test_what_makes_the_environment_comes_before_every_command(script, tmp_path):
    options = {"setup": ["echo ready", "[ -n yes ]"], "container": "env INSIDE=1"}
    done = run(script(command=("bash", "-c", 'echo "$INSIDE" "$0"'), **options), 0)
    assert done.stdout == f"ready\n1 --run={RUNS[0]}\n"
    for failing in (["false"], ["false  # of the cluster"], ["false", "true"]):
        assert (done := run(script(setup=failing), 0)).returncode == 1 and done.stdout == ""
    report = collect_script(["true"], tmp_path, {**NONE, **options, "name": "rates"}, ["7", "8"])
    assert (done := run(report, 0)).returncode == 0 and done.stdout == "ready\n"
    assert report.endswith("\nexec env INSIDE=1 true --collect\n")
    assert "#SBATCH --dependency=afterany:7:8\n" in report
    assert slurm.worker_command(["sweep"], container="apptainer exec x.sif")[:3] == ["python", "-m", "jaxcnn"]


def test_where_a_cluster_lets_it_run(script, tmp_path):
    options = {"partition": "a", "account": "b", "qos": "long", "constraint": "h100|a100", "mem": "32G"}
    asked = script(**options)
    for directive in ("partition=a", "account=b", "qos=long", "constraint='h100|a100'", "mem=32G"):
        assert f"\n#SBATCH --{directive}\n" in asked
    report = collect_script(["true"], tmp_path, {**NONE, **options, "name": "rates"}, ["7"])
    assert all(f"\n#SBATCH --{directive}\n" in report for directive in ("partition=a", "account=b", "qos=long"))
    assert "constraint" not in report and "mem" not in report
    elsewhere = collect_script(["true"], tmp_path, {**NONE, **options, "name": "r", "report_partition": "cpu"}, ["7"])
    assert "\n#SBATCH --partition=cpu\n" in elsewhere and "partition=a" not in elsewhere


def test_several_processes_of_a_run_are_started_with_their_cores(script):
    assert "    srun --cpus-per-task=3 echo 'a b' " in script(tasks=2, cpus_per_task=3)
    assert "    srun apptainer exec x.sif echo 'a b' " in script(tasks=2, container="apptainer exec x.sif")


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A SLURM of three commands, which writes what it is given to a file; jobs are 71, 72, ..."""
    commands = {
        "sbatch": f"cat >> {tmp_path}/given; n=$(grep -c '^#!/bin/bash' {tmp_path}/given); echo $((70 + n))",
        "scancel": f'echo "$@" > {tmp_path}/cancelled',
        "scontrol": "echo 'MaxArraySize            = 2'",
    }
    for name, line in commands.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{line}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path


def test_arrays_are_submitted_in_parts_and_cancelled(cluster):
    words = [f"--run={name}" for name in RUNS]
    assert slurm.submit(words, ["true"], cluster / "out", {**NONE, "name": "rates"}) == (["71", "72"], "73")
    assert "#SBATCH --dependency=afterany:71:72\n" in (cluster / "given").read_text()
    assert slurm.cancel(cluster / "out") == ["71", "72", "73"]
    assert (cluster / "cancelled").read_text() == "71 72 73\n"
    assert slurm.cancel(cluster / "out") == []
    with pytest.raises(InputError, match="there is no directory"):
        slurm.cancel(cluster / "other")


def test_a_study_that_was_found_by_its_name_is_a_path_to_its_tasks(cluster, capsys, monkeypatch):
    monkeypatch.chdir(cluster)
    command = ["sweep", "digits", "--workdir", "out", "--runner", "slurm", "--dry-run", "--unchecked"]
    assert main(command) == 0
    (path,) = set(re.findall(r" sweep (\S+) --workdir ", capsys.readouterr().out))
    assert pathlib.Path(path).is_absolute() and "def study(" in pathlib.Path(path).read_text()


SEARCH = """'Which rate?'
from jaxcnn import default_config
from jaxcnn.sweeps.search import Search
from jaxcnn.sweeps.space import Choice


def search():
    return Search(default_config(), {"optimizer.learning_rate": Choice((0.1, 0.2))}, trials=4)
"""


def test_the_workers_of_a_search_are_tasks(cluster, capsys):
    (cluster / "rates.py").write_text(SEARCH)
    command = ["sweep", str(cluster / "rates.py"), "--workdir", str(cluster / "out"), "--runner", "slurm"]
    assert main([*command, "--workers", "2", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert shown.count(f"--storage=journal:{cluster}/out/search.journal\n") == 2 and "--collect" not in shown
    assert main([*command, "--workers", "2"]) == 0
    assert "job 71: 2 workers" in capsys.readouterr().out
    assert main([*command, "--cancel"]) == 0
    assert "cancelled: job 71" in capsys.readouterr().out
    assert main([*command, "--cancel"]) == 0
    assert "nothing was submitted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--workers", "0"], "--workers is 0; it is a whole number from 1"),
        (["--requeues", "-1"], "--requeues is -1; it is a whole number of 0 or more"),
        (["--sbatch", "--exclusive"], "expected one argument"),
        (["--sbatch", "Exclude=a"], "--sbatch is 'Exclude=a'; it is an option of sbatch without --"),
        (["--runs-per-task", "2"], "--runs-per-task is for studies; "),
    ],
)
def test_options_that_do_not_fit_are_named(options, words, cluster, capsys):
    (cluster / "rates.py").write_text(SEARCH)
    command = ["sweep", str(cluster / "rates.py"), "--workdir", str(cluster / "out"), "--runner", "slurm"]
    try:
        assert main([*command, *options]) == 2
    except SystemExit as stop:  # of argparse
        assert stop.code == 2
    assert words in capsys.readouterr().err
    assert not (cluster / "given").exists()


def test_a_report_that_is_refused_takes_nothing_back(tmp_path, monkeypatch):
    """An sbatch that refuses jobs with a dependency: the array is in the queue all the same."""
    (tmp_path / "sbatch").write_text("#!/bin/bash\nif grep -q dependency; then echo no time >&2; exit 1; fi\necho 71\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    runs = ["--run=one"]
    arrays, report = slurm.submit(runs, ["true"], tmp_path / "out", {**NONE, "name": "rates"})
    assert arrays == ["71"] and isinstance(report, InputError) and "no time" in str(report)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        slurm.submit(runs, ["true"], tmp_path / "file" / "out", {**NONE, "name": "rates"})


def test_a_task_runs_in_the_environment_that_submitted_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert slurm.worker_command(["sweep"]) == [sys.executable, "-m", "jaxcnn", "sweep"]
    (tmp_path / slurm.STAMP).touch()  # launch.sh made it
    assert slurm.worker_command(["sweep"]) == [str(slurm.LAUNCH), "sweep"]
