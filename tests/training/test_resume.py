"""Broken off by a signal and started again, a run ends with the same bits as one that was left alone."""

import json
import os
import re
import signal

import jax
import numpy as np
import pytest
from PIL import Image

import jaxcnn
from jaxcnn.errors import InputError
from jaxcnn.training.loop import Preempted


def run(config, workdir, devices, *, quiet=True):
    """Starts the same run until it comes to its end; returns the Result and the steps of the ends before."""
    stops = []
    while True:
        try:
            return jaxcnn.train(config, workdir, quiet=quiet, devices=devices), stops
        except Preempted as stop:
            stops.append(int(re.search(r"step (\d+) of", str(stop))[1]))


@pytest.fixture(scope="module")
def whole(stateful_config, tmp_path_factory):
    """whole(changes): the Result of a run that nobody breaks off, on one device."""
    done = {}

    def get(changes):
        key = repr(changes)
        if key not in done:
            workdir = tmp_path_factory.mktemp("whole")
            done[key] = jaxcnn.train(stateful_config(changes), workdir, quiet=True, devices=jax.devices()[:1])
        return done[key]

    return get


@pytest.fixture
def assert_same_runs(assert_same_bits, rows):
    def check(one, other):
        assert_same_bits(one.state, other.state)
        assert rows(one.workdir) == rows(other.workdir)
        assert one.validation == other.validation
        assert one.test == other.test

    return check


def test_everything_that_a_run_remembers_comes_back(
    whole, stateful_config, tmp_path, one_device, terminate_at, rows, assert_same_runs
):
    rates = [row["learning_rate"] for row in rows(whole({}).workdir) if row["split"] == "train"]
    assert rates[0] > rates[-1], "the plateau has not acted"
    terminate_at(7 * 16, 13 * 16)  # read ahead in the step before; neither is one of the log or of a checkpoint
    broken, stops = run(stateful_config(), tmp_path, one_device)
    assert stops == [7, 13]
    starts = json.loads((tmp_path / "environment.json").read_text())["starts"]
    assert [start["from_step"] for start in starts] == [0, 7, 13]
    assert_same_runs(whole({}), broken)


def test_chunks_are_cut_as_before(whole, stateful_config, tmp_path, one_device, terminate_at, assert_same_runs):
    # A chunk of 4 steps wherever it ends before the next event: 0-4, 4-8, 8; 9-13, 13-17, 17.
    every = {"duration": "18 steps", "evaluation.every": "9 steps", "checkpoint.every": "9 steps", "log_every": 50}
    changes = {"steps_per_call": 4, **every}
    terminate_at(2 * 16, 13 * 16)
    broken, stops = run(stateful_config(changes), tmp_path, one_device)
    assert stops == [4, 13]
    assert_same_runs(whole(changes), broken)


@pytest.mark.parametrize("workers", [0, 1])
def test_streamed_data_go_on_where_they_were(
    workers, whole, stateful_config, tmp_path, one_device, on_progress, assert_same_runs
):
    left = ["step 5/14 ", "step 10/14 "]

    def see(text):
        if left and text.startswith(left[0]):
            left.pop(0)
            os.kill(os.getpid(), signal.SIGTERM)

    on_progress(see)
    changes = {"data.resident": "no", "evaluation.every": "7 steps"}
    broken, stops = run(stateful_config({**changes, "data.workers": workers}), tmp_path, one_device, quiet=False)
    assert stops == [5, 10]
    assert_same_runs(whole(changes), broken)


def test_a_finished_run_is_not_trained_again(whole, stateful_config, one_device, rows, assert_same_bits):
    before = rows(whole({}).workdir)
    again = jaxcnn.train(stateful_config(), whole({}).workdir, quiet=True, devices=one_device)
    assert_same_bits(whole({}).state, again.state)
    assert rows(again.workdir) == before
    assert again.test == whole({}).test


def test_sigterm_ends_the_command_with_143_and_the_same_command_resumes(stateful_config, tmp_path, cli):
    process = cli(stateful_config({"duration": "100000 steps"}), "--workdir", tmp_path / "run")
    for line in process.stderr:
        if line.startswith("step 4/"):
            process.send_signal(signal.SIGTERM)
            break
    _, errors = process.communicate()
    assert process.returncode == 143
    step = int(re.search(r"told to end \(SIGTERM\): step (\d+) of 100000 is saved in .*; the same command", errors)[1])
    process = cli(stateful_config({"duration": "100000 steps"}), "--workdir", tmp_path / "run")
    resumed = next(line for line in process.stderr if "resumed at step" in line)
    assert f"resumed at step {step}\n" in resumed


def test_a_folder_that_has_changed_is_not_gone_on_with(tiny_config, tmp_path, one_device):
    generator = np.random.default_rng(0)

    def photograph(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)

    for number in range(40):
        photograph(tmp_path / "photos" / "ab"[number % 2] / f"{number:02}.png")
    changes = {"data.name": f"folder:{tmp_path}/photos", "batch_size": 8, "duration": "2 steps"}
    config = tiny_config({**changes, "evaluation.every": "2 steps", "checkpoint.every": "2 steps"})
    workdir = tmp_path / "run"
    jaxcnn.train(config, workdir, quiet=True, devices=one_device)
    jaxcnn.train(config, workdir, quiet=True, devices=one_device)
    for number in range(40, 50):
        photograph(tmp_path / "photos" / "ab"[number % 2] / f"{number:02}.png")
    with pytest.raises(InputError, match=r"photos has changed since .* 32, .* now\. .*another --workdir"):
        jaxcnn.train(config, workdir, quiet=True, devices=one_device)
