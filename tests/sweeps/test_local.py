"""Sweeps in processes of their own: killed ones, their parent, and a second sweep in the same directory."""

import csv
import errno
import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from jaxcnn.cli import main
from jaxcnn.errors import InputError
from jaxcnn.lock import hold
from jaxcnn.sweeps import local
from jaxcnn.sweeps.local import Workers, run_workers
from jaxcnn.sweeps.worker import WATCH, read_error, write_error

STUDY = '''"""Which rate?"""
from jaxcnn import default_config
from jaxcnn.sweeps import Study


def study():
    config = default_config()
    config.data.image_size = (8, 8)
    config.model.name = "convnet"
    config.model.options.update({"widths": (4,), "convolutions": 1, "hidden": ()})
    config.batch_size = 32
    config.duration = "200 steps"
    config.evaluation.every = config.checkpoint.every = "10 steps"
    return Study(config, {"optimizer.learning_rate": (0.1, 0.05)}, seeds=(0,))
'''
TIMES = ("seconds", "images_per_second")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "rates.py"
    path.write_text(STUDY)
    return path


@pytest.fixture
def start(study, tmp_path):
    """start(*options): the process of a sweep with two workers at a time; all are gone after the test."""
    started = []

    def begin(*options):
        command = [sys.executable, "-m", "jaxcnn", "sweep", study, "--workdir", tmp_path / "runs", *options]
        environment = {**os.environ, "XLA_FLAGS": "", "JAX_COMPILATION_CACHE_DIR": str(study.parent / "cache")}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(list(map(str, command)), env=environment, **pipes)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def end(process):
    out, err = process.communicate()
    return process.returncode, out, err


def rows(workdir):
    with (pathlib.Path(workdir) / "results.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def unbroken(study):
    """The rows of a sweep that nothing disturbs, one run after another in one process."""
    workdir = study.parent / "unbroken"
    environment = {**os.environ, "XLA_FLAGS": "", "JAX_COMPILATION_CACHE_DIR": str(study.parent / "cache")}
    command = [sys.executable, "-m", "jaxcnn", "sweep", str(study), "--workdir", str(workdir)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return rows(workdir)


def workers(parent):
    """The pids of its children that train."""
    found = subprocess.run(["pgrep", "-P", str(parent.pid)], capture_output=True, text=True).stdout.split()
    return [int(pid) for pid in found if "--run" in pathlib.Path(f"/proc/{pid}/cmdline").read_text()]


def wait_for(condition, process):
    while not (found := condition()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return found


def has_checkpoint(workdir):
    """f(): the checkpoints that were not there when it was made."""
    before = set(workdir.glob("*/checkpoints/[0-9]*"))
    return lambda: set(workdir.glob("*/checkpoints/[0-9]*")) - before


@pytest.mark.parametrize(("visible", "names"), [(None, ["0", "1"]), ("4,7", ["4", "7"])])
def test_a_worker_on_each_accelerator_that_this_process_may_use(visible, names, monkeypatch):
    monkeypatch.setattr(local, "has_accelerator", lambda: True)
    monkeypatch.setattr(local, "_devices", lambda: ("gpu", 2))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in local.slots(0)] == names
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in local.slots(3, per_device=2)] == [*names, names[0]]
    with pytest.raises(InputError, match="--jobs is 8, and 2 accelerators with 1 runs each take 2 at a time"):
        local.slots(8)


@pytest.mark.parametrize("name", ["XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"])
def test_workers_on_one_accelerator_share_its_memory_under_the_name_that_is_set(name, monkeypatch):
    """JAX takes one of the two names, and ends where both are set."""
    monkeypatch.setattr(local, "has_accelerator", lambda: True)
    monkeypatch.setattr(local, "_devices", lambda: ("gpu", 1))
    monkeypatch.delenv("XLA_PYTHON_CLIENT_MEM_FRACTION", raising=False)
    monkeypatch.setenv(name, "0.5")
    (slot, _) = local.slots(0, per_device=2)
    assert {key: value for key, value in slot.items() if "FRACTION" in key} == {name: "0.45"}


DIES_ONCE = 'echo >> "$1"; [ "$(wc -l < "$1")" -gt 1 ] || kill -KILL $$'


@pytest.mark.parametrize(("retries", "starts"), [(0, 1), (1, 2)])
def test_a_worker_that_dies_is_started_again_as_often_as_asked(retries, starts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    workers, ends = Workers(["bash", "-c", DIES_ONCE, "worker"], [{}], retries), []
    runs = [SimpleNamespace(id="one"), SimpleNamespace(id="two")]
    folders = tmp_path / "runs"
    write_error(folders / "one", "a slip of an earlier start")
    assert run_workers(runs, folders, workers, done=lambda run, error: ends.append((run.id, error))) is None
    assert [run for run, _ in ends] == ["one", "two"]
    assert all(("SIGKILL without a word" in error) == (retries == 0) for _, error in ends)
    assert [read_error(folders / run) for run, _ in ends] == [error for _, error in ends]
    assert len((tmp_path / "one").read_text().splitlines()) == starts


def test_a_worker_that_another_told_to_end_is_started_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    workers, ends = Workers(["bash", "-c", DIES_ONCE.replace("kill -KILL $$", "exit 143"), "worker"], [{}], 1), []
    run_workers([SimpleNamespace(id="one")], tmp_path / "runs", workers, done=lambda run, error: ends.append(error))
    assert ends == [""] and len((tmp_path / "one").read_text().splitlines()) == 2


def test_a_worker_whose_parent_still_holds_its_input_ends_by_itself():
    code = "from jaxcnn.sweeps.worker import end_with_parent; end_with_parent()"
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, WATCH: "1"}, **pipes) as process:
        err = process.stderr.read()
        assert process.wait() == 0, err


def test_a_failed_worker_that_says_why_is_not_started_again(tmp_path):
    says = 'mkdir -p "$0/$1"; echo "a slip" > "$0/$1/error.txt"; exit 1'
    workers, ends = Workers(["bash", "-c", says, str(tmp_path)], [{}, {}], retries=3), []
    run_workers([SimpleNamespace(id="one")], tmp_path, workers, done=lambda run, error: ends.append((run.id, error)))
    assert ends == [("one", "a slip")]


@pytest.mark.long
def test_a_sweep_resumes_after_ctrl_c_the_death_of_a_worker_and_that_of_its_parent(start, tmp_path, unbroken):
    sweep = start("--jobs", "2")
    wait_for(has_checkpoint(tmp_path / "runs"), sweep)
    sweep.send_signal(signal.SIGINT)
    code, _, err = end(sweep)
    assert code == 130 and "the same command resumes" in err

    sweep = start("--jobs", "2")
    wait_for(has_checkpoint(tmp_path / "runs"), sweep)
    os.kill(workers(sweep)[0], signal.SIGKILL)
    code, _, err = end(sweep)
    assert code == 1 and "its process ended by signal SIGKILL without a word" in err
    assert sorted(row["status"] for row in rows(tmp_path / "runs")) == ["done", "failed"]

    (tmp_path / "runs" / "results.csv").unlink()
    sweep = start("--jobs", "2")
    wait_for(has_checkpoint(tmp_path / "runs"), sweep)
    orphans = workers(sweep)
    sweep.kill()
    sweep.communicate()
    while any(pathlib.Path(f"/proc/{pid}").exists() for pid in orphans):
        time.sleep(0.01)
    assert not (tmp_path / "runs" / "results.csv").exists()

    code, _, err = end(start())
    assert code == 0, err
    assert rows(tmp_path / "runs") == unbroken


def test_a_second_sweep_is_refused(study, tmp_path, capsys):
    with hold(tmp_path / "runs", what="sweep"), ThreadPoolExecutor(1) as other:  # rounds of one thread hold it together
        code = other.submit(main, ["sweep", str(study), "--workdir", str(tmp_path / "runs")]).result()
    err = capsys.readouterr().err
    assert code == 2 and "another sweep is at work" in err and f"process {os.getpid()}" in err


def test_a_look_whether_a_directory_is_held_refuses_nobody(tmp_path):
    """`is_held` has the lock itself for a moment: here for longer than it ever takes."""
    file = (tmp_path / ".lock").open("a+")
    fcntl.flock(file, fcntl.LOCK_SH)
    threading.Timer(0.05, file.close).start()
    with hold(tmp_path, what="sweep"):
        assert file.closed


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(file, kind):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refuse)
    message = r"cannot lock a file \(Function not implemented\).*Give a workdir"
    with pytest.raises(InputError, match=message), hold(tmp_path, what="sweep"):
        pass


def test_one_run_alone_by_its_id(start, study, tmp_path, unbroken, capsys):
    code, _, err = end(start("--run", unbroken[0]["run"]))
    assert code == 0, err
    here = ["sweep", str(study), "--workdir", str(tmp_path / "runs")]
    assert main([*here, "--collect"]) == 1
    assert capsys.readouterr().err == "jaxcnn: without a result: 1 waiting\n"
    found = rows(tmp_path / "runs")
    assert found[0] == unbroken[0] and found[1]["status"] == "waiting"
    assert main([*here, "--run", unbroken[0]["run"][:-1]]) == 2 and unbroken[0]["run"] in capsys.readouterr().err
