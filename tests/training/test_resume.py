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
from jaxcnn.training.train import Preempted


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


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.long)])
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
    with pytest.raises(InputError, match=r"photos has changed since .* 32, .* and are train 40, .*another workdir"):
        jaxcnn.train(config, workdir, quiet=True, devices=one_device)


COLOURS = {"blue": (0, 0, 250), "green": (0, 250, 0), "red": (250, 0, 0)}


@pytest.fixture
def coloured(tmp_path, tiny_config):
    """(folder, config): class folders of plain images of equal names and sizes, and a run of 2 steps on them."""
    folder = tmp_path / "coloured"
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(20):
            Image.new("RGB", (8, 8), colour).save(folder / name / f"{number:02}.png")
    changes = {"data.name": f"folder:{folder}", "batch_size": 8, "duration": "2 steps", "optimizer.learning_rate": 0.01}
    return folder, tiny_config({**changes, "evaluation.every": "2 steps", "checkpoint.every": "1 steps"})


def swap(folder, one, other):
    (folder / one).rename(folder / "between")
    (folder / other).rename(folder / one)
    (folder / "between").rename(folder / other)


@pytest.mark.parametrize("stopped", [False, True])
def test_the_record_of_the_classes_is_never_rewritten(stopped, coloured, tmp_path, one_device, terminate_at):
    folder, config = coloured
    workdir = tmp_path / "run"
    if stopped:
        terminate_at(0)
        with pytest.raises(Preempted):
            jaxcnn.train(config, workdir, quiet=True, devices=one_device)
    else:
        jaxcnn.train(config, workdir, quiet=True, devices=one_device)
    kept = {name: (workdir / name).read_bytes() for name in ("data.json", "preprocessing.safetensors", "config.json")}

    def refused(said):
        with pytest.raises(InputError, match=rf"coloured has changed since .*{said}.*another workdir"):
            jaxcnn.train(config, workdir, quiet=True, devices=one_device)
        assert {name: (workdir / name).read_bytes() for name in kept} == kept

    (folder / "blue").rename(folder / "sky")
    refused("classes were blue, green, red and are green, red, sky; the files of blue are in sky")
    (folder / "sky").rename(folder / "blue")
    swap(folder, "blue", "red")
    refused("the files of blue are in red; the files of red are in blue")
    swap(folder, "blue", "red")
    (folder / "red" / "03.png").rename(folder / "red" / "3.png")
    refused("other files lie in red")
    (folder / "red" / "3.png").rename(folder / "red" / "03.png")
    jaxcnn.train(config, workdir, quiet=True, devices=one_device)
    assert (workdir / "data.json").read_bytes() == kept["data.json"]


def test_a_folder_that_was_moved_is_gone_on_with(coloured, tmp_path, one_device):
    folder, config = coloured
    whole = jaxcnn.train(config, tmp_path / "run", quiet=True, devices=one_device)
    folder.rename(tmp_path / "moved")
    config.data.name = f"folder:{tmp_path / 'moved'}"
    again = jaxcnn.train(config, tmp_path / "run", quiet=True, devices=one_device)
    assert again.test == whole.test
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"]["name"] == config.data.name
    events = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    (moved,) = (row for row in events if row.get("event") == "moved")
    assert (moved["from"], moved["to"]) == (f"folder:{folder}", config.data.name)
    swap(tmp_path / "moved", "blue", "red")
    (tmp_path / "moved").rename(folder)
    moved, config.data.name = config.data.name, f"folder:{folder}"
    with pytest.raises(InputError, match=rf"holds other data than {moved}, .*the files of blue are in red"):
        jaxcnn.train(config, tmp_path / "run", quiet=True, devices=one_device)


def test_a_relative_folder_is_kept_as_an_absolute_one(coloured, tmp_path, one_device, monkeypatch, caplog):
    folder, config = coloured
    config.data.name = "folder:coloured"
    monkeypatch.chdir(tmp_path)
    jaxcnn.train(config, "run", quiet=True, devices=one_device)
    kept = json.loads((tmp_path / "run" / "config.json").read_text())
    assert kept["data"]["name"] == f"folder:{folder}"
    # As older versions wrote it.
    kept["data"]["name"] = "folder:coloured"
    (tmp_path / "run" / "config.json").write_text(json.dumps(kept))
    jaxcnn.train(config, "run", quiet=True, devices=one_device)
    assert "moved" not in (tmp_path / "run" / "metrics.jsonl").read_text()
    kept_again = json.loads((tmp_path / "run" / "config.json").read_text())
    assert kept_again["data"]["name"] == f"folder:{folder}" and not caplog.messages
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert jaxcnn.Trained("../run").evaluate("test")[1]["n"] == 6
    (tmp_path / "run" / "config.json").write_text(json.dumps(kept))
    with pytest.raises(InputError, match="elsewhere/coloured is not a folder"):
        jaxcnn.Trained("../run").evaluate("test")
    assert caplog.messages == [
        f"folder:coloured of the run is looked up from the current folder: folder:{tmp_path}/elsewhere/coloured"
    ]


def test_a_run_that_was_killed_before_its_test_is_tested(tiny_config, tmp_path, one_device):
    whole = jaxcnn.train(tiny_config(), tmp_path / "whole", quiet=True, devices=one_device)
    jaxcnn.train(tiny_config(), tmp_path / "run", quiet=True, devices=one_device, final_test=False)
    resumed = jaxcnn.train(tiny_config(), tmp_path / "run", quiet=True, devices=one_device)
    assert resumed.test == whole.test
