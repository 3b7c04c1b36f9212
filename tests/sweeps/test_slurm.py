"""A real SLURM on this machine: arrays, a run of two processes, requeueing in mid-run. Its own mark: it needs root."""

import csv
import getpass
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slurm

STUDY = '''"""Which rate?"""
from jaxcnn import default_config
from jaxcnn.sweeps import Study


def study():
    config = default_config()
    config.data.image_size = (8, 8)
    config.model.name = "convnet"
    config.model.options.update({{"widths": (4,), "convolutions": 1, "hidden": ()}})
    config.batch_size = 32
    config.duration = "{steps} steps"
    config.log_every = 100
    config.evaluation.every = config.checkpoint.every = "{every} steps"
    return Study(config, {{"optimizer.learning_rate": {rates}}}, seeds=(0,))
'''

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ReturnToService=2
KillWait=60
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def until(condition, *, what):
    """Looks again and again, as a person would; a cluster that never comes to it is named."""
    for _ in range(2400):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"never: {what}")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The environment of commands that reach a SLURM of one node, this machine."""
    missing = [name for name in ("slurmctld", "slurmd", "munged", "sbatch", "srun") if not shutil.which(name)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: slurmctld slurmd slurm-client munge)")
    folder, host = tmp_path_factory.mktemp("slurm"), socket.gethostname().partition(".")[0]
    folder.chmod(0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    text = CONFIGURATION.format(
        host=host, user=getpass.getuser(), folder=folder, ports=free_ports(2), cores=os.cpu_count()
    )
    (folder / "slurm.conf").write_text(text)
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SLURM")}
    environment |= {"SLURM_CONF": str(folder / "slurm.conf"), "XLA_FLAGS": "", "VIRTUAL_ENV": sys.prefix}
    munge = {"key": "munge.key", "socket": "munge.socket", "pid": "munge.pid", "log": "munge.log", "seed": "munge.seed"}
    files = [f"--{option}-file={folder / name}" for option, name in munge.items() if option != "socket"]
    subprocess.run(["munged", "--force", f"--socket={folder / 'munge.socket'}", *files], check=True)
    for daemon in ("slurmctld", "slurmd"):
        subprocess.run([daemon], env=environment, check=True)

    def idle():
        answer = subprocess.run(["sinfo", "-h", "-o", "%t"], env=environment, capture_output=True, text=True)
        return answer.stdout.split() == ["idle"]

    until(idle, what="the node is idle")
    yield environment
    subprocess.run(["scontrol", "shutdown"], env=environment, check=True)
    subprocess.run(["munged", "--stop", f"--socket={folder / 'munge.socket'}", *files], check=True)


@pytest.fixture
def sweep(cluster, tmp_path):
    """start(study text, *options) submits; finish(): waits for all jobs and returns the rows of results.csv."""
    file, workdir = tmp_path / "rates.py", tmp_path / "runs"

    def start(steps, every, rates, *options):
        file.write_text(STUDY.format(steps=steps, every=every, rates=rates))
        command = [sys.executable, "-m", "jaxcnn", "sweep", file, "--workdir", workdir, "--runner", "slurm", *options]
        done = subprocess.run(list(map(str, command)), env=cluster, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout, workdir

    def finish():
        def empty():
            queue = subprocess.run(["squeue", "-h"], env=cluster, capture_output=True, text=True, check=True)
            return not queue.stdout.strip()

        until(empty, what="the queue is empty")
        logs = "\n".join(path.read_text(errors="replace") for path in sorted((workdir / "slurm").glob("*.log")))
        assert (workdir / "results.csv").exists(), logs
        with (workdir / "results.csv").open() as rows:
            return list(csv.DictReader(rows)), logs

    return start, finish


def starts(workdir, row):
    return json.loads((pathlib.Path(workdir) / row["run"] / "environment.json").read_text())["starts"]


def test_an_array_leaves_every_result_and_a_report(sweep):
    start, finish = sweep
    printed, workdir = start(20, 10, (0.1, 0.05), "--time", "10:00")
    assert "2 runs" in printed
    rows, logs = finish()
    assert [row["status"] for row in rows] == ["done", "done"], logs
    assert (workdir / "report.html").exists()
    again, _ = start(20, 10, (0.1, 0.05))
    assert "every run is done" in again


def test_two_processes_share_a_run(sweep):
    start, finish = sweep
    _, workdir = start(20, 10, (0.1,), "--tasks", 2)
    rows, logs = finish()
    assert [row["status"] for row in rows] == ["done"], logs
    assert starts(workdir, rows[0])[0]["processes"] == 2


@pytest.mark.parametrize("how", ["requeue", "time"])
def test_a_run_that_is_requeued_goes_on_where_it_stood(how, sweep, cluster):
    """Requeued by hand or by preemption (SIGTERM), or by the signal that SLURM sends before the time ends."""
    start, finish = sweep
    printed, workdir = start(40_000, 1000, (0.1,))
    job = printed.split()[1].rstrip(":")
    until(lambda: list(workdir.glob("*/checkpoints/[0-9]*")), what="a first checkpoint")
    command = ["scontrol", "requeue", f"{job}_0"]
    if how == "time":
        command = ["scancel", "--batch", "--signal=USR1", f"{job}_0"]
    subprocess.run(command, env=cluster, check=True)
    rows, logs = finish()
    assert [row["status"] for row in rows] == ["done"], logs
    first, second = starts(workdir, rows[0])
    assert first["from_step"] == 0 < second["from_step"] < 40_000
