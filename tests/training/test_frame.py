"""jaxcnn.history: the rows of several runs as one frame."""

import json
import math
import shutil
import sys

import pandas
import pytest

import jaxcnn
from jaxcnn import InputError


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_every_row_of_every_run_is_there(tiny_run, tmp_path):
    other = shutil.copytree(tiny_run, tmp_path / "other")
    with (other / "metrics.jsonl").open("a") as file:
        bad = {"split": "train", "step": 21, "loss": None, "own": 2.5, "not_finite": ["loss"]}
        file.write(json.dumps(bad) + "\n")
    frame = jaxcnn.history([tiny_run, str(other)])
    expected = [(path.name, row) for path in (tiny_run, other) for row in lines(path)]
    assert list(frame.columns[:4]) == ["run", "split", "step", "epoch"]
    assert set(frame.columns) == {"run", *(key for _, row in expected for key in row)}
    assert len(frame) == len(expected)
    for (name, row), (_, found) in zip(expected, frame.iterrows(), strict=True):
        assert found["run"] == name
        for key in set(frame.columns) - {"run"}:
            if row.get(key) is None:
                assert pandas.isna(found[key])
            else:
                assert found[key] == row[key]
    held_out = frame[frame.split == "validation"].groupby("run").top1.max()
    assert held_out["other"] == max(row["top1"] for row in lines(other) if row.get("split") == "validation")
    assert frame.loss.dtype == float and math.isnan(frame.loss.iloc[-1])


def test_one_run_and_runs_of_one_name(tiny_run, tmp_path):
    assert set(jaxcnn.history(tiny_run).run) == {tiny_run.name}
    copies = [shutil.copytree(tiny_run, tmp_path / name / "run") for name in "ab"]
    assert set(jaxcnn.history(copies).run) == {str(path) for path in copies}


def test_what_is_missing_is_named(tiny_run, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"no config\.json"):
        jaxcnn.history([tiny_run, tmp_path])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="needs pandas: pip install pandas; or"):
        jaxcnn.history(tiny_run)
