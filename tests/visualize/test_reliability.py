"""The reliability diagram and the scores by class of a report."""

import numpy as np
import pytest

from jaxcnn.evaluation.calibration import calibration_of
from jaxcnn.visualize.figure import png_bytes
from jaxcnn.visualize.reliability import calibration_words, draw_reliability
from jaxcnn.visualize.report import run_report


@pytest.fixture(scope="module")
def found():
    random = np.random.default_rng(0)
    logits = random.normal(size=(300, 3)) * 3
    return calibration_of(
        logits, np.where(random.random(300) < 0.5, logits.argmax(axis=1), random.integers(3, size=300))
    )


def heights(axes, gid):
    return [patch.get_height() for patch in axes.patches if patch.get_gid() == gid]


def test_bars_are_the_bins(found):
    figure = draw_reliability(found, title="a $run$")
    above, scaled, below, _ = figure.axes
    for axes, one in ((above, found), (scaled, found["scaled"])):
        assert heights(axes, "accuracy") == pytest.approx([100 * x for x in one["accuracy"] if x is not None])
        assert f"{100 * one['ece']:.2f} %" in axes.get_title(loc="left")
    assert heights(below, "images") == found["images"] and sum(found["images"]) == 300
    assert len(draw_reliability({**found, "scaled": None, "temperature": None}).axes) == 2
    assert png_bytes(figure)


def test_images_are_whole():
    few = calibration_of(np.log([[0.5, 0.3, 0.2]] * 9 + [[0.9, 0.06, 0.04]]), np.zeros(10, int))
    axes = draw_reliability(few).axes
    for below in axes[len(axes) // 2 :]:
        assert all(tick == round(tick) for tick in below.get_yticks())


def test_words_say_where_the_temperature_is_from(found):
    first, second = calibration_words(found, split="validation", fitted_here=True)
    assert "15 bins of equal width, 300 images of validation" in first and "on these images" in second
    bare = {**found, "scaled": None, "temperature": None}
    assert "evaluate --split validation" in list(calibration_words(bare, split="test", fitted_here=False))[1]
    assert "No temperature" in list(calibration_words(bare, split="validation", fitted_here=True))[1]


def test_report_has_scores_and_calibration(rows_of, run_of, read, found):
    scores = {"class_scores": {"balanced_accuracy": 0.25, "f1": None}, "calibration": found}
    evaluation = {"split": "test", "step": 24, "n": 300, "top1": 0.3, **scores}
    page = read(run_report(run_of(rows_of(), evaluations=[evaluation], calibration=("test", found, False))))
    header, line = next(table for table in page.tables if "balanced accuracy" in table[0])
    shown = dict(zip(header, line, strict=True))
    assert shown["balanced accuracy"] == "25.00 %" and shown["ECE"] == f"{100 * found['ece']:.2f} %"
    assert "macro F1" not in shown  # no row has it
    assert "fitted on the held-out part" in page.text
    table = next(table for table in page.tables if table[0] == ["class", "images", "precision", "recall", "F1"])
    # a row of the matrix is 1 2 3, 4 5 6, 7 8 9
    assert table[1] == ["cat", "6", "8.33 %", "16.67 %", "11.11 %"]
    assert "Balanced accuracy 29.17 %, macro precision 30.56 %" in page.text
