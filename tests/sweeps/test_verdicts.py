"""The verdicts of a study on cells whose numbers are given."""

import itertools
import json
import math
import re

import numpy as np
import pytest

from jaxcnn import default_config
from jaxcnn.sweeps import Claim, Metric, Study, anytime
from jaxcnn.sweeps.statistics import holm, mcnemar, mean_interval, paired_comparison, smallest_detectable_difference
from jaxcnn.sweeps.verdicts import findings, side_values

RELU = (0.912, 0.915, 0.909, 0.920, 0.914)
TANH = (0.905, 0.909, 0.904, 0.911, 0.910)
NAMES = {"optimizer.name": ("sgd", "adam")}


def found(cells, claims=(), seeds=5, factors=NAMES, **options):
    return findings(Study(default_config(), factors, tuple(range(seeds)), claims=claims, **options), cells)


def two(cell_of, first, second, **values):
    """Cells of sgd and adam; values are (of sgd, of adam)."""
    return [
        cell_of({"optimizer.name": name}, top1, **{key: pair[i] for key, pair in values.items()})
        for i, (name, top1) in enumerate((("sgd", first), ("adam", second)))
    ]


def claim(metric="test_top1", higher="sgd", lower="adam"):
    return Claim("One beats the other.", {"optimizer.name": higher}, {"optimizer.name": lower}, metric)


def test_a_supported_claim_in_words(cell_of):
    (row,) = found(two(cell_of, RELU, TANH), (claim(),))["claims"]
    d = 100 * (np.array(RELU) - TANH)
    low, high = mean_interval(d)
    p = paired_comparison(dict(enumerate(RELU)), dict(enumerate(TANH))).p_t
    assert row["sentence"] == (
        f"supported: sgd is above adam by {d.mean():.2f} points of test accuracy "
        f"(95 % interval {low:.2f} to {high:.2f}, n = 5 pairs, p {p:.2g})"
    )
    assert row["verdict"] == "supported" and row["n"] == 5 and row["left_out"] == 0
    assert row["p"] == row["p_t"] == row["p_holm"] == p and row["p_sign_flip"] == 0.0625
    assert row["interval"] == pytest.approx((low / 100, high / 100))


def test_two_images_more_on_every_seed_decide_nothing(cell_of):
    """Whether the accuracies were kept as float32, as they once were, or as they are."""
    right = np.array([352, 349, 355, 351, 350])
    for keep in (np.float64, np.float32):
        values = [[float(keep(count) / 360) for count in counts] for counts in (right + 2, right)]
        (row,) = found(two(cell_of, *values), (claim(),))["claims"]
        assert row["sentence"] == (
            "not decided at n = 5: sgd minus adam is 0.56 points of test accuracy "
            "(no interval, all 5 differences are equal, p 0.062)"
        )


def test_the_opposite_claim_is_refuted(cell_of):
    (row,) = found(two(cell_of, RELU, TANH), (claim(higher="adam", lower="sgd"),))["claims"]
    assert row["verdict"] == "refuted" and row["sentence"].startswith("refuted: adam is below sgd by 0.62 points of")


def test_what_is_not_decided_says_what_n_can_detect(cell_of):
    second = (0.911, 0.918, 0.905, 0.921, 0.913)
    (row,) = found(two(cell_of, RELU, second), (claim(),))["claims"]
    d = 100 * (np.array(RELU) - second)
    least = smallest_detectable_difference(d.std(ddof=1), 5)
    assert row["verdict"] == "not decided"
    assert row["sentence"].startswith("not decided at n = 5: sgd minus adam is 0.04 points of test accuracy (95 %")
    assert row["sentence"].endswith(f"; this n can detect {least:.2f} points")
    assert not re.search(r"supported|refuted|above|below", row["sentence"])


def test_claims_are_one_family(cell_of):
    second = (0.906, 0.912, 0.907, 0.911, 0.912)
    losses = {"train_loss": ((1.0, 1.2, 1.1, 1.3, 1.0), (1.1, 1.1, 1.2, 1.2, 1.1))}
    cells = two(cell_of, RELU, second, **losses)
    alone = found(cells, (claim(),))["claims"]
    both = found(cells, (claim(), claim("train_loss"), claim("train_loss", "adam", "sgd")))["claims"]
    assert 0.05 / 3 < alone[0]["p"] < 0.05 and alone[0]["verdict"] == "supported"
    np.testing.assert_allclose([row["p_holm"] for row in both], holm([row["p"] for row in both]))
    assert both[0]["verdict"] == "not decided"
    assert "alone it would be decided, among 3 claims it is not" in both[0]["sentence"]
    assert "Holm-adjusted p" in both[0]["sentence"] and "of loss on the last training images" in both[1]["sentence"]
    assert both[0]["smallest_detectable"] > alone[0]["smallest_detectable"] is not None


def test_times_are_compared_by_their_ratio(cell_of):
    slow, fast = (40.0, 44.0, 39.0, 47.0, 41.0), (20.0, 21.0, 20.5, 22.0, 19.0)
    (row,) = found(two(cell_of, RELU, TANH, seconds=(slow, fast)), (claim("seconds"),))["claims"]
    logs = np.log(slow) - np.log(fast)
    low, high = np.exp(mean_interval(logs))
    ratio = np.exp(logs.mean())
    assert row["estimate"] == pytest.approx(ratio) and row["interval"] == pytest.approx((low, high))
    start = f"supported: sgd is above adam by a factor of {ratio:.2f} in training time (95 % interval {low:.2f} to"
    assert row["sentence"].startswith(start)
    (row,) = found(two(cell_of, RELU, TANH, seconds=(fast, slow)), (claim("seconds"),))["claims"]
    assert row["verdict"] == "refuted" and f"sgd is below adam by a factor of {ratio:.2f}" in row["sentence"]


def test_a_measure_of_the_study_and_runs_without_it(cell_of):
    """A run that never got there has no pair, and the sentence says so."""
    measures = {"steps_to_25": Metric(lambda rows: None, "steps", higher_is_better=False, log=True)}
    values = {"steps_to_25": ((300, 320, 310, 290, None), (100, 110, 100, 90, 105))}
    result = found(two(cell_of, RELU, TANH, **values), (claim("steps_to_25"),), measures=measures)
    (row,) = result["claims"]
    assert row["n"] == 4 and row["left_out"] == 1 and row["verdict"] == "supported"
    assert row["sentence"].endswith("; of 5 seeds steps to 25 is there of sgd at 4 and adam at 5 (1 left out)")
    assert result["metrics"]["steps_to_25"] == {
        "label": "steps to 25", "unit": "steps", "higher_is_better": False, "ratio": True
    }  # fmt: skip
    assert result["cells"][0]["metrics"]["steps_to_25"]["n"] == 4


@pytest.mark.parametrize(
    ("slow", "quick", "verdict"),
    [
        ((40, 41, 40, None, None), (50, 50, 51, 50, 50), "not decided"),  # where sgd arrives it is quicker
        ((60, 61, 60, None, None), (50, 50, 51, 50, 50), "supported"),
        ((60, 61, 60, 62, 60), (50, 50, 51, None, None), "not decided"),
        ((40, 41, 40, 40, 42), (50, 50, 51, None, None), "refuted"),
    ],
)
def test_no_verdict_against_the_seeds_that_never_got_there(slow, quick, verdict, cell_of):
    measures = {"steps_to_25": Metric(lambda rows: None, "steps", higher_is_better=False, log=True)}
    cells = two(cell_of, RELU, TANH, steps_to_25=(slow, quick))
    (row,) = found(cells, (claim("steps_to_25"),), measures=measures)["claims"]
    assert row["p"] < 0.01 and row["verdict"] == verdict
    held_back = verdict == "not decided"
    assert ("the pairs alone would decide it" in row["sentence"]) == held_back
    if held_back:
        without, other = ("sgd", "adam") if None in slow else ("adam", "sgd")
        assert f"but {without} has no steps to 25 at 2 seeds where {other} has" in row["sentence"]


def test_no_verdict_for_what_diverged(cell_of):
    diverged = (0.5, 0.51, 0.49, None, None)
    (row,) = found(two(cell_of, (0.9, 0.91, 0.9, 0.92, 0.9), diverged), (claim(),))["claims"]
    assert row["verdict"] == "supported"
    (row,) = found(two(cell_of, diverged, (0.3, 0.31, 0.3, 0.32, 0.3)), (claim(),))["claims"]
    assert row["verdict"] == "not decided" and "of sgd at 3 and adam at 5" in row["sentence"]
    assert not re.search(r"alone it would|among|can detect", row["sentence"])
    assert "the pairs alone would decide it, but sgd has no test accuracy at 2 seeds where adam has" in row["sentence"]
    (row,) = found(two(cell_of, (0.9, 0.93, 0.9, 0.95, None), (0.3, 0.31, 0.3, 0.32, 0.3)), (claim(),))["claims"]
    assert "has no test accuracy at 1 seed where adam has" in row["sentence"]


def test_the_interval_of_an_accuracy_ends_at_one(cell_of):
    values = (0.99, 1.0, 0.97)
    sgd, adam = found(two(cell_of, values, values, train_loss=(values, values)), seeds=3)["cells"]
    low, high = mean_interval(values)
    assert high > 1 and sgd["metrics"]["test_top1"]["interval"] == (low, 1.0)
    assert adam["metrics"]["train_loss"]["interval"] == (low, high)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ((), (), "not decided: no seed has test accuracy of both sgd and adam"),
        ((0.9,), (0.5,), "not decided at n = 1: sgd minus adam is 40.00 points of test accuracy (one pair has no"),
        ((0.9,) * 5, (0.9,) * 5, "minus adam is 0.00 points of test accuracy (no interval, all 5 differences are"),
        ((0.9,) * 5, (0.8,) * 5, "not decided at n = 5: sgd minus adam is 10.00 points of test accuracy (no"),
    ],
)
def test_too_little_decides_nothing(cell_of, first, second, words):
    (row,) = found(two(cell_of, first, second), (claim(),))["claims"]
    assert row["verdict"] == "not decided" and words in row["sentence"]
    assert "can detect" not in row["sentence"]


def test_partial_levels_are_averaged_for_each_seed(cell_of):
    factors = {"model.options.depth": (20, 56), "model.name": ("plain", "residual")}
    table = {
        (20, "plain"): (0.90, 0.91),
        (56, "plain"): (0.80, 0.83),
        (20, "residual"): (0.91, 0.93),
        (56, "residual"): (0.92, None),
    }
    cells = [cell_of(dict(zip(factors, key, strict=True)), values) for key, values in table.items()]
    assert side_values(cells, {"model.name": "plain"}, "test_top1") == {0: pytest.approx(0.85), 1: pytest.approx(0.87)}
    assert side_values(cells, {"model.name": "residual"}, "test_top1") == {0: pytest.approx(0.915)}
    logs = side_values(cells, {"model.options.depth": 20}, "test_top1", log=True)
    assert logs[0] == pytest.approx((math.log(0.90) + math.log(0.91)) / 2)
    deeper = Claim("Deeper.", {"model.options.depth": 56, "model.name": "plain"}, {"model.options.depth": 20})
    (row,) = found(cells, (deeper,), seeds=2, factors=factors)["claims"]
    assert (row["higher"], row["lower"], row["at"]) == ("depth=56, name=plain", "depth=20", "")
    assert row["estimate"] == pytest.approx(((0.80 - 0.905) + (0.83 - 0.92)) / 2)


def test_what_is_not_positive_has_no_logarithm(cell_of):
    cells = [cell_of({"optimizer.name": "sgd"}, (0.5, 0.0, 0.25))]
    assert side_values(cells, {}, "test_top1", log=True) == {0: math.log(0.5), 2: math.log(0.25)}


@pytest.mark.parametrize(
    ("higher", "lower", "words"),
    [
        ({"model.name": "plain", "depth": 20}, {"model.name": "residual", "depth": 20},
         "plain minus residual at depth=20"),
        ({"depth": 56, "model.name": "plain"}, {"depth": 20, "model.name": "plain"},
         "depth=56 minus depth=20 at model.name=plain"),
        ({"model.name": "plain", "optimizer.name": "sgd"}, {"model.name": "residual", "optimizer.name": "adam"},
         "model.name=plain, optimizer.name=sgd minus model.name=residual, optimizer.name=adam is"),
    ],
)  # fmt: skip
def test_sides_are_named_by_what_differs(cell_of, higher, lower, words):
    factors = {"model.name": ("plain", "residual"), "optimizer.name": ("sgd", "adam"), "depth": (20, 56)}
    cells = [
        cell_of(dict(zip(factors, levels, strict=True)), (0.5, 0.6)) for levels in itertools.product(*factors.values())
    ]
    (row,) = found(cells, (Claim("?", higher, lower),), seeds=2, factors=factors)["claims"]
    assert words in row["sentence"]


def test_effects_are_the_levels_averaged_over_the_other_factors(cell_of):
    factors = {"model.options.depth": (20, 56), "model.name": ("plain", "residual"), "optimizer.name": ("sgd",)}
    rows = {(20, "plain"): (0.90, 0.94), (56, "plain"): (0.80, 0.82), (20, "residual"): (0.7, 0.8)}
    rows[56, "residual"] = (0.6, 0.5)
    cells = [cell_of(dict(zip(factors, (*key, "sgd"), strict=True)), values) for key, values in rows.items()]
    effects = found(cells, seeds=2, factors=factors)["effects"]["test_top1"]
    assert list(effects) == ["model.options.depth", "model.name"]  # one level has no effect
    first, second = effects["model.options.depth"]
    assert (first["level"], first["n"], first["mean"]) == ("20", 2, pytest.approx((0.8 + 0.87) / 2))
    assert second["interval"] == pytest.approx(mean_interval([0.7, 0.66]))


def test_every_cell_against_the_baseline(cell_of):
    levels = {"optimizer.name": ("sgd", "adam", "rmsprop")}
    images = ("digits", "", "test", 10)
    wrong = {"sgd": ([0, 1], [0, 2]), "adam": ([1, 5, 6], [2]), "rmsprop": (None, [9])}
    accuracies = {"sgd": TANH[:3], "adam": RELU[:3], "rmsprop": (0.5, 0.6, 0.4)}
    cells = [
        cell_of({"optimizer.name": name}, accuracies[name], tested={s: (images, wrong[name][s]) for s in (0, 1)})
        for name in levels["optimizer.name"]
    ]
    result = found(cells, seeds=3, factors=levels, baseline={"optimizer.name": "sgd"})
    adam, rmsprop = result["comparisons"]["test_top1"]
    assert result["baseline"] == "name=sgd" and (adam["cell"], rmsprop["cell"]) == ("name=adam", "name=rmsprop")
    assert adam["estimate"] == pytest.approx(np.mean(np.array(RELU[:3]) - TANH[:3]))
    np.testing.assert_allclose([adam["p_holm"], rmsprop["p_holm"]], holm([adam["p"], rmsprop["p"]]))
    # against sgd: of seed 0 image 0 is right in adam alone, 5 and 6 in sgd alone; of seed 1 image 0 in adam alone
    seeds = [{"seed": 0, "only_first": 1, "only_second": 2, "p": 1.0}]
    seeds += [{"seed": 1, "only_first": 1, "only_second": 0, "p": 1.0}]
    assert adam["mcnemar"] == {"seeds": seeds, "p": 1.0}
    right = [~np.isin(np.arange(10), which) for which in ([9], [0, 2])]
    only = mcnemar(*right)
    assert rmsprop["mcnemar"]["seeds"] == [{"seed": 1, **only._asdict()}]


def test_networks_of_other_test_images_are_not_compared_image_by_image(cell_of):
    cells = two(cell_of, RELU[:1], TANH[:1])
    cells[0].tested[0], cells[1].tested[0] = (("mnist", 10), [1]), (("digits", 10), [2])
    assert found(cells, seeds=1, baseline={"optimizer.name": "sgd"})["comparisons"]["test_top1"][0]["mcnemar"] is None


def test_all_of_it_is_json(cell_of):
    paper = {"name=adam": (0.5, "error, table 1")}
    result = found(two(cell_of, RELU, TANH), (claim(),), baseline={"optimizer.name": "sgd"}, paper=paper)
    again = json.loads(json.dumps(result, allow_nan=False))
    assert again["cells"][1]["paper"] == [0.5, "error, table 1"] and again["cells"][0]["paper"] is None
    assert again["cells"][0]["metrics"]["test_top1"]["interval"] == pytest.approx(mean_interval(RELU))


def test_a_claim_that_says_lower(cell_of):
    """The same cells as of the claim that says higher, told from its other side."""
    cells = two(cell_of, RELU, TANH)
    sides = {"higher": {"optimizer.name": "sgd"}, "lower": {"optimizer.name": "adam"}}
    higher, lower = found(cells, (Claim("", **sides), Claim("", **sides, direction="lower")))["claims"]
    assert lower["verdict"] == higher["verdict"] == "supported" and lower["estimate"] == -higher["estimate"]
    assert lower["sentence"].startswith("supported: adam is below sgd by 0.62 points of test accuracy")
    turned = Claim("", sides["lower"], sides["higher"], direction="lower")
    assert found(cells, (turned,))["claims"][0]["sentence"].startswith("refuted: sgd is above adam by 0.62 points")


@pytest.mark.parametrize(
    ("margin", "shift", "start"),
    [
        (
            0.02,
            0.0,
            "no difference that matters: sgd minus adam is -0.04 points of test accuracy, within 2.00 points ei",
        ),
        (0.02, 0.01, "no difference that matters: sgd minus adam is 0.96 points of test accuracy, within 2.00 points"),
        (0.001, 0.0, "not decided at n = 5: sgd minus adam is -0.04 points"),
        (0.02, 0.05, "supported: sgd is above adam by 4.96 points"),
    ],
)
def test_no_difference_that_matters(margin, shift, start, cell_of):
    second = np.array((0.911, 0.918, 0.905, 0.921, 0.917))
    one = Claim("", {"optimizer.name": "sgd"}, {"optimizer.name": "adam"}, margin=margin)
    (row,) = found(two(cell_of, np.array(RELU) + shift, second), (one,))["claims"]
    assert row["sentence"].startswith(start)
    np.testing.assert_allclose([row["p_holm"], row["p_margin_holm"]], holm([row["p"], row["p_margin"]]))
    assert (f"nor is it within {100 * margin:.2f} points" in row["sentence"]) == (row["verdict"] == "not decided")


def test_no_verdict_of_no_difference_where_one_side_diverged(cell_of):
    one = Claim("", {"optimizer.name": "sgd"}, {"optimizer.name": "adam"}, margin=0.1)
    (row,) = found(two(cell_of, (*RELU, None), (*TANH, 0.9)), (one,), seeds=6)["claims"]
    assert row["p_margin_holm"] < 0.05 and row["verdict"] == "not decided"
    assert "but sgd has no test accuracy at 1 seed where adam has" in row["sentence"]


def test_a_margin_of_ratios_is_a_factor(cell_of):
    slow, fast = np.array((40.0, 44.0, 39.0, 47.0, 41.0)), np.array((41.0, 43.0, 39.5, 46.0, 40.0))
    one = Claim("", {"optimizer.name": "sgd"}, {"optimizer.name": "adam"}, "seconds", margin=1.2)
    (row,) = found(two(cell_of, RELU, TANH, seconds=(slow, fast)), (one,))["claims"]
    expected = paired_comparison(dict(enumerate(np.log(slow))), dict(enumerate(np.log(fast))), margin=math.log(1.2))
    assert row["p_margin"] == pytest.approx(expected.p_margin) and row["verdict"] == "no difference that matters"
    assert "within a factor of 1.20 either way" in row["sentence"]


def test_an_interaction_is_a_difference_of_differences(cell_of):
    factors = {"optimizer.name": ("sgd", "adam"), "depth": (20, 56)}
    noise = np.array([0.0, 0.02, -0.01, 0.01, -0.02])
    table = {("sgd", 20): 0.7 + noise, ("adam", 20): (0.69, 0.71, 0.70, 0.68, 0.70)}
    table |= {("sgd", 56): 0.9 + noise, ("adam", 56): (0.70, 0.71, 0.69, 0.72, 0.70)}
    cells = [cell_of(dict(zip(factors, levels, strict=True)), values) for levels, values in table.items()]
    sides = {"higher": {"optimizer.name": "sgd"}, "lower": {"optimizer.name": "adam"}}
    under = ({"depth": 56}, {"depth": 20})
    claims = (Claim("", **sides, under=under), Claim("", **sides, under=under, direction="lower"))
    row, other = found(cells, claims, factors=factors)["claims"]
    sgd, adam = (np.array(table[name, 56]) - np.array(table[name, 20]) for name in ("sgd", "adam"))
    expected = mean_interval(sgd - adam)
    assert row["interval"] == pytest.approx(expected) and row["n"] == 5 and row["verdict"] == "supported"
    assert row["sentence"].startswith("supported: sgd minus adam at depth=56 is above that at depth=20 by 19.")
    assert other["verdict"] == "supported" and other["estimate"] == pytest.approx(-row["estimate"])
    assert other["sentence"].startswith("supported: adam minus sgd at depth=56 is below that at depth=20 by 19.")


def test_the_interval_after_every_pair(cell_of):
    (row,) = found(two(cell_of, RELU, TANH), (claim(),))["claims"]
    d = np.array(RELU) - TANH
    assert [step["n"] for step in row["path"]] == [1, 2, 3, 4, 5] and row["path"][0]["interval"] is None
    for step in row["path"][1:]:
        assert step["estimate"] == pytest.approx(d[: step["n"]].mean())
        assert step["interval"] == pytest.approx(mean_interval(d[: step["n"]]))
    assert row["path"][-1]["interval"] == row["interval"]


def test_a_sweep_that_adds_seeds_has_verdicts_that_hold_at_any_stop(cell_of):
    d = np.array([0.010, 0.012, 0.009, 0.011, 0.008, 0.012, 0.010, 0.009])
    cells = two(cell_of, 0.9 + d, [0.9] * 8)
    until = {cell.name: 8 for cell in cells}
    result = found(cells, (claim(),), until=until, baseline={"optimizer.name": "adam"})
    (row,) = result["claims"]
    assert not result["fixed"] and row["verdict"] == "supported" and row["p_t"] is row["smallest_detectable"] is None
    assert row["p"] == pytest.approx(anytime.difference_p(d)[-1]) and row["left_out"] == 0
    assert row["interval"] == pytest.approx(anytime.mean_interval(d))
    assert [step["interval"] is None for step in row["path"]] == [True] * 5 + [False] * 3
    assert result["comparisons"]["test_top1"][0]["p"] == pytest.approx(row["p"])
    few = [cell_of(cell.levels, cell.values["test_top1"][:4]) for cell in cells]
    (row,) = found(few, (claim(),), until=dict.fromkeys(until, 4))["claims"]
    assert row["verdict"] == "not decided" and "no interval before 6 pairs" in row["sentence"]


def test_seeds_that_another_claim_added_on_one_side_are_not_missing_on_the_other(cell_of):
    d = np.array([0.010, 0.012, 0.009, 0.011, 0.008, 0.012, 0.010, 0.009])
    cells = two(cell_of, 0.9 + d, [*[0.9] * 8, 0.9, 0.9])
    until = dict(zip((cell.name for cell in cells), (8, 10), strict=True))
    result = found(cells, (claim(),), until=until, baseline={"optimizer.name": "adam"})
    (row,) = result["claims"]
    assert row["verdict"] == "supported" and row["n"] == 8 and row["left_out"] == 0 and row["values"] == [8, 8]
    assert result["comparisons"]["test_top1"][0]["left_out"] == 0
    (row,) = found(two(cell_of, [*(0.9 + d), None, None], [0.8] * 10), (claim(),), until=dict.fromkeys(until, 10))[
        "claims"
    ]
    assert row["verdict"] == "not decided" and row["left_out"] == 2  # these were given and diverged
