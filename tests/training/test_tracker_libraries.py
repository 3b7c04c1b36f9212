"""Weights & Biases and MLflow get the rows of metrics.jsonl: the files that they write offline are read back."""

import json
import struct
from unittest import mock

import pytest

from jaxcnn.training.rundir import trackers

mlflow = pytest.importorskip("mlflow")
wandb_internal_pb2 = pytest.importorskip("wandb.proto.wandb_internal_pb2")
pytestmark = pytest.mark.trackers


@pytest.fixture(scope="module")
def tracked(tracked_by, request):
    """The directory of a run that both have tracked."""
    patch = pytest.MonkeyPatch()
    request.addfinalizer(patch.undo)
    for name, value in (("WANDB_MODE", "offline"), ("WANDB_SILENT", "true")):
        patch.setenv(name, value)
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tracked_by(("wandb", "mlflow"))


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


def test_wandb_has_the_rows(tracked, rows_of):
    expected = rows_of(tracked)
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


def test_mlflow_has_the_rows(tracked, rows_of):
    expected = rows_of(tracked)
    client = mlflow.MlflowClient(tracking_uri=(tracked / "mlruns").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("jaxcnn").experiment_id])
    found = {
        (name, metric.step): metric.value
        for name in run.data.metrics
        for metric in client.get_metric_history(run.info.run_id, name)
    }
    assert found == expected
    assert (run.info.run_name, run.info.status) == ("mine", "FINISHED")
    assert run.data.params["optimizer.learning_rate"] == "0.1" and run.data.params["model.name"] == "convnet"


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
