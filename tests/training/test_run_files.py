"""The small files of a run: damaged ones are named, what can be computed again is, and a result is never lost."""

import json
import os
import shutil

import jax
import pytest

import jaxcnn
from jaxcnn.cli import main
from jaxcnn.errors import InputError
from jaxcnn.training.rundir.log import read_metrics
from jaxcnn.visualize.collect import write_report


@pytest.fixture
def copy(tiny_run, tmp_path):
    """A finished run, to be spoilt."""
    shutil.copytree(tiny_run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def again(tiny_config):
    """again(workdir): the command that made the run, once more."""
    return lambda workdir, changes=None: jaxcnn.train(tiny_config(changes), workdir, devices=jax.devices()[:1])


def cut_short(file):
    os.truncate(file, file.stat().st_size // 2)


DAMAGE = {
    "cut short": cut_short,
    "emptied": lambda file: os.truncate(file, 0),
    "a list": lambda file: file.write_text("[1, 2]"),
    "numbers": lambda file: file.write_text(
        json.dumps(dict.fromkeys(("classes", "shape", "model", "optimizer", "data", "starts"), 7))
    ),
    "other keys": lambda file: file.write_text("{}" if file.name != "config.json" else '{"model": {"name": [1]}}'),
    "no text": lambda file: file.write_bytes(bytes(range(256))),
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("name", ["config.json", "data.json", "preprocessing.safetensors"])
def test_a_damaged_file_is_named_by_who_uses_the_network_and_by_who_resumes(copy, again, name, kind):
    DAMAGE[kind](copy / name)
    for use in (jaxcnn.Trained, again):
        with pytest.raises(InputError, match=rf"run/{name}(?: is damaged: .*\S\.$|: unknown key)"):
            use(copy)


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_environment_stops_no_resume_and_is_named_by_the_report(copy, again, kind, caplog):
    DAMAGE[kind](copy / "environment.json")
    with pytest.raises(InputError, match=r"run/environment\.json is damaged: "):
        write_report(copy)
    assert again(copy).step == 20
    assert "set aside as environment.json.damaged" in caplog.text
    assert len(json.loads((copy / "environment.json").read_text())["starts"]) == 1


def test_preprocessing_that_is_gone_is_computed_again_alike(copy, again):
    file = copy / "preprocessing.safetensors"
    content = file.read_bytes()
    file.unlink()
    with pytest.raises(InputError, match=r"run has no preprocessing\.safetensors.*computes it again"):
        jaxcnn.Trained(copy)
    again(copy)
    assert file.read_bytes() == content
    assert file.stat().st_mode == (copy / "data.json").stat().st_mode


def test_a_config_that_is_gone_lets_no_other_one_go_on_and_is_restored(copy, again):
    file = copy / "config.json"
    content = file.read_text()
    file.unlink()
    with pytest.raises(InputError, match=r"holds a run of another config\. .*learning_rate: 0\.1 there, 0\.02 here"):
        again(copy, {"optimizer.learning_rate": 0.02})
    assert again(copy).step == 20
    assert file.read_text() == content


def test_lines_that_are_damaged_are_left_out_and_counted_once(copy, caplog):
    file = copy / "metrics.jsonl"
    whole = read_metrics(copy)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[0], b"\xff\x00{\n", b"[1]\n", *lines[1:], b'{"split": "tr']))
    assert read_metrics(copy) == whole == read_metrics(copy)
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"{file}: 2 damaged lines are left out"]


def test_metrics_that_are_lost_are_missed(copy, again, caplog):
    (copy / "metrics.jsonl").unlink()
    assert again(copy).step == 20
    assert "the rows up to step 20 are lost" in caplog.text
    assert "was lost: the curves begin there" in write_report(copy).read_text()


@pytest.mark.parametrize("more", [[], ["--crops", "1", "10"]])
def test_an_evaluation_that_cannot_be_logged_is_printed(copy, capsys, caplog, more):
    (copy / "evaluations.jsonl").unlink()
    (copy / "evaluations.jsonl").mkdir()
    assert main(["evaluate", "--workdir", str(copy), "--split", "test", *more]) == 0
    out = capsys.readouterr().out
    assert "top-1" in out
    assert "not logged: " in caplog.text
    assert "evaluations.jsonl cannot be written: Is a directory" in caplog.text


def test_a_finished_run_asks_for_no_space(copy, again, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 1024, 1024))
    assert again(copy).step == 20


def test_a_report_that_cannot_be_written_leaves_the_old_one(copy, monkeypatch):
    old = write_report(copy).read_bytes()
    monkeypatch.setattr("jaxcnn.visualize.collect.run_report", lambda report: "new")

    def full(_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        InputError, match=r"report\.html cannot be written: the disk is full\. report\.html is as it was"
    ):
        write_report(copy)
    assert (copy / "report.html").read_bytes() == old
