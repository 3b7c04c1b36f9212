"""Studies and searches of a task of a user's own: metrics, directions and labels come from its Kind."""

import csv
import json
import math
import re
import shutil
import sys

import numpy as np
import pytest

from jaxcnn.errors import InputError
from jaxcnn.sweeps import Claim, Metric, Study, metrics_of
from jaxcnn.sweeps.results import results_table
from jaxcnn.sweeps.runner import collect
from jaxcnn.sweeps.search import Choice, Range, Search, run_search
from jaxcnn.sweeps.trials import best_trials
from jaxcnn.sweeps.verdicts import findings
from jaxcnn.tasks import CLASSIFICATION
from jaxcnn.training.config import to_json

RATE = "optimizer.learning_rate"
SPACE = {RATE: Range(1e-3, 1.0, log=True)}
PACKAGE = """
from jaxcnn.tasks import CLASSIFICATION, Measure

measures = {
    "ssim": Measure(),
    "mse": Measure(higher_is_better=False, label="squared error"),
    "psnr": Measure("dB", label="PSNR"),
}
KIND = CLASSIFICATION._replace(measures=measures, selects=("mse",))
PLAIN = KIND._replace(measures={"first/loss": Measure(higher_is_better=False), **measures}, selects=())
EMPTY = PLAIN._replace(measures={})
ASTRAY = KIND._replace(selects=("psn",))
"""
COLUMNS = [f"{split}_{name}" for split in ("test", "validation", "train") for name in ("mse", "ssim", "psnr")]
LABELS = {
    "test_mse": "test squared error",
    "validation_psnr": "held-out PSNR",
    "train_ssim": "ssim on the last training images",
    "seconds": "training time",
}


@pytest.fixture(scope="module")
def config_of(tiny_config, tmp_path_factory):
    """make("KIND") is a config of that task of a user's package."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "jaxcnn_test_restoring.py").write_text(PACKAGE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield lambda name="KIND": tiny_config({"task.name": f"jaxcnn_test_restoring:{name}"})
    sys.modules.pop("jaxcnn_test_restoring", None)


@pytest.fixture(scope="module")
def study_of(config_of):
    """make(("test_psnr", ...)) is a study of two rates with a claim, that the first is above, on each of these."""

    def make(metrics, **options):
        claims = tuple(Claim(f"0.1 is above on {name or 'it'}.", {RATE: 0.1}, {RATE: 0.2}, name) for name in metrics)
        return Study(config_of(), {RATE: (0.1, 0.2)}, (0, 1, 2), claims=claims, baseline={RATE: 0.2}, **options)

    return make


def write_run(folder, like, run, mse):
    """A finished run as training leaves it: its step 20 was the best; training logs no psnr."""
    folder.mkdir(parents=True)
    shutil.copy(like / "data.json", folder)
    shutil.copy(like / "environment.json", folder)
    (folder / "config.json").write_text(to_json(run.config))
    position = {"epoch": 1.0, "learning_rate": 0.1, "images_per_second": 50.0, "seconds": 3.0}
    rows = []
    for step, factor in ((10, 3), (20, 1), (30, 2)):
        scores = {"mse": factor * mse, "ssim": 0.5}
        rows.append({"split": "train", "step": step, **position, **scores})
        rows.append({"split": "validation", "step": step, **position, **scores, "psnr": 30.0 / factor})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    test = {"split": "test", "step": 20, "n": 9, "final": True, "mse": mse + 1, "ssim": None, "psnr": 28.0 - mse}
    (folder / "evaluations.jsonl").write_text(json.dumps(test) + "\n")


@pytest.fixture(scope="module")
def collected(study_of, tiny_run, tmp_path_factory):
    """(study, workdir, cells, verdicts) of runs whose squared error is 4 of the rate 0.1, 2 of 0.2, and the seed."""
    study, workdir = study_of(("", "test_psnr", "train_psnr", "train_mse")), tmp_path_factory.mktemp("study")
    for run in study.runs():
        write_run(workdir / run.id, tiny_run, run, (4.0 if run.levels[RATE] == 0.1 else 2.0) + 0.01 * run.seed)
    cells, failed = collect(study, workdir, title="Which rate?")
    assert not failed
    return study, workdir, cells, json.loads((workdir / "verdicts.json").read_text())


def test_metrics_are_the_measures_of_the_task_on_every_split(study_of):
    study = study_of(("",))
    assert list(study.metrics) == [*COLUMNS, "seconds", "images_per_second", "steps"]
    assert study.claims[0].metric == study.main == "test_mse" and study.held_out == "validation_mse"
    described = {name: study.metrics[name].described(name) for name in LABELS}
    assert {name: found["label"] for name, found in described.items()} == LABELS
    better = {name: found["higher_is_better"] for name, found in described.items()}
    assert better == {"test_mse": False, "validation_psnr": True, "train_ssim": True, "seconds": False}
    assert described["validation_psnr"]["unit"] == "dB"


def test_of_classification_are_what_they_were_and_a_claim_may_be_on_any_measure(tiny_config):
    """The columns of every results.csv that there is."""
    columns = ["test_top1", "test_loss", "validation_top1", "train_top1", "train_loss"]
    study = Study(tiny_config(), {RATE: (0.1, 0.2)}, (0,))
    assert list(study.metrics) == [*columns, "seconds", "images_per_second", "steps"]
    assert [study.metrics[name].described(name)["label"] for name in columns] == [
        "test accuracy", "test loss", "held-out accuracy", "accuracy on the last training images",
        "loss on the last training images",
    ]  # fmt: skip
    claim = Claim("", {RATE: 0.1}, {RATE: 0.2}, "validation_top5")
    study = Study(tiny_config(), {RATE: (0.1, 0.2)}, (0,), claims=(claim,))
    assert set(study.metrics) - {*columns, "seconds", "images_per_second", "steps"} == {"validation_top5"}
    assert set(study.metrics) < set(metrics_of(CLASSIFICATION))
    own = Metric(len)  # a name that became a metric after the study was written is still the study's
    assert Study(tiny_config(), {}, (0,), measures={"validation_loss": own}).metrics["validation_loss"] is own


@pytest.mark.parametrize(
    ("metrics", "options", "words"),
    [
        (("test_top1",), {}, "there is no metric 'test_top1'; .*test_mse"),
        (("test_mse",), {"measures": {"train_psnr": Metric(len)}}, "measure 'train_psnr': every run has one"),
        ((), {"measures": {"mine": CLASSIFICATION.measures["loss"]}}, "measure 'mine' is a Measure; it is a jaxcnn"),
    ],
)
def test_a_metric_that_the_task_lacks_is_refused_at_once(study_of, metrics, options, words):
    with pytest.raises(InputError, match=words):
        study_of(metrics, **options)


@pytest.mark.parametrize(
    ("name", "words"), [("EMPTY", "has no measures"), ("ASTRAY", "selects names psn, which is not among its measures")]
)
def test_a_task_without_what_it_is_compared_by_is_refused_at_once(config_of, name, words):
    with pytest.raises(InputError, match=f"task jaxcnn_test_restoring:{name}:? {words}"):
        Study(config_of(name), {}, (0,))


def test_an_unknown_task_is_refused_at_once(tiny_config):
    with pytest.raises(InputError, match=r"config\.task\.name: unknown task 'clasification'.*'classification'"):
        Study(tiny_config({"task.name": "clasification"}), {}, (0,))


def test_values_are_read_by_the_names_of_the_measures(collected):
    study, workdir, cells, _ = collected
    expected = {
        "test_mse": 5.01,
        "test_ssim": None,
        "test_psnr": 28.0 - 4.01,
        "validation_mse": 4.01,
        "validation_ssim": 0.5,
    }
    expected |= {"validation_psnr": 30.0, "train_mse": 8.02, "train_ssim": 0.5, "train_psnr": None, "seconds": 3.0}
    assert {name: cells[0].values[name][1] for name in expected} == expected
    with (workdir / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[6:] == list(study.metrics)
    assert [float(row["test_mse"]) for row in rows] == [5.0, 5.01, 5.02, 3.0, 3.01, 3.02]
    assert {row["train_psnr"] for row in rows} == {""}


def test_claims_are_decided_and_worded_by_the_task(collected):
    _, _, _, verdicts = collected
    mse, psnr, without, train = verdicts["claims"]
    assert mse["metric"] == "test_mse" and mse["verdict"] == "not decided"  # three equal differences
    assert "learning_rate=0.1 minus learning_rate=0.2 is 2.00 of test squared error" in mse["sentence"]
    assert psnr["estimate"] == pytest.approx(-2) and "is -2.00 dB of test PSNR" in psnr["sentence"]
    assert without["sentence"] == (
        "not decided: no seed has PSNR on the last training images of both learning_rate=0.1 and learning_rate=0.2; of "
        "3 seeds PSNR on the last training images is there of learning_rate=0.1 at 0 and learning_rate=0.2 at 0"
    )
    assert train["estimate"] == pytest.approx(4)
    assert list(verdicts["metrics"]) == ["test_mse", "test_psnr", "train_psnr", "train_mse"]
    assert [row["mcnemar"] for row in verdicts["comparisons"]["test_mse"]] == [None]  # no image is right or wrong


def test_table_summary_and_report_say_the_measures_of_the_task(collected):
    study, workdir, cells, _ = collected
    found = findings(study, cells)
    title = str(results_table(study, found).title)
    assert title == "Test squared error (lower is better) of the best held-out checkpoint"
    summary, report = ((workdir / name).read_text() for name in ("summary.md", "report.html"))
    assert "| Test squared error (lower is better) | n |" in summary and "| learning_rate=0.1 | 3 | 5.01 |" in summary
    for words in ("Held-out squared error (lower is better)", "Test squared error of every run, by cell", "5.0100"):
        assert words in report
    assert not any(word in report + summary for word in ("ccuracy", "top-1", "McNemar"))


def test_a_task_that_selects_nothing_has_a_study_but_no_search(config_of):
    study = Study(config_of("PLAIN"), {}, (0,))
    assert study.main == "test_ssim"  # a player's loss is of training alone
    assert str(results_table(study, findings(study, [])).title) == "Test ssim of the latest checkpoint"
    with pytest.raises(InputError, match=r"jaxcnn_test_restoring:PLAIN selects by none: its `selects` is \(\)"):
        Search(config_of("PLAIN"), SPACE)


def test_of_classification_a_search_maximises_accuracy(tiny_config):
    search = Search(tiny_config(), SPACE)
    assert search.direction == "maximize" and search.kind.main == "top1"


@pytest.fixture
def searched(config_of, tmp_path, monkeypatch):
    """run(**fields): (Optuna study, printed lines) of trials whose squared error is that of log10(rate) from -1."""
    pytest.importorskip("optuna")

    def train(config, workdir, *, on_evaluation, final_test, quiet):
        workdir.mkdir(parents=True, exist_ok=True)
        error = float((np.log10(config.optimizer.learning_rate) + 1) ** 2)
        for step in (1, 2, 3):
            on_evaluation(step, error * 4 / step)
        error = math.inf if config.optimizer.learning_rate > 0.9 else error
        return type("Result", (), {"validation": {"step": 3, "mse": error, "ssim": 0.5, "psnr": -error}})

    class Tested:
        config, step = config_of(), 3
        config.data.test = "test"

        def __init__(self, folder):
            self.folder = folder

        def evaluate(self, split):
            return None, {"n": 9, "mse": 0.125}

    monkeypatch.setattr("jaxcnn.sweeps.search.train", train)
    monkeypatch.setattr("jaxcnn.sweeps.trials.Trained", Tested)

    def run(**fields):
        lines, search = [], Search(config_of(), **{"space": SPACE, "sampler": "random", "pruner": "none", **fields})
        return search, run_search(search, tmp_path / "search", report=lines.append), lines

    return run


def test_a_search_looks_for_the_least_error(searched, tmp_path):
    search, study, lines = searched(trials=8)
    errors = [(np.log10(trial.params[RATE]) + 1) ** 2 for trial in study.trials if trial.state.name == "COMPLETE"]
    assert study.direction.name == "MINIMIZE" and study.best_value == pytest.approx(min(errors))
    assert f"held out {study.trials[0].value:.4f}" in lines[0]
    with (tmp_path / "search" / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["validation_mse"]) for row in rows if row["state"] == "done"] == pytest.approx(errors)
    header, best = best_trials(search, study)
    assert header[:2] == ("trial", "Held-out squared error (lower is better)")
    assert best[0][0] == study.best_trial.user_attrs["folder"] and len(best) == len(errors)
    report = (tmp_path / "search" / "report.html").read_text()
    for words, value in (("Best held-out squared error", study.best_value), ("Its test squared error", 0.125)):
        assert re.search(f"{words}<.{{1,40}}>{value:.4f}<", report)
    assert "ccuracy" not in report and "top-1" not in report


def test_it_is_narrowed_around_the_least_error_and_prunes_what_is_above_the_median(searched):
    _, study, _ = searched(trials=12, sampler="coarse_to_fine", pruner="median")
    coarse, fine = ([np.log10(trial.params[RATE]) for trial in part] for part in (study.trials[:6], study.trials[6:]))
    best = min(coarse, key=lambda rate: abs(rate + 1))
    assert np.abs(np.subtract(fine, best)).max() <= 3 * 0.25 / 2 + 1e-9  # a quarter of three decades
    pruned = [trial for trial in study.trials if trial.state.name == "PRUNED"]
    ended = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    assert pruned and min(t.intermediate_values[1] for t in pruned) > min(t.intermediate_values[1] for t in ended)


def test_a_trial_whose_measure_is_not_finite_is_named_and_counts_as_lost(searched):
    space = {RATE: Choice((0.1, 1.0))}
    _, study, lines = searched(trials=6, space=space)
    lost = {trial.params[RATE] for trial in study.trials if trial.state.name == "PRUNED"}
    assert lost == {1.0} and any("its held-out squared error is inf" in line for line in lines)
    assert study.best_params[RATE] == 0.1 and len(study.trials) == 6


def test_a_search_whose_task_turned_around_is_another(searched, monkeypatch):
    searched(trials=1)
    module = sys.modules["jaxcnn_test_restoring"]
    monkeypatch.setattr(module, "KIND", module.KIND._replace(selects=("ssim",)))
    with pytest.raises(InputError, match=r"holds a search that is to minimize .*, and ssim is to be maximized"):
        searched(trials=2)
