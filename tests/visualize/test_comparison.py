"""The verb compare: final evaluations in a table, curves over one another."""

import json
import shutil

import pytest
from PIL import Image
from scipy.stats import binomtest

from jaxcnn import cli


@pytest.fixture
def runs(tiny_run, tmp_path):
    """Two copies of the tiny run; the second was never evaluated on test."""
    first, second = (shutil.copytree(tiny_run, tmp_path / name) for name in ("first", "second"))
    (second / "evaluations.jsonl").unlink()
    return first, second


def compare(*arguments):
    return cli.main(["compare", *map(str, arguments)])


def test_rows_are_the_final_evaluations(runs, tmp_path, capsys):
    first, second = runs
    picture = tmp_path / "curves.png"
    assert compare(*runs, "--output", picture, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    test = json.loads((first / "evaluations.jsonl").read_text())
    rows = [json.loads(line) for line in (second / "metrics.jsonl").read_text().splitlines()]
    best = max((row for row in rows if row.get("split") == "validation"), key=lambda row: (row["top1"], -row["loss"]))
    for name, row in (("first", test), ("second", best)):
        own = found["runs"][name]
        assert [own[key] for key in ("split", "step", "n", "loss", "top1")] == [
            row[key] for key in ("split", "step", "n", "loss", "top1")
        ]
        interval = binomtest(round(row["top1"] * row["n"]), row["n"]).proportion_ci(method="wilson")
        assert own["top1_interval"] == pytest.approx(list(interval))
    assert found["curves"] == str(picture)
    with Image.open(picture) as image:
        assert image.width > 800


def test_table(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    assert compare(*runs) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[-1] == "compare.png" and (tmp_path / "compare.png").is_file()
    test = json.loads((runs[0] / "evaluations.jsonl").read_text())
    line = next(line for line in text.splitlines() if " first " in line)
    assert " test " in line and f" {100 * test['top1']:.2f} % " in line and " 360 " in line and " to " in line
    assert " validation " in next(line for line in text.splitlines() if " second " in line)


def test_runs_that_cannot_be_compared(runs, tmp_path, capsys):
    assert compare(*runs, "--output", tmp_path / "curves.xyz") == 2
    assert "its suffix names the format" in capsys.readouterr().err
    assert compare(runs[0], tmp_path) == 2
    assert "not a run directory" in capsys.readouterr().err
    assert compare(*runs, runs[0] / ".." / runs[0].name, "--output", tmp_path / "curves.png") == 2
    assert "is given twice" in capsys.readouterr().err
