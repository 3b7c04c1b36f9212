import math

import numpy as np
import pytest

from jaxcnn.visualize.history import best_row, finite_values, first_bad_row, number, read_history, train_at_evaluations


def train(step, loss, **more):
    return {"split": "train", "step": step, "epoch": step / 10, "loss": loss, **more}


def held_out(step, top1, split="validation"):
    return {"split": split, "step": step, "epoch": step / 10, "loss": 1.0, "top1": top1}


def test_replayed_steps_count_once_and_the_last_row_counts():
    rows = [train(1, 3.0), train(2, 9.0), {"event": "resumed", "step": 1}, train(2, 2.0), train(3, 1.0)]
    history = read_history(rows)
    assert [(row["step"], row["loss"]) for row in history.train] == [(1, 3.0), (2, 2.0), (3, 1.0)]
    assert history.events == ({"event": "resumed", "step": 1},)


def test_time_is_that_of_the_last_row():
    killed = [train(1, 1.0, seconds=5.0), train(2, 1.0, seconds=9.0)]
    resumed = [{"event": "resumed", "step": 1}, train(2, 1.0, seconds=8.0)]
    assert read_history(killed + resumed).seconds == 8.0
    assert math.isnan(read_history([train(1, 1.0)]).seconds)


def test_validation_is_the_held_out_split_even_where_test_comes_first():
    assert read_history([held_out(1, 0.5, "test"), held_out(2, 0.4)]).split == "validation"
    assert read_history([held_out(1, 0.5, "test")]).split == "test"
    assert read_history([train(1, 1.0)]).split is None


def test_train_is_averaged_since_the_previous_evaluation():
    rows = [train(1, 4.0), train(2, 2.0), held_out(2, 0.1), train(3, 1.0), held_out(4, 0.2), held_out(5, 0.3)]
    np.testing.assert_array_equal(train_at_evaluations(read_history(rows), "loss"), [3.0, 1.0, 1.0])


def test_train_average_before_the_first_row_and_over_a_divergence_is_nan():
    rows = [held_out(0, 0.1), train(1, 4.0), train(2, math.nan), held_out(2, 0.1), held_out(3, 0.1)]
    assert np.isnan(train_at_evaluations(read_history(rows), "loss")).all()


def test_null_that_was_not_finite_is_nan_again():
    rows = [train(1, None, not_finite=["loss"]), train(2, 2.0), held_out(2, 0.1)]
    history = read_history(rows)
    assert np.isnan(train_at_evaluations(history, "loss")).all() and math.isnan(history.train[0]["loss"])
    assert first_bad_row(history)["step"] == 1


def test_null_is_left_out_of_the_average():
    rows = [train(1, None), train(2, 2.0), held_out(2, 0.1)]
    np.testing.assert_array_equal(train_at_evaluations(read_history(rows), "loss"), [2.0])


def test_best_is_that_of_the_checkpoints_and_ignores_nan():
    """Of equal accuracies the lower loss, of equal rows the later, as `Checkpoints.resolve` takes them."""
    rows = [held_out(1, math.nan), held_out(2, 0.7), held_out(3, 0.7), held_out(4, 0.6)]
    assert best_row(read_history(rows))["step"] == 3
    rows[1]["loss"] = 0.9
    assert best_row(read_history(rows))["step"] == 2
    rows[1]["loss"] = None
    assert best_row(read_history(rows))["step"] == 3
    assert best_row(read_history(rows[:1])) is None


def test_first_bad_row_is_that_of_the_first_loss_that_is_not_finite():
    assert first_bad_row(read_history([train(1, 1.0), train(2, math.inf), train(3, math.nan)]))["step"] == 2
    assert first_bad_row(read_history([train(1, 1.0)])) is None


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "x", [1]])
def test_what_is_no_finite_number_reads_as_nan(value):
    assert math.isnan(number({"loss": value}, "loss"))
    assert math.isnan(number({}, "loss"))


def test_finite_values():
    np.testing.assert_array_equal(finite_values([1.0, None, math.nan, 2]), [1.0, 2.0])
