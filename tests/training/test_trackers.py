"""Trackers get the rows of metrics.jsonl: each library's files are read back. W&B and MLflow write offline here."""

import importlib.util
import json
import struct
from unittest import mock

import numpy as np
import pytest
from mlflow import MlflowClient
from tensorboardX.proto import event_pb2, plugin_hparams_pb2
from wandb.proto import wandb_internal_pb2

import jaxcnn
from jaxcnn import InputError
from jaxcnn.sweeps import Study
from jaxcnn.training.rundir import trackers
from jaxcnn.training.rundir.evaluations import read_evaluations

ALL = ("tensorboard", "wandb", "mlflow")


@pytest.fixture(scope="module")
def tracked(tiny_config, tmp_path_factory, request):
    """The directory of a run of 10 steps that was then extended to 20, with all trackers."""
    patch = pytest.MonkeyPatch()
    request.addfinalizer(patch.undo)
    for name, value in (("WANDB_MODE", "offline"), ("WANDB_SILENT", "true")):
        patch.setenv(name, value)
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    workdir = tmp_path_factory.mktemp("tracked") / "mine"
    for steps in (10, 20):
        config = tiny_config({"duration": f"{steps} steps", "trackers": ALL, "log_every": 5})
        jaxcnn.train(config, workdir, quiet=True, extend=steps == 20)
    return workdir


@pytest.fixture(scope="module")
def expected(tracked):
    """{("train/loss", step): value} of metrics.jsonl and of the last look at test."""
    rows = [json.loads(line) for line in (tracked / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "split" in row]
    tests = [{key: row[key] for key in ("split", "step", "loss", "top1", "top5")} for row in read_evaluations(tracked)]
    assert len(rows) == 6 and len(tests) == 2
    return {
        (f"{row['split']}/{name}", row["step"]): value
        for row in (*rows, *tests)
        for name, value in row.items()
        if isinstance(value, float) and name != "epoch"
    }


def events(workdir):
    """The events of all TensorBoard files: each is a length, its checksum, the event and its checksum."""
    for path in sorted((workdir / "tensorboard").iterdir(), key=lambda path: int(path.name.rpartition(".")[2])):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            yield event_pb2.Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]


def test_tensorboard_has_the_rows(tracked, expected):
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


def log_records(path):
    """The records of a file of W&B: a head of 7 bytes, then LevelDB's log of blocks of 32 KiB."""
    data, place, record = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while place < len(data):
        if 2**15 - place % 2**15 < 7:
            place += 2**15 - place % 2**15
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        record += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield wandb_internal_pb2.Record.FromString(record)
            record = b""


def test_wandb_has_the_rows(tracked, expected):
    paths, scalars, config = sorted(tracked.glob("wandb/offline-run-*/*.wandb")), {}, {}
    assert len(paths) == 2 and len({path.name for path in paths}) == 1  # two starts of one run
    for record in (record for path in paths for record in log_records(path)):
        found = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        scalars |= {(name, found["step"]): value for name, value in found.items() if "/" in name}
        if record.HasField("run"):
            config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
            assert (record.run.project, record.run.display_name) == ("jaxcnn", "mine")
    assert scalars == expected
    assert config["optimizer"]["learning_rate"] == 0.1 and config["model"]["name"] == "convnet"


def test_mlflow_has_the_rows(tracked, expected):
    client = MlflowClient(tracking_uri=(tracked / "mlruns").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("jaxcnn").experiment_id])
    found = {
        (name, metric.step): metric.value
        for name in run.data.metrics
        for metric in client.get_metric_history(run.info.run_id, name)
    }
    assert found == expected
    assert (run.info.run_name, run.info.status) == ("mine", "FINISHED")
    assert run.data.params["optimizer.learning_rate"] == "0.1" and run.data.params["model.name"] == "convnet"


def test_tensorboard_alone_is_the_default(tiny_run):
    assert (tiny_run / "tensorboard").is_dir()
    assert not any((tiny_run / name).exists() for name in ("wandb", "mlruns", trackers.IDS))


def test_a_tracker_that_fails_ends_nothing(tiny_config, tmp_path, monkeypatch, caplog, one_device):
    class Failing:
        rows = 0

        def __init__(self, workdir, config, *, step):
            if workdir.name == "refused":
                raise ConnectionError("nobody is\nlogged in")

        def write(self, step, values):
            Failing.rows += 1
            raise ConnectionError("the server is gone")

    monkeypatch.setitem(trackers.TRACKERS, "wandb", Failing)
    config = tiny_config({"duration": "4 steps", "trackers": ("wandb",), "log_every": 2})
    result = jaxcnn.train(config, tmp_path / "run", quiet=True, devices=one_device)
    assert result.step == 4 and result.test and Failing.rows == 1
    assert caplog.messages == ["wandb got no more rows of this run, which metrics.jsonl has: the server is gone"]
    assert not (tmp_path / "run" / "tensorboard").exists()
    with pytest.raises(InputError, match=r"wandb could not begin the run of .*refused: nobody is logged in\. Leave it"):
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
    ids = [[run.id for run in Study(tiny_config({"trackers": names}), {}).runs()] for names in (ALL, ("tensorboard",))]
    assert ids[0] == ids[1]


def test_ids_of_a_strangers_run_are_no_paths(tiny_config, tmp_path, monkeypatch):
    (tmp_path / trackers.IDS).write_text(json.dumps({"wandb": "../../x", "mlflow": "kept"}))
    given = []
    monkeypatch.setattr("wandb.init", lambda **options: given.append(options) or mock.Mock())
    for _ in range(2):
        trackers.open_trackers(("wandb",), tmp_path, tiny_config(), step=1)
    first, second = given
    assert first["id"].isalnum() and first["resume"] is None
    assert (second["id"], second["resume"]) == (first["id"], "allow")
    assert json.loads((tmp_path / trackers.IDS).read_text()) == {"wandb": first["id"], "mlflow": "kept"}
