"""A study by populations: the same results as one run after another, whatever fails and wherever it is broken off."""

import csv
import json
import shutil

import pytest

from jaxcnn.cli import main
from jaxcnn.sweeps import Study, run_study
from jaxcnn.training.config import to_json
from jaxcnn.training.host import HostState

SMOOTH = {"widths": (4,), "convolutions": 1, "hidden": (), "activation": "tanh"}


def sweep(study, workdir):
    return run_study(study, workdir, title="", quiet=True, population=True)


def table(workdir):
    """results.csv without the times."""
    with (workdir / "results.csv").open() as file:
        times = ("seconds", "images_per_second")
        return [{k: v for k, v in row.items() if k not in times} for row in csv.DictReader(file)]


def starts(folder):
    return json.loads((folder / "environment.json").read_text())["starts"]


@pytest.fixture(scope="module")
def study(tiny_config):
    """Three rates, of which the second diverges, and two seeds."""
    with (base := tiny_config({"duration": "10 steps"})).unlocked():
        base.model.options.update(SMOOTH)
    return Study(base, {"optimizer.learning_rate": (0.1, 1e38, 0.05)}, seeds=(0, 1))


@pytest.fixture(scope="module")
def finished(study, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("study")
    return workdir, *sweep(study, workdir)


def test_the_results_are_those_of_one_run_after_another(study, finished, tmp_path):
    workdir, cells, failed = finished
    expected, wanted = run_study(study, tmp_path, title="", quiet=True)
    assert [cell.values["test_top1"] for cell in cells] == [cell.values["test_top1"] for cell in expected]
    assert [len(cell.values["test_top1"]) for cell in cells] == [2, 0, 2]
    assert list(failed) == list(wanted) == [run.id for run in study.runs()[2:4]]
    for run, error in failed.items():
        assert error.split(":")[:2] == wanted[run].split(":")[:2]  # training diverged at step n
    for row, other in zip(table(workdir), table(tmp_path), strict=True):
        losses = ("test_loss", "train_loss")  # sums in another order
        assert {**row, **dict.fromkeys(losses)} == {**other, **dict.fromkeys(losses)}
        for name in losses:
            assert row[name] == other[name] == "" or float(row[name]) == pytest.approx(float(other[name]), rel=1e-4)


def test_nothing_is_left_of_the_population_but_its_runs(study, finished):
    workdir, _, _ = finished
    assert not list((workdir / ".population").glob("*"))
    assert len({starts(workdir / run.id)[-1]["population"] for run in study.runs()}) == 1


def test_what_is_done_is_skipped_and_one_run_is_repeated_alone(study, finished, tmp_path):
    workdir = shutil.copytree(finished[0], tmp_path / "study")
    before = table(workdir)
    good = study.runs()[0]
    shutil.rmtree(workdir / good.id)
    cells, failed = run_study(study, workdir, title="", quiet=True)
    assert list(failed) == list(finished[2]) and table(workdir)[1:] == before[1:]
    assert cells[0].values["test_top1"] == finished[1][0].values["test_top1"]
    assert "population" not in starts(workdir / good.id)[-1]
    assert len(starts(workdir / study.runs()[1].id)) == 1


def test_a_population_whose_runs_were_ended_one_by_one_is_forgotten(study, finished, tmp_path):
    workdir = shutil.copytree(finished[0], tmp_path / "study")
    done = [run.id for run in study.runs() if run.id not in finished[2]]
    (left := workdir / ".population" / "left").mkdir()
    (left / "members.json").write_text(json.dumps(done))
    sweep(study, workdir)
    assert not left.exists() and table(workdir) == table(finished[0])
    assert [len(starts(workdir / run)) for run in done] == [1] * len(done)


def test_a_run_that_went_on_alone_is_not_trained_again(study, finished, tmp_path):
    workdir = shutil.copytree(finished[0], tmp_path / "study")
    alone, unfinished = study.runs()[4:]
    kept = [(workdir / alone.id / name).read_bytes() for name in ("metrics.jsonl", "evaluations.jsonl")]
    shutil.rmtree(workdir / unfinished.id)
    (left := workdir / ".population" / "left").mkdir()
    (left / "members.json").write_text(json.dumps([alone.id, unfinished.id]))
    (left / "checkpoints" / "5").mkdir(parents=True)
    _, failed = sweep(study, workdir)
    assert not left.exists() and list(failed) == list(finished[2])
    assert kept == [(workdir / alone.id / name).read_bytes() for name in ("metrics.jsonl", "evaluations.jsonl")]


def test_ended_while_its_results_are_written_it_ends_with_the_same(study, finished, tmp_path, monkeypatch):
    write, written = HostState.test_row, []

    def killed(record, step, result):
        if written:
            raise SystemExit  # nothing catches it on the way out
        written.append(step)
        return write(record, step, result)

    monkeypatch.setattr(HostState, "test_row", killed)
    with pytest.raises(SystemExit):
        sweep(study, tmp_path)
    monkeypatch.undo()
    assert len(list((tmp_path / ".population").glob("*"))) == 1
    _, failed = sweep(study, tmp_path)
    assert table(tmp_path) == table(finished[0])
    assert list(failed) == list(finished[2])
    assert [s["from_step"] for s in starts(tmp_path / study.runs()[4].id)] == [0, 10]


def test_the_verb_takes_the_runner(study, tmp_path, capsys):
    config = tmp_path / "study.py"
    config.write_text(
        '"""Two seeds."""\n\nfrom jaxcnn.sweeps import Study\nfrom jaxcnn.training.config import from_json\n\n\n'
        f"def study():\n    return Study(from_json({to_json(study.base)!r}), {{}}, seeds=(0, 1))\n"
    )
    assert main(["sweep", str(config), "--workdir", str(tmp_path / "out"), "--runner", "population"]) == 0
    assert "report.html" in capsys.readouterr().out
    assert len(table(tmp_path / "out")) == 2
    folders = [folder for folder in (tmp_path / "out").iterdir() if (folder / "environment.json").exists()]
    assert [starts(folder)[-1]["members"] for folder in folders] == [2, 2]
