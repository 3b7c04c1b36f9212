"""Signals to a run whose data come from worker processes: to the whole group, to the run alone, to a worker alone."""

import contextlib
import os
import pathlib
import re
import signal
import time

import pytest

STREAMED = {"data.resident": "no", "data.workers": 2, "duration": "4000 steps", "evaluation.every": "1000 steps"}


def workers(pid):
    """The process numbers of the data workers that a process has now."""
    found = []
    with contextlib.suppress(OSError):  # a thread, or all, have ended
        for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (thread / "children").read_text().split()):
                if "spawn_main" in pathlib.Path(f"/proc/{child}/cmdline").read_text():
                    found.append(child)
    return found


def first_workers(run):
    """Waits for the first worker of the training images, which has hardly begun."""
    next(line for line in run.stderr if " steps of " in line)
    while not (found := workers(run.pid)):
        assert run.poll() is None
        time.sleep(0.001)
    return found


def trains(run):
    """Waits until the run takes batches from its workers; returns their process numbers."""
    next(line for line in run.stderr if line.startswith("step "))
    return workers(run.pid)


def gone(pids):
    while any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids):
        time.sleep(0.01)
    return True


@pytest.fixture
def run(stateful_config, tmp_path, cli):
    """A run that streams from two workers."""
    return cli(stateful_config(STREAMED), "--workdir", tmp_path / "run", flags="")


def test_ctrl_c_to_the_whole_group_while_workers_begin_is_saved(run, tmp_path):
    first_workers(run)
    os.killpg(run.pid, signal.SIGINT)
    _, err = run.communicate()
    assert run.returncode == 130 and "Traceback" not in err, err
    step = re.search(r"told to end \(SIGINT\): step (\d+) of 4000 is saved", err)[1]
    assert (tmp_path / "run" / "checkpoints" / step).is_dir()


@pytest.mark.parametrize(
    "whom", ["worker", pytest.param("worker of a run that was told to end", marks=pytest.mark.long)]
)
def test_a_worker_that_is_killed_is_named(run, whom):
    began = trains(run)
    if whom != "worker":
        run.send_signal(signal.SIGTERM)
    for worker in began:
        os.kill(worker, signal.SIGKILL)
    _, err = run.communicate()
    assert "Traceback" not in err
    if whom == "worker":
        assert run.returncode == 2 and "jaxcnn: a data worker was killed (signal 9)" in err, err
    else:
        assert run.returncode == 143 and "told to end (SIGTERM)" in err, err


def test_workers_end_when_the_run_is_killed(run):
    began = trains(run)
    assert len(began) == 2
    run.kill()
    assert gone(began)
