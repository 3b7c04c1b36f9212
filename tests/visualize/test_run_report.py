import base64
import io
import math
import re

import numpy as np
import pytest
from PIL import Image

from jaxcnn.visualize.examples import LARGEST, Example, example_grids, example_png
from jaxcnn.visualize.report import RunReport, run_report


def scores(rows, split, key):
    return [row[key] for row in rows if row.get("split") == split]


@pytest.fixture(scope="module")
def whole(rows_of, run_of):
    """The page of a run that has everything: drawn once, read by many tests."""
    return run_report(run_of(rows_of()))


def assert_fetches_nothing(source, page):
    for _, name, value in page.attributes:
        if name in ("src", "href", "srcset", "action", "data", "poster"):
            assert value.startswith(("data:image/png;base64,", "#"))
    assert not re.search(r"@import|url\(|https?:|fetch\(|XMLHttpRequest", re.sub(r"base64,[^\"]*", "", source))


def test_page_is_whole_and_fetches_nothing(whole, read):
    page = read(whole)
    assert_fetches_nothing(whole, page)
    assert len(page.images()) == 4  # curves, two examples, confusion
    for image in page.images():
        Image.open(io.BytesIO(base64.b64decode(image.partition(",")[2]))).verify()
    assert all(value for tag, name, value in page.attributes if (tag, name) == ("img", "alt"))
    assert sum((tag, name) == ("img", "alt") for tag, name, _ in page.attributes) == 4


def test_headline_figures_are_those_of_the_data(rows, whole, read):
    text = read(whole).text
    best = max(scores(rows, "validation", "top1"))
    step = next(row["step"] for row in rows if row.get("split") == "validation" and row["top1"] == best)
    assert f"Held-out accuracy {100 * best:.2f} % best of validation, epoch {step // 4}, step {step}" in text
    assert "Test accuracy 87.65 % n = 1 234, step 24" in text
    assert "Parameters 61 706" in text
    rate = sorted(scores(rows, "train", "images_per_second"))
    assert f"Images per second {(rate[11] + rate[12]) / 2:.0f}" in text
    assert "Training time 48.0 s steps only" in text and "Compile time 12.5 s 1 program" in text


def test_epoch_table_is_the_rows(rows, whole, read):
    table = next(table for table in read(whole).tables if "validation loss" in table[0])
    train_loss = np.reshape(scores(rows, "train", "loss"), (6, 4)).mean(axis=1)
    expected = zip(
        train_loss, *(scores(rows, "validation", key) for key in ("loss", "top1", "top5")), range(1, 7), strict=True
    )
    for line, (train, loss, top1, top5, epoch) in zip(table[1:], expected, strict=True):
        assert line[:4] == [str(epoch), str(4 * epoch), f"{train:.4f}", f"{loss:.4f}"]
        assert line[5:7] == [f"{100 * top1:.2f} %", f"{100 * top5:.2f} %"]
        assert line[7] == f"{0.1 / (4 * epoch):.4g}"


def test_long_runs_show_their_last_rows_and_fold_all(rows_of, run_of, read):
    page = read(run_report(run_of(rows_of(epochs=30), confusion=None)))
    tables = [table for table in page.tables if "validation loss" in table[0]]
    assert [len(table) - 1 for table in tables] == [12, 30]
    assert tables[0][-1] == tables[1][-1]


def test_gap_is_in_words(rows, whole, read):
    train = np.mean(scores(rows, "train", "top1")[-4:])
    gap = 100 * (train - scores(rows, "validation", "top1")[-1])
    assert f"a gap of {gap:.2f} points" in read(whole).text


def test_config_environment_and_classes_are_escaped(whole, read):
    page = read(whole)
    assert "<html> & co" not in whole and "&lt;html&gt; &amp; co" in whole
    assert "<run>" in page.text
    assert ["optimizer.learning_rate", "0.1"] in [row for table in page.tables for row in table]
    assert ["git_commit", "0123abc"] in [row for table in page.tables for row in table]


def test_per_class_accuracy_is_of_the_confusion_matrix_lowest_first(whole, read):
    text = read(whole).text
    words = ["cat 16.7 % (1 of 6)", "dog 33.3 % (5 of 15)", "<html> & co 37.5 % (9 of 24)"]
    places = [text.index(word) for word in words]
    assert places == sorted(places)


def test_per_class_accuracy_falls_back_on_the_evaluation(rows, run_of, read):
    text = read(run_report(run_of(rows, confusion=None))).text
    assert "cat 50.0 %" in text and "Confusion" not in text


def test_test_accuracy_is_that_of_the_checkpoint(rows, run_of, read):
    evaluations = [{"split": "test", "step": s, "n": 10, "loss": 1.0, "top1": s / 100} for s in (24, 12)]
    assert "Test accuracy 24.00 %" in read(run_report(run_of([], evaluations=evaluations))).text


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": []},
        {"rows": [{"event": "compiled", "seconds": 1.0}, {"event": "resumed", "step": 3}, {"event": "?"}]},
        {"evaluations": [], "confusion": None, "examples": [], "classes": (), "config": {}, "environment": {}},
        {"rows": [], "evaluations": [{"split": "test", "top1": None}, {}], "confusion": None, "parameters": None},
        {"rows": [], "confusion": np.zeros((3, 3), int)},
    ],
    ids=["no rows", "only events", "nothing else", "null scores", "empty confusion"],
)
def test_missing_pieces_still_give_a_page(rows, run_of, read, changes):
    source = run_report(run_of(**{"rows": rows, **changes}))
    assert_fetches_nothing(source, read(source))


def test_nothing_at_all(read):
    page = read(run_report(RunReport("empty", {}, {}, [], [], (), None, "test", [], 0)))
    assert "no metrics" in page.text and not page.images()


def test_one_row_and_one_class(rows, run_of, read):
    example = Example(np.zeros((4, 4, 1), np.uint8), 0, np.ones(1))
    page = read(run_report(run_of(rows[1:2], classes=("only",), examples=[example])))
    assert "only 100.0 % (1 of 1)" in page.text


def test_diverged_run_says_so(rows, run_of, read):
    for row in rows:
        if row.get("step", 0) >= 11:
            row["loss"] = math.nan
    page = read(run_report(run_of(rows, confusion=None)))
    assert "not a finite number at step 11 (epoch 2.75)" in page.text
    table = next(table for table in page.tables if "validation loss" in table[0])
    assert [line[2] for line in table[3:]] == ["NaN"] * 4


def test_test_as_held_out_split_is_named(rows_of, run_of, read):
    assert "best of test" in read(run_report(run_of(rows_of(split="test"), confusion=None))).text


def test_examples_are_sorted_by_confidence_and_show_three_bars(read):
    pixels = np.zeros((4, 4, 3), np.uint8)
    mild, sure = np.array([0.1, 0.4, 0.3, 0.2]), np.array([0.005, 0.02, 0.96, 0.015])
    page = read(example_grids([Example(pixels, 0, mild), Example(pixels, 0, sure), Example(pixels, 2, sure)], "abcd"))
    assert "1 of 3 held-out images right" in page.text
    assert page.text.index("predicted c") < page.text.index("predicted b")
    assert "b 40.0 % c 30.0 % d 20.0 %" in page.text
    kinds = [value for _, name, value in page.attributes if name == "class" and value.startswith("fill ")]
    assert kinds == ["fill miss", "fill miss", "fill hit"]  # the true class "a" is in no top 3 of the wrong ones


def test_example_png_keeps_pixels_and_shrinks_photographs():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(example_png(pixels)))), pixels)
    assert np.asarray(Image.open(io.BytesIO(example_png(pixels[..., :1])))).shape == (9, 7)
    assert max(Image.open(io.BytesIO(example_png(np.zeros((400, 300, 3), np.uint8)))).size) == LARGEST
    with pytest.raises(ValueError, match="float64"):
        example_png(np.zeros((4, 4, 3)))


def test_the_scores_of_classes_are_those_of_the_checkpoint_and_those_of_another_say_so(rows, run_of, read):
    said = [
        {"split": "test", "step": step, "n": 10, "per_class": {"cat": accuracy, "dog": 0.9}}
        for step, accuracy in ((24, 0.25), (12, 0.75))
    ]
    changes = {"classes": ("cat", "dog"), "confusion": None, "examples": []}
    text = read(run_report(run_of(rows, evaluations=said, **changes))).text
    assert "cat 25.0 %" in text and "75.0 %" not in text and "test, 2 classes" in text
    text = read(run_report(run_of(rows, evaluations=said[1:], **changes))).text
    assert "cat 75.0 %" in text and "test at step 12, 2 classes" in text
