"""The sbatch script of an array, without a cluster: which run a task takes, and what it asks of SLURM."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from jaxcnn.errors import InputError
from jaxcnn.sweeps import slurm
from jaxcnn.sweeps.slurm import array_script, collect_script

NONE = dict.fromkeys(("partition", "account", "time", "nodes", "tasks", "gpus_per_task", "cpus_per_task", "limit"))


@pytest.fixture
def script(tmp_path, monkeypatch):
    """script(**options) of two runs, whose command prints what it is given."""
    monkeypatch.chdir(tmp_path)
    runs = ["rate=0.1-seed=0", "rate=é-seed=0"]
    return lambda **options: array_script(
        runs,
        ["echo", "a b"],
        tmp_path / "of mine",
        {**NONE, "name": "rates", **options},
    )


@pytest.mark.parametrize(("task", "run"), [(0, "rate=0.1-seed=0"), (1, "rate=é-seed=0")])
def test_a_task_takes_the_run_of_its_number(task, run, script):
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": str(task)}
    done = subprocess.run(["bash"], input=script(), env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"a b --run {run}\n", "")


def test_what_it_asks_for(script, tmp_path):
    asked = [line for line in script(gpus_per_task="1").splitlines() if line.startswith("#SBATCH")]
    assert {"#SBATCH --array=0-1", "#SBATCH --ntasks=1", "#SBATCH --gpus-per-task=1", "#SBATCH --requeue"} <= set(asked)
    assert f"#SBATCH --output='{tmp_path / 'of mine' / 'slurm' / '%A_%a.log'}'" in asked
    assert "#SBATCH --array=0-1%5" in script(limit=5)


def test_where_a_cluster_lets_it_run(script, tmp_path):
    options = {"partition": "a", "account": "b", "qos": "long", "constraint": "h100|a100", "mem": "32G"}
    asked = script(**options)
    for directive in ("partition=a", "account=b", "qos=long", "constraint='h100|a100'", "mem=32G"):
        assert f"\n#SBATCH --{directive}\n" in asked
    report = collect_script(["true"], tmp_path, {**NONE, **options, "name": "rates"}, "7")
    assert all(f"\n#SBATCH --{directive}\n" in report for directive in ("partition=a", "account=b", "qos=long"))
    assert "constraint" not in report and "mem" not in report


def test_several_processes_of_a_run_are_started_with_their_cores(script):
    assert "\nsrun --cpus-per-task=3 echo 'a b' --run " in script(tasks=2, cpus_per_task=3)
    assert "\nsrun echo 'a b' --run " in script(tasks=2)


def test_a_report_that_is_refused_takes_nothing_back(tmp_path, monkeypatch):
    """An sbatch that refuses jobs with a dependency: the array is in the queue all the same."""
    (tmp_path / "sbatch").write_text("#!/bin/bash\nif grep -q dependency; then echo no time >&2; exit 1; fi\necho 71\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    runs = [SimpleNamespace(id="one")]
    array, report = slurm.submit(runs, ["true"], tmp_path / "out", {**NONE, "name": "rates"})
    assert array == "71" and isinstance(report, InputError) and "no time" in str(report)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        slurm.submit(runs, ["true"], tmp_path / "file" / "out", {**NONE, "name": "rates"})


def test_a_task_runs_in_the_environment_that_submitted_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert slurm.worker_command(["sweep"]) == [sys.executable, "-m", "jaxcnn", "sweep"]
    (tmp_path / slurm.STAMP).touch()  # launch.sh made it
    assert slurm.worker_command(["sweep"]) == [str(slurm.LAUNCH), "sweep"]
