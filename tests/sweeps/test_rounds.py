"""Sweeps that add seeds until their claims are decided, and what claims would take, with stand-ins for the runs."""

import dataclasses
import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from jaxcnn.cli import main
from jaxcnn.sweeps import planning, rounds, runner
from jaxcnn.sweeps.planning import seeds_fixed, seeds_until, seeds_within
from jaxcnn.sweeps.rounds import seconds_of
from jaxcnn.sweeps.study import load_study
from jaxcnn.sweeps.worker import find_run
from jaxcnn.training.config import to_json
from jaxcnn.training.processes.preemption import Preempted

STUDY = '''"""Which rate?"""
from jaxcnn.sweeps import Claim, Study
from jaxcnn.training.config import from_json


def study():
    rate = "optimizer.learning_rate"
    claims = (
        Claim("One tests better than two.", {{rate: 0.1}}, {{rate: 0.2}}),
        Claim("Three tests better than four.", {{rate: 0.3}}, {{rate: 0.4}}{margin}),
    )
    return Study(from_json({base!r}), {{rate: (0.1, 0.2, 0.3, 0.4)}}, (0, 1, 2, 3), claims=claims)
'''
CLEAR = {0.1: 0.9, 0.2: 0.7, 0.3: 0.5, 0.4: 0.5}  # mean accuracy by rate


@pytest.fixture
def toy(tiny_run, tiny_config, tmp_path, monkeypatch):
    """make(margin) is a study file; its runs are copies of a finished one, with accuracies about that of their cell."""
    trained, spread = [], {0.1: 0.01, 0.2: 0.01, 0.3: 0.05, 0.4: 0.05}

    def train(run, workdir):
        if getattr(train, "ends_at", None) == len(trained):
            raise Preempted("told to end", 2)
        trained.append((run.levels["optimizer.learning_rate"], run.seed))
        shutil.copytree(tiny_run, workdir / run.id)
        rate, seed = trained[-1]
        log = workdir / run.id / "evaluations.jsonl"
        row = json.loads(log.read_text().splitlines()[-1])
        row["top1"] = CLEAR[rate] + spread[rate] * np.random.default_rng([seed, int(10 * rate)]).normal()
        log.write_text(json.dumps(row) + "\n")
        return ""

    monkeypatch.setattr(runner, "run_one", train)
    monkeypatch.setattr(runner, "check_runs", lambda runs, devices=None: None)
    # a clock on which each run takes a second
    monkeypatch.setattr(rounds, "time", SimpleNamespace(monotonic=lambda: float(len(trained))))
    path = tmp_path / "rates.py"

    def make(margin=""):
        path.write_text(STUDY.format(base=to_json(tiny_config()), margin=margin))
        return path

    make.trained, make.train = trained, train
    return make


def files(path):
    return {file: file.read_bytes() for file in (path.parent / "out").iterdir() if file.is_file()}


def sweep(path, *options):
    return main(["sweep", str(path), "--workdir", str(path.parent / "out"), *options])


def results(path, name="verdicts.json"):
    return json.loads((path.parent / "out" / name).read_text())


def test_seeds_are_added_where_a_claim_is_open_until_all_are_decided(toy, capsys):
    path = toy(", margin=0.1")
    assert sweep(path, "--until", "decided", "--budget", "1h") == 0
    out, found, plan = capsys.readouterr().out, results(path), results(path, "plan.json")
    assert [row["verdict"] for row in found["claims"]] == ["supported", "no difference that matters"]
    assert "every claim is decided" in out and not found["fixed"]
    one, two, three, four = (max(s for r, s in toy.trained if r == rate) + 1 for rate in CLEAR)
    assert one == two < three == four and list(plan["seeds"].values()) == [one, two, three, four]
    assert len(toy.trained) == len(set(toy.trained)) == 2 * (one + three) == plan["runs"]
    assert plan["rounds"][0]["seeds"] == dict.fromkeys(plan["seeds"], 4)
    assert plan["rounds"][-1]["open"] == ["Three tests better than four."]
    assert [row["n"] for row in found["claims"]] == [one, three]
    trained = len(toy.trained)
    assert sweep(path, "--until", "decided", "--budget", "1h") == 0 and len(toy.trained) == trained
    assert results(path)["claims"] == found["claims"]
    assert "narrow" in (path.parent / "out" / "report.html").read_text()


def test_told_to_end_in_a_round_the_same_command_goes_on(toy, capsys):
    path, options = toy(", margin=0.1"), ("--until", "decided", "--budget", "1h")
    toy.train.ends_at = 21
    assert sweep(path, *options) == 130
    plan, trained = results(path, "plan.json"), list(toy.trained)
    assert plan["runs"] == len(trained) == 21 and plan["seconds"] > 0
    del toy.train.ends_at
    assert sweep(path, *options) == 0
    assert toy.trained[:21] == trained and len(set(toy.trained)) == len(toy.trained)
    assert results(path, "plan.json")["runs"] == len(toy.trained)


def test_the_budget_ends_it_and_a_larger_one_goes_on(toy, capsys):
    path = toy()  # without a margin a tie is open for ever
    assert sweep(path, "--until", "decided", "--budget", "0.0001s") == 0
    assert len(toy.trained) == 16  # the study's own seeds
    assert re.search(r"2 claims are open, .* of 0.0 s: a larger --budget goes on", capsys.readouterr().out)
    spent = results(path, "plan.json")["seconds"]
    assert spent == 16
    assert sweep(path, "--until", "decided", "--budget", "33s") == 0
    assert 16 < len(toy.trained) <= 33 and "1 claim is open" in capsys.readouterr().out


def test_without_it_verdicts_are_those_of_the_studys_own_seeds(toy):
    path = toy()
    assert sweep(path, "--until", "decided", "--budget", "0.0001s") == 0
    assert results(path)["claims"][0]["verdict"] == "not decided" and results(path)["claims"][0]["p_t"] is None
    assert sweep(path) == 0 and len(toy.trained) == 16
    found = results(path)
    assert found["fixed"] and found["claims"][0]["n"] == 4 and found["claims"][0]["verdict"] == "supported"
    assert sweep(path, "--until", "decided", "--collect") == 0 and not results(path)["fixed"]


def test_a_plan_of_another_study_is_refused(toy, capsys):
    path = toy()
    assert sweep(path, "--until", "decided", "--budget", "0.0001s") == 0
    path.write_text(path.read_text().replace("(0, 1, 2, 3)", "(0, 1, 2)"))
    assert sweep(path, "--until", "decided", "--budget", "1h") == 2
    assert "is of other cells or seeds than the study's" in capsys.readouterr().err


@pytest.mark.parametrize("seeds", ["4", None, 3])
def test_a_plan_that_holds_something_else_is_damaged(seeds, toy, capsys):
    path = toy()
    assert sweep(path, "--until", "decided", "--budget", "0.0001s") == 0
    plan = results(path, "plan.json")
    plan["seeds"] |= dict.fromkeys(plan["seeds"], seeds)
    (path.parent / "out" / "plan.json").write_text(json.dumps(plan))
    assert sweep(path, "--status") == 2 and "plan.json is damaged. Remove it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--until", "decided"), "needs a --budget"),
        (("--until", "decided", "--budget", "2 hours"), "'2 hours' is none"),
        (("--until", "decided", "--budget", "2h", "--runner", "slurm"), "--until is for the runners local and"),
        (("--plan", "--runner", "slurm"), "--plan is for the runners local and"),
        (("--runner", "population", "--jobs", "2"), "--jobs is for --runner local"),
        (("--until", "decided", "--budget", "2h", "--run", "ID"), "leave --until out"),
        (("--budget", "2h"), "--budget is for --until decided"),
        (("--effect", "0.01"), "--effect is for --plan"),
        (("--plan", "--effect", "-1"), "--effect is -1.0"),
        (("--plan", "--collect"), "--collect is not for --plan"),
        (("--status", "--jobs", "2"), "--jobs is not for --status"),
        (("--status", "--until", "decided", "--budget", "2h"), "--until is not for --status"),
        (("--status", "--plan"), "--plan is not for --status"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(options, words, toy, capsys):
    assert sweep(toy(), *options) == 2
    assert words in capsys.readouterr().err and not toy.trained


def test_a_study_without_claims_has_nothing_to_decide(toy, capsys):
    path = toy()
    path.write_text(path.read_text().replace(", claims=claims)", ")"))
    for options in (("--until", "decided", "--budget", "2h"), ("--plan",)):
        assert sweep(path, *options) == 2 and "the study has no claims" in capsys.readouterr().err


def test_a_worker_finds_the_run_of_an_added_seed(toy):
    study, _ = load_study(toy())
    added = find_run(study, find_run(study, study.runs()[0].id).id)
    assert added.seed == 0
    grown = dataclasses.replace(study, until=dict.fromkeys(study.cells(), 6)).runs()[5]
    assert grown.seed == 5 and find_run(study, grown.id).config.seed == 5


def test_a_pilot_tells_what_the_claims_would_take(toy, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    path = toy(", margin=0.1")
    assert sweep(path, "--plan") == 0
    assert sorted(set(toy.trained)) == sorted((rate, seed) for rate in CLEAR for seed in range(3))
    out = capsys.readouterr().out
    assert "as observed" in out and "none, within 10.00" in out and out.count("Three tests") == 2
    assert sweep(path, "--plan", "--effect", "0.02") == 0 and len(toy.trained) == 12
    assert "2.00" in capsys.readouterr().out


def test_a_finished_study_is_planned_as_it_is(toy, capsys, monkeypatch):
    """A claim that never gets pairs takes no pilot, which would overwrite the report with that of three seeds."""
    monkeypatch.setenv("COLUMNS", "200")
    path = toy()
    never = 'claims=(*claims, Claim("Never.", {rate: 0.1}, {rate: 0.3}, metric="never")), measures={"never": never}'
    text = path.read_text().replace("claims=claims", never)
    path.write_text(text + "\n\nfrom jaxcnn.sweeps import Metric\nnever = Metric(lambda rows: None)\n")
    assert sweep(path) == 0 and len(toy.trained) == 16
    before, _ = files(path), capsys.readouterr()
    assert sweep(path, "--plan") == 0 and len(toy.trained) == 16
    out, err = capsys.readouterr()
    assert out.count("its pairs tell no spread") == 1 and "every run is done" not in err
    assert re.search(r"One tests better than two\.\W+4\b", out)
    assert files(path) == before


def test_a_pilot_trains_what_it_lacks_and_leaves_no_report(toy, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    path = toy()
    path.write_text(path.read_text().replace("(0, 1, 2, 3)", "(0,)"))
    toy.train.ends_at = 7  # the third rate has one run
    assert sweep(path, "--plan") == 130
    del toy.train.ends_at
    assert sweep(path, "--plan") == 0 and len(toy.trained) == len(set(toy.trained)) == 12
    assert re.search(r"Three tests better than four\.\W+3\b", capsys.readouterr().out)
    assert [file.name for file in files(path)] == [".lock"]


def test_differences_that_are_equal_but_for_rounding_tell_no_spread(toy, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    path = toy()
    assert sweep(path, "--plan") == 0
    capsys.readouterr()
    for rate, accuracies in ((0.1, (0.9, 0.95, 1.0)), (0.2, (0.85, 0.9, 0.95))):  # a std of 6e-17
        for seed, top1 in enumerate(accuracies):
            (folder,) = (path.parent / "out").glob(f"learning_rate={rate}-seed={seed}-*")
            row = json.loads((folder / "evaluations.jsonl").read_text())
            (folder / "evaluations.jsonl").write_text(json.dumps({**row, "top1": top1}) + "\n")
    assert sweep(path, "--plan") == 0 and "its pairs tell no spread" in capsys.readouterr().out


def test_seeds_of_an_effect():
    """Cohen's d of 0.5 needs 34 pairs (G*Power 3.1); any stop takes more, and finds it at its n four times in five."""
    assert seeds_fixed(0.5) == 34 and seeds_fixed(0.01) is None is seeds_until(0.01) is seeds_fixed(0.0)
    n = seeds_until(1.0)
    assert seeds_fixed(1.0) < n < seeds_until(1.0, alpha=0.01) and seeds_within(1.0) < seeds_within(0.5)
    x = np.random.default_rng(7).normal(1, 1, (4000, n))
    share = (planning.anytime.difference_p(x) <= 0.05).any(-1).mean()
    assert share == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(("text", "seconds"), [("2h", 7200), ("1h30m", 5400), ("1.5m", 90), ("40s", 40)])
def test_budgets(text, seconds):
    assert seconds_of(text) == seconds
