"""Curves of several runs."""

import numpy as np
import pytest

from jaxcnn.visualize.run_curves import draw_runs


def lines(figure):
    return {line.get_gid(): line for axes in figure.axes for line in axes.lines if line.get_gid()}


@pytest.mark.parametrize("epochs", [6, 30])
def test_one_spike_does_not_flatten_a_loss(rows_of, epochs):
    rows = rows_of(epochs=epochs)
    usual = max(row["loss"] for row in rows if "loss" in row)
    train = [row for row in rows if row.get("split") == "train"]
    train[len(train) // 2]["loss"] = 200 * usual
    loss = draw_runs({"one": rows}).axes[0]
    assert loss.get_ylim()[1] < 3 * usual
    (words,) = (text.get_text() for text in loss.texts)
    assert words.startswith("cut off: up to ")
    assert not draw_runs({"one": rows_of(epochs=epochs)}).axes[0].texts


def test_every_run_has_its_lines(rows_of):
    first, second = rows_of(), rows_of(epochs=4, seed=1)
    figure = draw_runs({"one": first, "_two": second})
    loss, accuracy, *_ = figure.axes
    held_out = [row for row in first if row.get("split") == "validation"]
    for axes, key, scale in ((loss, "loss", 1), (accuracy, "top1", 100)):
        line = next(line for line in axes.lines if line.get_gid() == "one held-out")
        np.testing.assert_allclose(line.get_xdata(), [row["epoch"] for row in held_out])
        np.testing.assert_allclose(line.get_ydata(), [scale * row[key] for row in held_out])
    train = [row for row in first if row.get("split") == "train"]
    means = [np.mean([row["top1"] for row in train[i : i + 4]]) for i in range(0, 24, 4)]
    found = lines(figure)
    np.testing.assert_allclose(
        found["one gap"].get_ydata(), 100 * (np.array(means) - [row["top1"] for row in held_out]), rtol=1e-6
    )
    np.testing.assert_allclose(found["one rate"].get_ydata(), [row["learning_rate"] for row in train])
    assert len(found["_two held-out"].get_xdata()) == 4
    assert found["one gap"].get_color() != found["_two gap"].get_color()
    best = max(held_out, key=lambda row: (row["top1"], -row["loss"], row["step"]))
    np.testing.assert_allclose([*found["one best"].get_xydata()[0]], [best["epoch"], 100 * best["top1"]])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["held out", "train", "best", "one", "_two"]


def test_a_run_without_evaluations_shows_every_train_row(rows_of):
    rows = [row for row in rows_of() if row.get("split") != "validation"]
    figure = draw_runs({"one": rows})
    line = next(line for line in figure.axes[0].lines if line.get_gid() == "one train")
    assert len(line.get_xdata()) == 24


def test_a_rate_that_ends_at_nothing_leaves_room_for_the_rest(rows_of):
    rows = [{**row, "learning_rate": 0.5 * 0.1 ** (row["step"] - 1)} if "step" in row else row for row in rows_of()]
    rate = draw_runs({"one": rows}).axes[3]
    low, high = rate.get_ylim()
    assert rate.get_yscale() == "log" and low == pytest.approx(1e-4 * high)
