import io
import math
import sys

import numpy as np
import pytest
from PIL import Image

from jaxcnn.tasks import Kind, Measure
from jaxcnn.visualize.curves import draw_comparison, draw_curves, draw_seeds
from jaxcnn.visualize.figure import DPI, literal, png_bytes


def lines(axes):
    return {line.get_gid(): np.stack(line.get_data()) for line in axes.lines}


def column(rows, split, key):
    return np.array([math.nan if row[key] is None else row[key] for row in rows if row.get("split") == split])


def test_lines_are_the_rows(rows):
    loss, error, rate = draw_curves(rows).axes
    np.testing.assert_array_equal(lines(loss)["train rows"][1], column(rows, "train", "loss"))
    np.testing.assert_array_equal(lines(loss)["held-out"][0], column(rows, "validation", "epoch"))
    np.testing.assert_array_equal(lines(loss)["held-out"][1], column(rows, "validation", "loss"))
    np.testing.assert_allclose(lines(error)["train rows"][1], 100 - 100 * column(rows, "train", "top1"))
    np.testing.assert_allclose(lines(error)["held-out"][1], 100 - 100 * column(rows, "validation", "top1"))
    np.testing.assert_array_equal(lines(rate)["rate"][1], column(rows, "train", "learning_rate"))
    assert loss.get_xlabel() == "epoch" and rate.get_yscale() == "log"


def test_train_line_is_the_mean_of_each_epoch(rows):
    loss = draw_curves(rows).axes[0]
    np.testing.assert_allclose(lines(loss)["train"][1], column(rows, "train", "loss").reshape(6, 4).mean(axis=1))


def test_best_held_out_point_is_marked(rows):
    error = draw_curves(rows).axes[1]
    top1 = column(rows, "validation", "top1")
    expected = [column(rows, "validation", "epoch")[top1.argmax()], 100 - 100 * top1.max()]
    np.testing.assert_allclose(lines(error)["best"][:, 0], expected)


def test_a_percentage_that_hardly_moves_has_room_above_it():
    rows = [
        {"split": "validation", "step": step, "epoch": step, "loss": 1.0, "top1": top1}
        for step, top1 in ((1, 0.6), (2, 0.601))
    ]
    error = draw_curves(rows).axes[1]
    assert error.get_ylim() == (0, pytest.approx(1.05 * 40))  # matplotlib's margin, a twentieth of what is shown


def test_png_has_150_dpi_and_is_drawn_on(rows):
    picture = Image.open(io.BytesIO(png_bytes(draw_curves(rows))))
    assert picture.format == "PNG" and round(picture.info["dpi"][0]) == DPI
    assert len(picture.convert("RGB").getcolors(maxcolors=picture.width * picture.height)) > 50


def test_same_rows_give_the_same_bytes(rows):
    assert png_bytes(draw_curves(rows)) == png_bytes(draw_curves(rows))


def test_path_is_written(rows, tmp_path):
    draw_curves(rows, path=tmp_path / "new" / "curves.png")
    with Image.open(tmp_path / "new" / "curves.png") as picture:
        assert picture.width > 1000


def test_nan_rows_leave_a_hole_and_are_marked(rows):
    for row in rows:
        if row.get("split") == "train" and row["step"] >= 9:
            row["loss"] = math.nan
    loss, error, _ = draw_curves(rows).axes
    drawn = lines(loss)
    assert np.isfinite(drawn["train rows"][1]).sum() == 8
    assert np.isfinite(drawn["train"][1]).sum() == 2  # epochs of 4 steps
    assert drawn["bad"][0][0] == 9 / 4
    assert png_bytes(draw_curves(rows))
    assert "train" in lines(error)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_rows_and_no_held_out_ones(rows, count):
    kept = [row for row in rows if row.get("split") == "train"][:count]
    figure = draw_curves(kept)
    assert png_bytes(figure)
    assert ("train rows" in lines(figure.axes[0])) == (count > 0)


def test_only_held_out_rows(rows):
    kept = [row for row in rows if row.get("split") == "validation"]
    assert png_bytes(draw_curves(kept))


def test_steps_are_the_axis_where_a_row_has_no_epoch(rows):
    del rows[3]["epoch"]
    loss = draw_curves(rows).axes[0]
    assert loss.get_xlabel() == "step"
    np.testing.assert_array_equal(lines(loss)["train rows"][0], np.arange(1, 25))


def test_mean_line_and_band_of_a_cell(rows_of):
    runs = [rows_of(seed=seed) for seed in range(3)]
    values = 100 * np.stack([column(rows, "validation", "top1") for rows in runs])
    for band, low in (("range", values.min(0)), ("std", values.mean(0) - values.std(0, ddof=1))):
        accuracy, _ = draw_comparison({"cell": runs}, band=band).axes
        np.testing.assert_allclose(accuracy.lines[0].get_ydata(), values.mean(0))
        lowest = {}
        for x, y in accuracy.collections[0].get_paths()[0].vertices:
            lowest[x] = min(y, lowest.get(x, math.inf))
        np.testing.assert_allclose([lowest[x] for x in accuracy.lines[0].get_xdata()], low)


def test_one_seed_has_no_band_and_the_legend_counts(rows_of):
    figure = draw_comparison({"_a $x$": [rows_of()], "b": [rows_of(), []]})
    assert not figure.axes[0].collections
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == [r"_a \$x\$ (n = 1)", "b (n = 1 of 2)"]
    assert png_bytes(figure)


def test_a_cell_without_a_finished_run_keeps_its_colour_to_itself(rows_of):
    figure = draw_comparison({"failed": [], "b": [rows_of()], "c": [rows_of(seed=1)]})
    dots = draw_seeds({"failed": [], "b": [0.5], "c": [0.6]}).axes[0]
    of_dots = [line.get_color() for line in dots.lines if len(line.get_xdata()) and line.get_marker() == "o"]
    for axes in figure.axes:
        assert [line.get_color() for line in axes.lines] == of_dots
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["b (n = 1)", "c (n = 1)"]


def test_line_of_a_cell_ends_with_its_shortest_seed(rows_of):
    accuracy, _ = draw_comparison({"cell": [rows_of(epochs=6), rows_of(epochs=3, seed=1)]}).axes
    assert accuracy.lines[0].get_xdata().tolist() == [1, 2, 3]


def test_comparison_without_cells_or_with_an_unknown_band():
    assert png_bytes(draw_comparison({}))
    with pytest.raises(ValueError, match="band"):
        draw_comparison({}, band="sem")


def test_every_seed_is_a_dot():
    axes = draw_seeds({"a": [0.5, 0.7, math.nan, None], "b": []}).axes[0]
    assert axes.lines[0].get_xdata().tolist() == [50, 70]
    assert axes.lines[1].get_xdata().tolist() == [60]


def test_no_pyplot():
    draw_curves([])
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_literal_is_short_and_no_math():
    assert literal("a\n b") == "a b"
    assert literal("$x$") == r"\$x\$"
    assert len(literal("x" * 99, limit=10)) == 10


RESTORING = Kind({"mse": Measure(higher_is_better=False), "psnr": Measure("dB", label="PSNR")}, ("psnr",), None)


def test_cells_are_compared_by_the_measures_of_their_task(rows_of):
    """Of a task without a loss and an accuracy: numbers as they are, under their own names."""
    rows = [{**row, "psnr": 30 + row.get("loss", 0), "mse": row.get("loss")} for row in rows_of()]
    held_out, train = draw_comparison({"a": [rows]}, kind=RESTORING, names=("psnr", "mse")).axes
    np.testing.assert_array_equal(held_out.lines[0].get_ydata(), column(rows, "validation", "psnr"))
    np.testing.assert_array_equal(train.lines[0].get_ydata(), column(rows, "train", "mse"))
    titles = [axes.get_title(loc="left") for axes in (held_out, train)]
    assert titles == ["Validation PSNR (dB)", "Train mse (lower is better)"]
    dots = draw_seeds({"a": [29.5, 31]}, measure=RESTORING.measures["psnr"]).axes[0]
    assert dots.lines[0].get_xdata().tolist() == [29.5, 31] and dots.get_xlabel() == "PSNR (dB)"
