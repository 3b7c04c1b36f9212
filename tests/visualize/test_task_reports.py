"""The report and the curves of a run of another task than classification: by the measures in its data.json alone."""

import json
import math
import shutil

import numpy as np
import pytest

from jaxcnn import InputError, write_report
from jaxcnn.cli import main
from jaxcnn.evaluation.trained import Trained
from jaxcnn.tasks import CLASSIFICATION, Kind, Measure
from jaxcnn.training.rundir.about import about_task, measures_there
from jaxcnn.visualize.curves import draw_curves
from jaxcnn.visualize.history import best_row, first_bad_row, read_history
from jaxcnn.visualize.report import run_report
from jaxcnn.visualize.run_curves import draw_runs

MEASURES = {
    "loss": Measure(higher_is_better=False),
    "psnr": Measure("dB", label="PSNR"),
    "kept": Measure("points", label="$kept <detail>"),
}
DENOISING = Kind(MEASURES, ("psnr", "loss"), create=None)
GAME = Kind({"judge/loss": MEASURES["loss"], "fid": Measure(higher_is_better=False, log=True)}, (), create=None)


def rows_of_denoising():
    """Rows of 3 evaluations, best at step 4: as psnr is higher there than the first, and its loss lower."""
    train = [{"split": "train", "step": s, "epoch": s / 2, "loss": 1 / s, "learning_rate": 0.1} for s in range(1, 7)]
    held_out = [
        {"split": "validation", "step": s, "epoch": s / 2, "n": 9, "loss": loss, "psnr": psnr, "kept": 0.25}
        for s, loss, psnr in ((2, 0.5, 21.0), (4, 0.25, 31.5), (6, 0.75, 31.5))
    ]
    return train + held_out


def lines(axes):
    return {line.get_gid(): np.stack(line.get_data()) for line in axes.lines}


def test_the_best_row_is_that_of_the_measure_that_selects():
    assert best_row(read_history(rows_of_denoising()), DENOISING)["step"] == 4
    lowest = DENOISING._replace(selects=("loss",))
    assert best_row(read_history([row for row in rows_of_denoising() if row["step"] > 4]), lowest)["step"] == 6
    assert best_row(read_history(rows_of_denoising()), lowest)["step"] == 4
    assert best_row(read_history(rows_of_denoising()), DENOISING._replace(selects=()))["step"] == 6


def test_a_players_loss_that_is_not_finite_is_noticed():
    rows = [{"split": "train", "step": s, "judge/loss": loss} for s, loss in ((1, 0.5), (2, math.nan))]
    assert first_bad_row(read_history(rows))["step"] == 2


def test_curves_have_a_panel_for_each_measure():
    rows = rows_of_denoising()
    figure = draw_curves(rows, kind=DENOISING)
    loss, psnr, kept, rate = figure.axes
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Loss", "PSNR (dB)", "$kept <detail> (%)", "Learning rate"]
    np.testing.assert_array_equal(lines(psnr)["held-out"][1], [21.0, 31.5, 31.5])
    np.testing.assert_array_equal(lines(kept)["held-out"][1], [25.0] * 3)
    np.testing.assert_array_equal(lines(psnr)["best"][:, 0], [2.0, 31.5])
    assert "best" not in lines(loss) and "train" in lines(loss) and "rate" in lines(rate)


def test_numbers_below_zero_are_not_drawn_on_a_log_axis():
    rows = [{"split": "train", "step": s, "judge/loss": x} for s, x in ((1, -5.0), (2, 0.01), (3, 50.0))]
    assert draw_curves(rows, kind=GAME).axes[0].get_yscale() == "linear"
    rows[0]["judge/loss"] = 5.0
    assert draw_curves(rows, kind=GAME).axes[0].get_yscale() == "log"


def test_runs_are_compared_by_their_losses_and_by_what_selects():
    figure = draw_runs({"a": rows_of_denoising()}, DENOISING)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Loss", "PSNR (dB)", "Learning rate"]
    train = [{**row, "psnr": 20.0} if row["split"] == "train" else row for row in rows_of_denoising()]
    gap = draw_runs({"a": train}, DENOISING).axes[2]
    assert gap.get_title(loc="left") == "Gap: train minus held-out PSNR (dB)"
    np.testing.assert_array_equal(lines(gap)["a gap"][1], [-1.0, -11.5, -11.5])
    game = [{"split": "train", "step": 1, "epoch": 1.0, "judge/loss": 0.5, "learning_rate": 0.1}]
    titles = [axes.get_title(loc="left") for axes in draw_runs({"a": game}, GAME).axes]
    assert titles == ["Judge/loss", "Learning rate"]


def test_the_report_shows_measures_and_nothing_of_a_classifier(run_of, read):
    evaluations = [{"architecture": "unet", "split": "test", "step": 24, "n": 12, "loss": 0.3, "psnr": 30.25}]
    run = run_of(rows_of_denoising(), evaluations=evaluations, task="my.tasks:denoise", kind=DENOISING)
    page = read(run_report(run))
    assert "run of task my.tasks:denoise" in page.text
    assert "Held-out PSNR 31.5000 dB best of validation, epoch 2, step 4" in page.text
    assert "Test PSNR 30.2500 dB n = 12, step 24" in page.text
    assert (
        "Confusion" not in page.text
        and "held-out images right" not in page.text
        and "could as well be" not in page.text
    )
    table = next(table for table in page.tables if "validation psnr" in table[0])
    assert table[0][2:7] == ["train loss", "validation loss", "validation psnr", "validation kept", "learning rate"]
    assert table[1][2:6] == ["0.7500", "0.5000", "21.0000 dB", "25.00 %"]
    assert ["unet", "test", "24", "12", "0.3000", "30.2500 dB"] in [row for table in page.tables for row in table]


def test_a_task_that_measures_as_classification_does_is_shown_as_one(rows, run_of, read):
    text = read(run_report(run_of(rows, task="learning_without_forgetting"))).text
    assert "run of task learning_without_forgetting" in text
    assert "Confusion" in text and "held-out images right" in text and "Held-out accuracy" in text


def test_a_game_without_a_best_shows_its_latest(run_of, read):
    rows = [{"split": "train", "step": 1, "epoch": 1.0, "judge/loss": 0.5}]
    rows += [{"split": "validation", "step": s, "epoch": float(s), "n": 9, "fid": 1e-5 * s} for s in (1, 2)]
    page = read(run_report(run_of(rows, evaluations=[], task="game", kind=GAME)))
    assert "Held-out fid 2e-05 latest of validation, epoch 2, step 2" in page.text
    assert next(t for t in page.tables if "train judge/loss" in t[0])[0][2:4] == ["train judge/loss", "validation fid"]


@pytest.fixture
def denoising_run(tiny_run, tmp_path):
    """A run directory that says that it learned to denoise, by code that cannot be imported."""
    workdir = shutil.copytree(tiny_run, tmp_path / "run")
    about = json.loads((workdir / "data.json").read_text()) | about_task("jaxcnn_no_such:denoise", DENOISING)
    (workdir / "data.json").write_text(json.dumps(about))
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows_of_denoising()))
    return workdir


def test_a_run_directory_tells_its_measures_without_its_code(denoising_run, tiny_run, read):
    assert measures_there(denoising_run) == ("jaxcnn_no_such:denoise", MEASURES, ("psnr", "loss"))
    assert measures_there(tiny_run) == ("classification", CLASSIFICATION.measures, CLASSIFICATION.selects)
    assert about_task("classification", CLASSIFICATION) == {}
    page = read(write_report(denoising_run).read_text())
    assert "Held-out PSNR 31.5000 dB" in page.text and "690" in page.text and "held-out images right" not in page.text


def test_runs_that_are_measured_by_different_things_are_not_compared(denoising_run, tiny_run, tmp_path, capsys):
    output = tmp_path / "runs.png"
    both = ["visualize", "curves", "--workdir", str(tiny_run), str(denoising_run), "--output", str(output)]
    assert main(both) == 2 and not output.exists()
    assert f"{denoising_run} is jaxcnn_no_such:denoise." in capsys.readouterr().err


def test_evaluate_prints_the_measures_that_have_a_value(denoising_run, monkeypatch, capsys):
    row = {"architecture": "unet", "step": 20, "split": "test", "n": 9, "loss": 0.25, "psnr": 31.5, "kept": None}
    monkeypatch.setattr(Trained, "evaluate", lambda *_, **__: (None, row))
    assert main(["evaluate", "--workdir", str(denoising_run), "--split", "test"]) == 0
    assert capsys.readouterr().out == "unet, step 20, test: n 9, loss 0.2500, psnr 31.5000 dB\n"


def test_predict_prints_what_the_task_says_of_an_image(denoising_run, monkeypatch, capsys):
    rows = [{"file": "a.png", "noise": 0.5}, {"file": "b.png", "error": "torn"}]
    monkeypatch.setattr(Trained, "predict", lambda *_, **__: rows)
    assert main(["predict", "--workdir", str(denoising_run), "a.png", "b.png"]) == 1
    out = capsys.readouterr().out
    assert '{"noise": 0.5}' in out and "not read: torn" in out


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [("selects", ["ssim"], "'ssim' selects"), ("measures", {"psnr": ["dB"]}, "missing"), ("measures", 3, "items")],
)
def test_a_damaged_record_of_measures_is_named(denoising_run, key, value, reason):
    about = json.loads((denoising_run / "data.json").read_text())
    (denoising_run / "data.json").write_text(json.dumps({**about, key: value}))
    with pytest.raises(InputError, match=rf"data\.json is damaged: .*{reason}"):
        measures_there(denoising_run)
