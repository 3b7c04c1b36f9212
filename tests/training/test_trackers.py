"""Trackers get the rows of metrics.jsonl: TensorBoard's files are read back; what cannot be tracked, and failing."""

import importlib.util
import struct

import numpy as np
import pytest
from tensorboardX.proto import event_pb2, plugin_hparams_pb2

import jaxcnn
from jaxcnn import InputError
from jaxcnn.sweeps import Study
from jaxcnn.training.rundir import trackers


@pytest.fixture(scope="module")
def tracked(tracked_by):
    """The directory of a run that TensorBoard has tracked."""
    return tracked_by(("tensorboard",))


def events(workdir):
    """The events of all TensorBoard files: each is a length, its checksum, the event and its checksum."""
    for path in sorted((workdir / "tensorboard").iterdir(), key=lambda path: int(path.name.rpartition(".")[2])):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            yield event_pb2.Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]


def test_tensorboard_has_the_rows(tracked, rows_of):
    expected = rows_of(tracked)
    scalars, keys, metrics = {}, {}, set()
    for event in events(tracked):
        for value in event.summary.value:
            plugin = value.metadata.plugin_data
            if plugin.plugin_name == "hparams":
                found = plugin_hparams_pb2.HParamsPluginData.FromString(plugin.content)
                keys.update(found.session_start_info.hparams)
                metrics.update(info.name.tag for info in found.experiment.metric_infos)
            else:
                scalars[value.tag, event.step] = value.simple_value
    assert scalars == {key: np.float32(value) for key, value in expected.items()}
    assert keys["optimizer.learning_rate"].number_value == 0.1 and keys["model.name"].string_value == "convnet"
    assert metrics == {"test/loss", "test/top1", "test/top5"}


def test_tensorboard_alone_is_the_default(tiny_run):
    assert (tiny_run / "tensorboard").is_dir()
    assert not any((tiny_run / name).exists() for name in ("wandb", "mlruns", trackers.IDS))


def test_a_tracker_that_fails_ends_nothing(tiny_config, tmp_path, monkeypatch, caplog, one_device):
    class Failing:
        rows = 0

        def __init__(self, workdir, config, *, step):
            if workdir.name == "refused":
                raise ConnectionError("nobody is\nlogged in.")

        def write(self, step, values):
            Failing.rows += 1
            raise ConnectionError("the server is gone")

    monkeypatch.setitem(trackers.TRACKERS, "numpy", Failing)
    monkeypatch.setitem(trackers.LIBRARIES, "numpy", "numpy")  # it is installed
    monkeypatch.setitem(trackers.TO_FILES, "numpy", "set NUMPY=offline")
    config = tiny_config({"duration": "4 steps", "trackers": ("numpy",), "log_every": 2})
    result = jaxcnn.train(config, tmp_path / "run", quiet=True, devices=one_device)
    assert result.step == 4 and result.test and Failing.rows == 1
    assert caplog.messages == ["numpy got no more rows of this run, which metrics.jsonl has: the server is gone"]
    assert not (tmp_path / "run" / "tensorboard").exists()
    words = (
        r"numpy could not begin the run of .*refused: nobody is logged in\. Leave it out, .* files: set NUMPY=offline\."
    )
    with pytest.raises(InputError, match=words):
        jaxcnn.train(config, tmp_path / "refused", quiet=True, devices=one_device)
    config.trackers = ()  # a resumed run may have others
    assert jaxcnn.train(config, tmp_path / "refused", quiet=True, devices=one_device).step == 4


def test_what_is_no_tracker_is_said_before_anything(tiny_config, tmp_path, monkeypatch):
    def refused(names, match):
        with pytest.raises(InputError, match=match):
            jaxcnn.train(tiny_config({"trackers": names}), tmp_path / "run", quiet=True)
        assert not (tmp_path / "run").exists()

    refused(("tensorbord",), r"config\.trackers: unknown tracker 'tensorbord'.*tensorboard")
    refused((1,), "it holds names in quotes")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    refused(("mlflow",), "mlflow is not installed: pip install mlflow-skinny; or, .*JAXCNN_EXTRAS=mlflow ")


def test_trackers_make_no_other_run(tiny_config):
    ids = [
        [run.id for run in Study(tiny_config({"trackers": names}), {}).runs()]
        for names in (("wandb", "mlflow"), ("tensorboard",))
    ]
    assert ids[0] == ids[1]
