"""Checkpoints of a run directory: kept, found again, refused."""

import contextlib
import gc
import os
import pathlib
import shutil
import subprocess
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn.cli import main
from jaxcnn.training.rundir.checkpoint import Checkpoints
from jaxcnn.training.state import State


def steps(workdir):
    return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir())


@pytest.fixture(scope="module")
def kept(stateful_config, tmp_path_factory):
    """(config, workdir) of a finished run whose best checkpoint is older than the two latest."""
    # The rate rises to one that does nothing but harm.
    config = stateful_config(
        {
            "duration": "10 steps",
            "checkpoint.every": "2 steps",
            "schedule.name": "constant",
            "schedule.warmup": "10 steps",
            "optimizer.learning_rate": 30.0,
            "optimizer.ema": 0.0,
            "data.train": "train[:1000]",
            "data.validation": "train[1000:1200]",
            "batch_size": 64,
        }
    )
    workdir = tmp_path_factory.mktemp("runs") / "kept"
    jaxcnn.train(config, workdir, quiet=True, devices=jax.devices()[:1])
    return config, workdir


@pytest.fixture
def copy(kept, tmp_path):
    """(config, workdir), to be spoilt."""
    shutil.copytree(kept[1], tmp_path / "run")
    return kept[0], tmp_path / "run"


def train(config, workdir):
    return jaxcnn.train(config, workdir, quiet=True, devices=jax.devices()[:1])


def test_the_latest_and_the_best_are_kept(kept, rows):
    config, workdir = kept
    validation = [row for row in rows(workdir) if row["split"] == "validation"]
    best = max(validation, key=lambda row: (row["top1"], -row["loss"], row["step"]))
    assert best["step"] < 8
    assert steps(workdir) == [best["step"], 8, 10]
    result = train(config, workdir)
    assert repr(result).startswith(f"<Result of {workdir} after ") and len(repr(result)) < 300
    assert result.validation == {"step": best["step"], "top1": best["top1"], "loss": best["loss"]}
    assert result.test["step"] == best["step"]


def test_sixty_saves_leave_no_descriptor_and_no_thread(tmp_path):
    state = State(jnp.int32(0), {"kernel": jnp.zeros(3)}, {}, {}, None, jax.random.key(0), {})
    open_now = {}
    with Checkpoints(tmp_path / "checkpoints", keep=1) as checkpoints:
        for step in range(1, 61):
            checkpoints.save(step, state, memory={})
            if step in (20, 60):
                checkpoints.wait()
                open_now[step] = len(os.listdir("/proc/self/fd")), threading.active_count()
    assert open_now[60] == open_now[20]


def test_a_checkpoint_is_named_best_latest_or_by_its_step(kept):
    _, workdir = kept
    best = steps(workdir)[0]
    assert jaxcnn.Trained(workdir).step == best
    assert jaxcnn.Trained(workdir, "latest").step == 10
    assert jaxcnn.Trained(workdir, "8").step == 8
    assert jaxcnn.Trained(workdir, 8).step == 8
    message = rf"there is no checkpoint of step 7 in .*kept.*; there are best, latest, {best}, 8, 10\."
    with pytest.raises(jaxcnn.InputError, match=message):
        jaxcnn.Trained(workdir, "7")
    with pytest.raises(jaxcnn.InputError, match="there is no checkpoint of step newest"):
        jaxcnn.Trained(workdir, "newest")


def test_half_a_checkpoint_is_ignored_and_cleaned_away(copy, assert_same_bits, stateful_config):
    config, workdir = copy
    half = workdir / "checkpoints" / "12.orbax-checkpoint-tmp"
    shutil.copytree(workdir / "checkpoints" / "10", half)
    (half / "_CHECKPOINT_METADATA").unlink()
    assert jaxcnn.Trained(workdir, "latest").step == 10
    assert half.exists(), "who only reads cleans nothing away: the run may still train"
    assert train(config, workdir).step == 10
    assert not half.exists()


def test_another_architecture_is_refused_and_nothing_lost(copy, stateful_config):
    """The config says the same; the checkpoint does not."""
    config, workdir = copy
    text = (workdir / "config.json").read_text()
    (workdir / "config.json").write_text(text.replace('"hidden": [\n        8\n      ]', '"hidden": [9, 5]'))
    assert (workdir / "config.json").read_text() != text
    with config.unlocked():
        config = config.copy_and_resolve_references()
        config.model.options.hidden = (9, 5)
    expected = (
        r"checkpoint .*10 does not fit this model and optimizer\. "
        r"only in this model: .*params/fc2/kernel.*; other shapes: .*params/fc1/kernel \(64, 8\) there, \(64, 9\) here"
    )
    with pytest.raises(jaxcnn.InputError, match=expected):
        train(config, workdir)
    before = steps(workdir)
    with pytest.raises(jaxcnn.InputError, match=r"params/fc1/kernel \(64, 8\) there, \(64, 9\) here"):
        jaxcnn.Trained(workdir, "latest")
    (workdir / "config.json").write_text(text)
    assert steps(workdir) == before
    assert jaxcnn.Trained(workdir, "latest").step == 10


def test_another_config_is_refused_by_its_differences(copy):
    config, workdir = copy
    other = config.copy_and_resolve_references()
    other.optimizer.learning_rate, other.augment.flip, other.data.workers = 0.2, False, 1
    with pytest.raises(jaxcnn.InputError) as raised:
        train(other, workdir)
    text = str(raised.value)
    assert f"{workdir} holds a run of another config" in text
    assert "augment.flip: True there, False here; optimizer.learning_rate: 30.0 there, 0.2 here." in text
    assert "workers" not in text
    assert "Give another workdir" in text


def test_what_computes_nothing_may_change(copy):
    config, workdir = copy
    other = config.copy_and_resolve_references()
    other.data.workers, other.checkpoint.keep, other.data.data_dir = 3, 4, "/elsewhere"
    assert train(other, workdir).step == 10


@contextlib.contextmanager
def unprivileged():
    """Inside, this process is nobody where it was root, whom no permission stops."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_directory_that_cannot_be_written_is_named_before_anything_is_done(stateful_config, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(jaxcnn.InputError, match=r"directory .*file/run cannot be written: Not a directory\. Give"):
        train(stateful_config(), file / "run")


def test_a_read_only_directory_is_named(stateful_config):
    folder = pathlib.Path("/")  # readable by all, writable by root alone
    with unprivileged(), pytest.raises(jaxcnn.InputError, match=r"/jaxcnn_run cannot be written: Permission denied"):
        train(stateful_config(), folder / "jaxcnn_run")
    assert not (folder / "jaxcnn_run").exists()


def test_too_small_a_disk_is_found_before_the_first_step(stateful_config, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 1024, 1024))
    message = rf"{tmp_path} has 0 MiB free; the checkpoints of this run take \d+ MiB\. Free some space"
    with pytest.raises(jaxcnn.InputError, match=message):
        train(stateful_config(), tmp_path)
    assert steps(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path):
    """make(kilobytes) is a folder on a disk of that size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def make(kilobytes):
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("a small disk can only be mounted by root")
        return folder

    yield make
    gc.collect()  # what a failed save left behind warns here, where that is expected, and not in a later test
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True)


# After a failed save TensorStore calls back into an event loop that Orbax has closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_disk_that_fills_up_ends_the_run_and_leaves_its_checkpoints(
    small_disk, stateful_config, tmp_path, monkeypatch, on_progress
):
    disk = small_disk(2000)
    config = stateful_config({"checkpoint.every": "1 steps", "evaluation.every": "2 steps"})

    def see(text):
        if text.startswith("step 6/"):
            with contextlib.suppress(OSError), open(disk / "ballast", "wb", buffering=0) as file:
                while True:
                    file.write(bytes(1024))

    on_progress(see)
    with pytest.raises(jaxcnn.InputError, match=rf"the disk of {disk}/run is full\. Checkpoints .* are kept"):
        jaxcnn.train(config, disk / "run", devices=jax.devices()[:1])
    on_progress(lambda text: None)
    found = jaxcnn.Trained(disk / "run", "latest")
    assert found.step >= 4
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(found.variables))
    (disk / "ballast").unlink()
    assert train(config, disk / "run").step == 14


def test_a_full_disk_is_a_wrong_input_to_the_command(small_disk, stateful_config, tmp_path, capsys):
    disk = small_disk(16)
    (tmp_path / "config.py").write_text("import jaxcnn\n\nget_config = jaxcnn.default_config\n")
    assert main(["train", f"--config={tmp_path}/config.py", f"--workdir={disk}/run", "--quiet"]) == 2
    assert f"{disk}/run" in capsys.readouterr().err
