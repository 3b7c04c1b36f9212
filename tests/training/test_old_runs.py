"""Run directories of version 0.1.0, before tasks (commit 0697b44, jax 0.10.2), open, evaluate and resume.

`first` is a finished run of 8 steps; `second` learns without forgetting on its network, under config.forgetting, and
was stopped at step 4 of 8; second_whole.jsonl are the rows of the same run when nobody stopped it.
"""

import json
import pathlib
import shutil

import pytest

import jaxcnn
from jaxcnn.training.rundir.directory import read_config

OLD = pathlib.Path(__file__).parents[1] / "old_runs"


@pytest.fixture
def old(tmp_path):
    """A copy of both; the source of the second lies where the first one does."""
    shutil.copytree(OLD, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "second" / "config.json"
    path.write_text(path.read_text().replace("/tmp/old_runs/first", str(tmp_path / "first")))
    return tmp_path


def read(path, split):
    return [row for row in map(json.loads, path.read_text().splitlines()) if row.get("split") == split]


def test_a_finished_run_evaluates_as_it_did(old):
    (logged,) = read(old / "first" / "evaluations.jsonl", "test")
    network = jaxcnn.Trained(old / "first")
    _, row = network.evaluate("test")
    names = ("step", "n", "top1", "top5")
    assert [row[name] for name in names] == [logged[name] for name in names]
    assert row["loss"] == pytest.approx(logged["loss"], rel=1e-5)
    jaxcnn.write_report(old / "first")
    assert "Confusion matrix" in (old / "first" / "report.html").read_text()


def test_an_older_run_without_forgetting_resumes_as_that_task(old, one_device):
    config = read_config(old / "second")
    assert (config.task.name, dict(config.task.options)) == (
        "learning_without_forgetting",
        {"weight": 2.0, "temperature": 2.0},
    )
    result = jaxcnn.train(config, old / "second", quiet=True, devices=one_device)
    assert result.step == 8
    for split in ("train", "validation"):
        found, whole = (read(old / name, split) for name in ("second/metrics.jsonl", "second_whole.jsonl"))
        assert [row["step"] for row in found] == [row["step"] for row in whole] == [4, 8]
        for name in ("loss", "top1", "top5"):
            assert found[1][name] == pytest.approx(whole[1][name], rel=1e-4)
