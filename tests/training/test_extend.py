"""A run that is made longer: same bits as a run of that duration from the start, and said wherever it is told of."""

import json
import math
import re

import pytest

import jaxcnn
from jaxcnn.cli import main
from jaxcnn.errors import InputError
from jaxcnn.training.config import to_json
from jaxcnn.training.rundir.directory import read_config
from jaxcnn.training.rundir.evaluations import read_evaluations
from jaxcnn.training.rundir.log import read_metrics
from jaxcnn.training.train import Preempted

SHORT, LONG = "6 steps", "12 steps"
CONSTANT = {"schedule.name": "constant", "evaluation.every": "3 steps", "checkpoint.every": "3 steps", "log_every": 3}


@pytest.fixture
def run(tiny_config, tmp_path, one_device):
    """run(duration, changes, extend=True) trains in one directory of the test, another where workdir is given."""

    def start(duration, changes=None, *, workdir="run", extend=True, make=tiny_config, **options):
        config = make({**CONSTANT, **(changes or {}), "duration": duration})
        options = {"quiet": True, **options}
        return jaxcnn.train(config, tmp_path / workdir, devices=one_device, extend=extend, **options)

    return start


def refused(start):
    with pytest.raises(InputError) as raised:
        start()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def events(workdir, name="extended"):
    return [row for row in read_metrics(workdir) if row.get("event") == name]


def starts(workdir):
    return json.loads((workdir / "environment.json").read_text())["starts"]


def test_an_extended_run_is_one_of_the_longer_duration_killed_or_not(
    run, stateful_config, rows, assert_same_bits, terminate_at
):
    run(SHORT, make=stateful_config)
    terminate_at(8 * 16)
    with pytest.raises(Preempted):
        run(LONG, make=stateful_config)
    longer = run(LONG, make=stateful_config, extend=False)  # the same config resumes, with --extend or without it
    whole = run(LONG, make=stateful_config, workdir="whole")
    assert_same_bits(longer.state, whole.state)
    assert rows(longer.workdir) == rows(whole.workdir)
    assert (longer.validation, longer.test) == (whole.validation, whole.test)
    assert read_config(longer.workdir).duration == LONG
    assert [(row["step"], row["old"], row["new"]) for row in events(longer.workdir)] == [(6, SHORT, LONG)]
    assert [start.get("extended", {}).get("new") for start in starts(longer.workdir)] == [None, LONG, None]
    assert not events(whole.workdir)


def test_a_start_killed_before_its_first_checkpoint_logs_the_extension_once(run, terminate_at, monkeypatch):
    run(SHORT)

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("jaxcnn.training.loop.Loop.run", killed)
        with pytest.raises(KeyboardInterrupt):
            run(LONG)
    assert len(events(run(LONG).workdir)) == 1


@pytest.mark.long
def test_the_schedule_is_that_of_the_new_duration_from_there_on(run, rows, on_progress):
    cosine = {"schedule.name": "cosine", "log_every": 1}
    run(SHORT, cosine)
    lines = []
    on_progress(lines.append)
    longer = run(LONG, cosine, quiet=False)
    found = {row["step"]: row["learning_rate"] for row in rows(longer.workdir) if row["split"] == "train"}
    for step, rate in found.items():  # the row of a step has the rate of the update that led to it
        total = 6 if step <= 6 else 12
        assert rate == pytest.approx(0.05 * (1 + math.cos(math.pi * (step - 1) / total)), rel=1e-5), step
    (event,) = events(longer.workdir)
    assert event["old_rate"] == pytest.approx(0, abs=1e-8) and event["new_rate"] == pytest.approx(0.05)
    said = next(line for line in lines if "made longer" in line)
    assert "'6 steps' (6 steps) is now '12 steps' (12 steps); from step 6 on" in said and "is 0.05, it was 0" in said


def test_the_test_split_is_looked_at_again_and_that_is_said(run, on_progress):
    first = run(SHORT)
    lines = []
    on_progress(lines.append)
    second = run(LONG, quiet=False)
    found = [row for row in read_evaluations(second.workdir) if row.get("final")]
    assert [(row["step"], row["look"], row["duration"]) for row in found] == [
        (first.test["step"], 1, SHORT),
        (second.test["step"], 2, LONG),
    ]
    assert any("look number 2 at the test split" in line for line in lines)
    assert run(LONG).test == second.test and len(read_evaluations(second.workdir)) == 2
    page = jaxcnn.write_report(second.workdir).read_text()
    assert "The run was made longer at step 6" in page and "looked at 2 times" in page


def test_a_test_of_an_older_run_without_its_duration_is_that_of_the_first(run):
    first = run(SHORT)
    path = first.workdir / "evaluations.jsonl"
    row = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in row.items() if key not in ("duration", "look")}) + "\n")
    assert run(SHORT).test == first.test
    run(LONG)
    assert [row.get("duration") for row in read_evaluations(first.workdir)] == [None, LONG]


def test_a_run_that_patience_ended_goes_on_and_counts_anew(run, on_progress):
    patience = {"evaluation.patience": 1, "optimizer.learning_rate": 0.0}
    lines = []
    on_progress(lines.append)
    assert run("9 steps", patience, quiet=False).step == 6
    assert sum("ended at step 6 of 9: 1 evaluations in a row brought no lower" in line for line in lines) == 1
    assert run(LONG, patience, quiet=False).step == 9
    assert any("evaluation.patience, which had ended the run, counts anew" in line for line in lines)


def test_what_is_refused(run, tmp_path):
    run(LONG, {"evaluation.every": "12 steps", "checkpoint.every": "12 steps"})
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").glob("*.json*")}
    every = {"evaluation.every": "12 steps", "checkpoint.every": "12 steps"}
    assert "--extend" in refused(lambda: run("20 steps", every, extend=False))
    assert re.search(
        r"'6 steps' \(6 steps\), but .* has '12 steps' \(12 .*never shorter", refused(lambda: run(SHORT, every))
    )
    other = refused(lambda: run("20 steps", {**every, "optimizer.learning_rate": 0.2}))
    assert "optimizer.learning_rate" in other and "duration" not in other
    assert "--extend" not in refused(lambda: run(LONG, {**every, "seed": 1}, extend=False))
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "run").glob("*.json*")}


def test_the_command(tiny_config, tmp_path, capsys):
    changes = {"evaluation.every": "2 steps", "checkpoint.every": "2 steps", "duration": "2 steps"}
    (tmp_path / "mine.py").write_text(
        f"from jaxcnn.training.config import from_json\n\n\ndef get_config():\n"
        f"    return from_json({to_json(tiny_config(changes))!r})\n"
    )
    command = ["train", f"--config={tmp_path}/mine.py", f"--workdir={tmp_path}/run", "--quiet"]
    assert main(command) == 0
    assert main([*command, "--config.duration=4 steps"]) == 2
    assert main([*command, "--config.duration=4 steps", "--extend"]) == 0
    assert jaxcnn.Trained(tmp_path / "run", "latest").step == 4
    assert "--extend" in capsys.readouterr().err
