"""Searches: what is drawn, how it is narrowed and pruned, and that no trial is lost or done twice."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from jaxcnn.errors import InputError
from jaxcnn.sweeps import search as sweeps_search
from jaxcnn.sweeps.search import Choice, Range, Search, run_search
from jaxcnn.sweeps.trials import trial_rows
from jaxcnn.training.divergence import Diverged

optuna = pytest.importorskip("optuna")

FILE = '''"""Which rate?"""
from jaxcnn import default_config
from jaxcnn.sweeps.search import Range, Search


def search():
    config = default_config()
    config.data.image_size = (8, 8)
    config.model.name = "convnet"
    config.model.options.update({"widths": (4,), "convolutions": 1, "hidden": ()})
    config.batch_size = 32
    config.duration = "200 steps"
    config.evaluation.every = config.checkpoint.every = "20 steps"
    space = {"optimizer.learning_rate": Range(0.01, 0.3, log=True)}
    return Search(config, space, trials=3, sampler="random", pruner="none")
'''
RATE = {"optimizer.learning_rate": Range(1e-3, 1.0, log=True)}


@pytest.fixture
def quick(tiny_config, monkeypatch):
    """search(**fields) over rates whose training is a formula: best at 0.1, with three evaluations."""
    seen = []

    def train(config, workdir, *, on_evaluation, final_test, quiet):
        rate = config.optimizer.learning_rate
        seen.append(rate)
        workdir.mkdir(parents=True, exist_ok=True)
        top1 = float(np.exp(-abs(np.log10(rate) + 1)))
        for step in (1, 2, 3):
            on_evaluation(step, top1 * step / 3)
        return type("Result", (), {"validation": {"top1": top1}})

    monkeypatch.setattr("jaxcnn.sweeps.search.train", train)
    monkeypatch.setattr("jaxcnn.sweeps.search.write_search", lambda *arguments, **options: None)
    monkeypatch.setattr("jaxcnn.sweeps.search.read_metrics", lambda folder: [])
    return lambda **fields: Search(tiny_config(), **{"space": RATE, "pruner": "none", **fields}), seen


def states(study):
    return [trial.state.name for trial in study.trials]


@pytest.mark.parametrize("sampler", ["random", "tpe", "coarse_to_fine"])
def test_the_same_search_draws_the_same_trials(sampler, quick, tmp_path):
    make, seen = quick
    first = run_search(make(sampler=sampler, trials=12), tmp_path / "one", report=lambda line: None)
    drawn = list(seen)
    seen.clear()
    run_search(make(sampler=sampler, trials=12), tmp_path / "other", report=lambda line: None)
    assert seen == drawn and len(set(drawn)) == 12
    assert all(1e-3 <= rate <= 1 for rate in drawn)
    assert first.best_params["optimizer.learning_rate"] == min(drawn, key=lambda rate: abs(np.log10(rate) + 1))


def test_the_second_half_of_coarse_to_fine_lies_around_the_best_of_the_first(quick, tmp_path):
    make, seen = quick
    run_search(make(sampler="coarse_to_fine", trials=20), tmp_path, report=lambda line: None)
    coarse, fine = np.log10(seen[:10]), np.log10(seen[10:])
    best = coarse[np.abs(coarse + 1).argmin()]
    assert np.abs(fine - best).max() <= 3 * 0.25 / 2 + 1e-9  # a quarter of three decades
    assert np.ptp(coarse) > 1.5


def test_trials_that_diverged_move_no_fine_trial_into_the_first_half(quick, tmp_path, monkeypatch):
    make, seen = quick

    def train(config, workdir, *, on_evaluation, final_test, quiet):
        seen.append(config.optimizer.learning_rate)
        workdir.mkdir(parents=True, exist_ok=True)
        if len(seen) <= 5:
            raise Diverged("training diverged")
        return type("Result", (), {"validation": {"top1": len(seen) / 100}})  # the last of the first half is its best

    monkeypatch.setattr("jaxcnn.sweeps.search.train", train)
    run_search(make(sampler="coarse_to_fine", trials=20), tmp_path, report=lambda line: None)
    assert np.abs(np.log10(seen[10:]) - np.log10(seen[9])).max() <= 3 * 0.25 / 2 + 1e-9


def test_a_trial_below_the_median_is_pruned(quick, tmp_path):
    make, _ = quick
    study = run_search(make(sampler="random", trials=16, pruner="median"), tmp_path, report=lambda line: None)
    pruned = [t for t in study.trials if t.state.name == "PRUNED"]
    assert pruned and all(len(t.intermediate_values) < 3 for t in pruned)
    assert study.best_trial.state.name == "COMPLETE"


def test_a_finished_search_is_not_drawn_again_and_a_longer_one_goes_on(quick, tmp_path):
    make, seen = quick
    for trials in (4, 4, 6):
        study = run_search(make(sampler="random", trials=trials), tmp_path, report=lambda line: None)
    assert states(study) == ["COMPLETE"] * 6 and len(seen) == 6


def test_another_space_is_another_search(quick, tmp_path):
    make, _ = quick
    run_search(make(trials=1), tmp_path, report=lambda line: None)
    other = {"optimizer.learning_rate": Range(1e-3, 0.5, log=True)}
    with pytest.raises(InputError, match="holds a search of another space"):
        run_search(make(space=other, trials=1), tmp_path, report=lambda line: None)


def half(file):
    file.write_bytes(file.read_bytes()[: len(file.read_bytes()) // 2])


def torn(file):
    file.write_bytes(file.read_bytes()[:-9])


def emptied(file):
    file.write_bytes(b"")


def overwritten(file):
    content = bytearray(file.read_bytes())
    third = len(content) // 3
    content[third : 2 * third] = b"\xff" * third
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("search.db", half, r"the storage sqlite:.*/search\.db cannot be used: database disk image is malformed\. If"),
        ("search.db", overwritten, r"the storage sqlite:.*/search\.db cannot be used: .*malformed\. If"),
        ("search.db", emptied, "the storage holds no trial, but .*/search has 2 that were begun"),
        ("search.db", os.remove, "the storage holds no trial, but .*/search has 2 that were begun"),
        ("journal", half, r"the journal .*/search/journal is damaged: line \d+ is no entry\. Start this again"),
        ("journal", torn, r"the journal .*/search/journal is damaged: line \d+ is no entry\. Start this again"),
        ("journal", overwritten, r"the journal .*/search/journal is damaged: line \d+ is no entry\. Put back"),
        ("journal", emptied, "the storage holds no trial, but .*/search has 2 that were begun"),
        ("search.id", emptied, r"/search/search\.id is damaged: .* write [0-9a-f]{32} into it"),
        ("search.id", overwritten, r"/search/search\.id is damaged: .* write [0-9a-f]{32} into it"),
    ],
)
def test_a_damaged_storage_is_named_and_nothing_is_drawn(name, damage, words, quick, tmp_path):
    make, seen = quick
    workdir = tmp_path / "search"
    storage = f"journal:{workdir / name}" if name == "journal" else ""
    workdir.mkdir()
    run_search(make(trials=2), workdir, storage=storage, report=lambda line: None)
    damage(workdir / name)
    with pytest.raises(InputError, match=words) as raised:
        run_search(make(trials=4), workdir, storage=storage, report=lambda line: None)
    assert "\n" not in str(raised.value) and len(seen) == 2


class Killed(BaseException):
    """Ends a process as SIGKILL does: nothing is told on the way out."""


BREAKS = ("optuna.Study.enqueue_trial", "optuna.Study.tell", "jaxcnn.sweeps.space.Range.suggest")


@pytest.mark.parametrize("where", BREAKS)
def test_killed_while_it_draws_a_trial_again_it_loses_none(where, quick, tmp_path, monkeypatch):
    make, seen = quick
    search, train = make(sampler="coarse_to_fine", trials=4), sweeps_search.train

    def killed(*arguments, **options):
        raise Killed

    def dies(config, workdir, **options):
        result = train(config, workdir, **options)
        if len(seen) == 2:
            raise Killed
        return result

    monkeypatch.setattr("jaxcnn.sweeps.search.train", dies)
    with pytest.raises(Killed):
        run_search(search, tmp_path, report=lambda line: None)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(where, killed)
        run_search(search, tmp_path, report=lambda line: None)
    monkeypatch.setattr("jaxcnn.sweeps.search.train", train)
    study = run_search(search, tmp_path, report=lambda line: None)
    done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    assert sorted(trial.user_attrs["folder"] for trial in done) == [f"trial-{n:04}" for n in range(4)]
    (again,) = [trial for trial in done if trial.user_attrs["folder"] == "trial-0001"]
    assert again.params["optimizer.learning_rate"] == seen[1]  # as its directory has it


def test_a_trial_that_fails_is_named_and_hides_no_other(quick, tmp_path, monkeypatch):
    make, _ = quick
    train, lines = sweeps_search.train, []

    def fails(config, workdir, **options):
        if workdir.name == "trial-0001":
            raise MemoryError("of the device")
        return train(config, workdir, **options)

    monkeypatch.setattr("jaxcnn.sweeps.search.train", fails)
    study = run_search(make(sampler="random", trials=3), tmp_path, report=lines.append)
    assert states(study) == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert trial_rows(study)[1]["error"] == "MemoryError: of the device" and "MemoryError" in lines[1]


def test_what_no_trial_gets_past_ends_the_search_and_uses_up_no_trial(quick, tmp_path, monkeypatch):
    make, seen = quick

    def misses(config, workdir, **options):
        raise InputError("there is no data set here")

    with monkeypatch.context() as broken:
        broken.setattr("jaxcnn.sweeps.search.train", misses)
        with pytest.raises(InputError, match="no data set here"):
            run_search(make(sampler="random", trials=3), tmp_path, report=lambda line: None)
    study = run_search(make(sampler="random", trials=3), tmp_path, report=lambda line: None)
    assert states(study) == ["FAIL", "COMPLETE", "COMPLETE", "COMPLETE"] and len(seen) == 3


def test_one_storage_is_of_one_directory(quick, tmp_path):
    make, _ = quick
    storage = f"sqlite:///{tmp_path}/common.db"
    run_search(make(trials=1), tmp_path / "mine" / "lr", storage=storage, report=lambda line: None)
    with pytest.raises(InputError, match="a search named 'lr' of another directory"):
        run_search(make(trials=1), tmp_path / "yours" / "lr", storage=storage, report=lambda line: None)
    run_search(make(trials=2), tmp_path / "mine" / "lr", storage=storage, report=lambda line: None)


def test_another_base_is_another_search(quick, tmp_path, tiny_config):
    make, _ = quick
    run_search(make(trials=1), tmp_path, report=lambda line: None)
    with pytest.raises(InputError, match=r"another base config\. duration: '20 steps' there, '30 steps' here"):
        run_search(Search(tiny_config({"duration": "30 steps"}), RATE, trials=1), tmp_path, report=lambda line: None)


def test_a_storage_that_is_none_is_refused(quick, tmp_path):
    make, _ = quick
    with pytest.raises(InputError, match="the storage nonsense cannot be used: Could not parse"):
        run_search(make(trials=1), tmp_path, storage="nonsense", report=lambda line: None)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"space": {"optimizer.learning_rat": Range(0.1, 1.0)}}, "'optimizer.learning_rate'"),
        ({"space": {"batch_size": Choice((8, "a"))}}, "search space: 'a' is no value of batch_size, which is 32 here"),
        ({"space": {"batch_size": Range(0.5, 8)}}, r"0\.5 is no value of batch_size.*it takes int, not float"),
        ({"space": {"augment.flip": Choice(("yes",))}}, "'yes' is no value of augment.flip"),
        ({"space": {"batch_size": (8, 16)}}, r"'batch_size' has \(8, 16\); it is a Range or a Choice"),
        ({"sampler": "tpee"}, "did you mean 'tpe'"),
        ({"pruner": "median_"}, "did you mean 'median'"),
    ],
)
def test_what_cannot_be_searched_is_refused(tiny_config, fields, words):
    with pytest.raises(InputError, match=words):
        Search(tiny_config(), **{"space": RATE, **fields})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Range(2, 1), "low is at most high"),
        (lambda: Range(0.0, 1.0, log=True), "low is at most high"),
        (lambda: Range("low", 1.0), "low is 'low'; it is a number"),
        (lambda: Range(0.0, float("nan")), "high is nan; it is a number"),
        (lambda: Choice(()), "no values"),
        (lambda: Choice(((4, 8),)), r"\(4, 8\) is a tuple"),
    ],
)
def test_a_space_that_cannot_be_drawn_from_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_numpys_numbers_are_numbers(quick, tmp_path):
    make, _ = quick
    space = {"batch_size": Choice(np.array([32, 64])), "log_every": Range(np.int64(1), np.int64(4)), **RATE}
    study = run_search(make(space=space, trials=3), tmp_path, report=lambda line: None)
    for trial in study.trials:
        assert trial.params["batch_size"] in (32, 64) and type(trial.params["log_every"]) is int


def test_ranges_of_whole_numbers_and_choices_reach_the_config(quick, tmp_path, tiny_config):
    space = {"batch_size": Range(8, 64), "model.options.activation": Choice(("tanh", "relu"))}
    search = Search(tiny_config(), space, trials=1)
    config = search.config({"batch_size": 16, "model.options.activation": "tanh"})
    assert config.batch_size == 16 and config.model.options.activation == "tanh"
    assert space["batch_size"].around(20, 0.25) == Range(13, 27)
    assert Range(16, 32, log=True).around(16, 0.25) == Range(16, 18, log=True)  # 15.999..., rounded down, is 15


@pytest.fixture
def worker(tmp_path):
    """start(): a process that works on the search of FILE; all are gone after the test."""
    (tmp_path / "rates.py").write_text(FILE)
    started = []

    def start():
        command = [sys.executable, "-m", "jaxcnn", "sweep", tmp_path / "rates.py", "--workdir", tmp_path / "search"]
        environment = {**os.environ, "XLA_FLAGS": "", "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(list(map(str, command)), env=environment, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.long
def test_of_two_workers_one_is_killed_and_no_trial_is_lost_or_done_twice(worker, tmp_path):
    first, second = worker(), worker()
    while not list((tmp_path / "search").glob("trial-*/checkpoints/[0-9]*")):
        assert first.poll() is None and second.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    _, err = second.communicate()
    assert second.returncode == 0, err
    third = worker()  # whatever the killed one left
    _, err = third.communicate()
    assert third.returncode == 0, err
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path / 'search' / 'search.db'}")
    done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    assert sorted(trial.user_attrs["folder"] for trial in done) == [f"trial-{n:04}" for n in range(3)]
    assert len({trial.params["optimizer.learning_rate"] for trial in done}) == 3
    assert [t.state.name for t in study.trials if t.state.name != "COMPLETE"] in ([], ["FAIL"])
    with (tmp_path / "search" / "trials.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 3 and (tmp_path / "search" / "report.html").exists()
    best = max(table, key=lambda row: float(row["validation_top1"]))["trial"]
    looks = [
        path.parent.name
        for path in (tmp_path / "search").glob("trial-*/evaluations.jsonl")
        if any(json.loads(line)["split"] == "test" for line in path.read_text().splitlines())
    ]
    assert looks == [best]  # the test split is looked at once, with the best
