"""The tests that hold at any stop: their closed form, and their error rates for someone who looks after every seed."""

import math

import anytime_simulation
import numpy as np
import pytest
from anytime_simulation import ALPHA, PATHS, bounds, covered, ever_claimed, paths

from jaxcnn.sweeps import anytime
from jaxcnn.sweeps.statistics import holm, paired_comparison

SEEDS = 100
X = np.array([0.4, -0.1, 0.9, 0.7, 0.2, 0.5])


def at_most(count, rate, of=PATHS):
    """Whether a rate may be at most this: the lower end of its interval is."""
    return bounds(count, of)[0] <= rate


def test_the_evidence_is_the_ratio_of_the_two_mixtures():
    """Of both sides the integral over sigma with d sigma / sigma, above over mu / sigma ~ N(0, VARIANCE) too; by sums.

    With u = 1 / sigma, a density of X is u**6 exp(-(V u**2 - 2 S u e + 6 e**2) / 2), e = mu / sigma, up to a constant.
    """
    u, effect = np.linspace(1e-3, 12, 800), np.linspace(-12, 12, 801)[:, None]
    mixed = (u**5 * np.exp(-((X**2).sum() * u**2 - 2 * X.sum() * u * effect + 6 * effect**2) / 2)).sum(-1)
    prior = np.exp(-(effect[:, 0] ** 2) / 2 / anytime.VARIANCE) / math.sqrt(2 * math.pi * anytime.VARIANCE)
    ratio = (prior * mixed).sum() * (24 / 800) / mixed[400]
    assert math.log(ratio) == pytest.approx(anytime.log_evidence(X)[-1], rel=1e-4)


def test_one_value_or_equal_ones_are_no_evidence():
    assert anytime.log_evidence([0.3]).tolist() == [0.0]
    assert anytime.log_evidence([0.3] * 9).tolist() == [0.0] * 9 == anytime.log_evidence(np.zeros(9)).tolist()
    assert anytime.difference_p([0.3] * 9).tolist() == [1.0] * 9
    assert anytime.mean_interval([0.3] * 9) is None and anytime.mean_interval([0.3]) is None


def test_nothing_counts_before_the_first_six():
    """Six of 1 +- 0.01: nothing after five, then E = 13**-0.5 ((1 + t**2 / 5) / (1 + t**2 / 65))**3, t**2 = 50000."""
    sharp = 1 + 0.01 * np.array([1.0, -1, 1, -1, 1, -1])
    assert (anytime.difference_p(sharp) == 1).tolist() == [True] * 5 + [False]
    expected = math.sqrt(13) * ((1 + 50000 / 65) / (1 + 50000 / 5)) ** 3
    assert [anytime.difference_p(x)[-1] for x in (sharp, -sharp)] == pytest.approx([expected] * 2)
    low, high = anytime.confidence_sequence(sharp)
    assert np.isinf(low[:5]).all() and 0.9 < low[5] < 1 < high[5] < 1.1


def test_the_interval_holds_the_means_that_the_evidence_does_not_exclude():
    x = paths("normal", 30, count=50) + 0.4
    low, high = anytime.confidence_sequence(x)
    excluded = np.log(1 / ALPHA)
    for edge, step in ((low, 1e-6), (high, -1e-6)):
        ends = edge[:, -1, None]
        for null, out in ((ends + step, False), (ends - step, True)):
            evidence = anytime.log_evidence(x - null)[:, anytime.FIRST - 1 :]
            assert ((evidence >= excluded).any(-1) == out).all()
    assert (np.diff(low[:, 5:]) >= 0).all() and (np.diff(high[:, 5:]) <= 0).all()


def test_a_unit_and_a_large_common_part_change_nothing():
    x = paths("normal", 20, count=20)
    np.testing.assert_allclose(anytime.difference_p(1000 * x), anytime.difference_p(x), rtol=1e-9)
    np.testing.assert_allclose(anytime.log_evidence(x + 1e6, null=1e6), anytime.log_evidence(x), rtol=1e-4, atol=1e-6)
    low, high = anytime.confidence_sequence(x + 1e6)
    expected = anytime.confidence_sequence(x)
    np.testing.assert_allclose([low - 1e6, high - 1e6], expected, rtol=1e-5)


@pytest.mark.parametrize("law", ["normal", "uniform", "t, 3 degrees of freedom", "accuracies"])
def test_looking_after_every_seed_keeps_the_level_and_the_intervals(law):
    x = paths(law, SEEDS, seed=1)
    assert at_most(ever_claimed(x).sum(), ALPHA)
    assert at_most(PATHS - covered(x).sum(), ALPHA)


@pytest.mark.parametrize(("law", "least", "most"), [
    ("two peaks", 0.04, 0.07), ("exponential", 0.08, 0.15), ("rare failures", 0.4, 0.6),
])  # fmt: skip
def test_what_breaks_it(law, least, most):
    """The rates that docs/statistics.md warns of: of differences that are far from normal, most of all of skew ones."""
    low, high = bounds(ever_claimed(paths(law, SEEDS, seed=1)).sum(), PATHS)
    assert least < low and high < most


def test_the_t_test_read_after_every_seed_does_not_keep_the_level():
    low, _ = bounds(anytime_simulation.ever_claimed_by_t(paths("normal", SEEDS, seed=1)).any(-1).sum(), PATHS)
    assert low > 0.3


def test_a_stop_that_waits_for_the_smallest_p_keeps_the_level():
    """Of two claims that share a side; one stops when the other's p is smallest, long before it knew."""
    shared, (one, other) = paths("normal", SEEDS, seed=2), (paths("normal", SEEDS, seed=s) for s in (3, 4))
    first, second = anytime.difference_p(shared - one), anytime.difference_p(shared - other)
    stop = second.argmin(-1)
    assert at_most((first[np.arange(PATHS), stop] <= ALPHA).sum(), ALPHA)


@pytest.mark.parametrize("effect", [0.0, 0.1, 0.5])
def test_holm_over_claims_that_stop_at_different_times(effect):
    """Two claims without a difference and one with: any false verdict, also one in the other direction."""
    cells = np.stack([paths("normal", 40, seed=s) for s in (6, 7, 8)]) - paths("normal", 40, seed=5)
    cells[2] += effect
    p = np.stack([anytime.difference_p(x) for x in cells])
    # Holm's steps for all paths: a p stands where it and all smaller ones are below alpha / 3, / 2, / 1 by rank.
    order = p.argsort(0)
    holds = np.logical_and.accumulate(np.take_along_axis(p, order, 0) <= ALPHA / np.array([3, 2, 1])[:, None, None])
    claimed = np.take_along_axis(holds, order.argsort(0), 0)
    assert (holm(p[:, 0, -1]) <= ALPHA).tolist() == claimed[:, 0, -1].tolist()
    upside_down = claimed[2] & ((cells[2].cumsum(-1) < 0) | (effect == 0))
    assert at_most((claimed[0] | claimed[1] | upside_down).any(-1).sum(), ALPHA)


def test_a_verdict_in_the_wrong_direction_is_rarer_still():
    x = paths("normal", SEEDS, seed=9) + 0.02
    wrong = (anytime.difference_p(x) <= ALPHA) & (x.cumsum(-1) < 0)
    assert at_most(wrong.any(-1).sum(), ALPHA / (2 - ALPHA))


@pytest.mark.parametrize("mean", [1.0, -1.0, 1.3])
def test_what_lies_at_the_margin_or_beyond_is_rarely_called_no_difference(mean):
    x = paths("normal", SEEDS, seed=10) + mean
    assert at_most((anytime.margin_p(x, 1.0) <= ALPHA).any(-1).sum(), ALPHA)


def test_no_difference_is_found_within_the_margin():
    found = anytime.margin_p(paths("normal", 40, seed=11), 1.0) <= ALPHA
    assert found.any(-1).mean() > 0.95 and not found[:, : anytime.FIRST - 1].any()


def test_power_is_below_that_of_a_fixed_number_and_enough():
    """An effect of two standard deviations by ten seeds nearly always, one of one by twenty in four of five."""
    noise = paths("normal", 20, seed=12)
    for effect, n, least in ((2.0, 10, 0.9), (1.0, 20, 0.8)):
        assert bounds((anytime.difference_p(noise + effect)[:, n - 1] <= ALPHA).sum(), PATHS)[0] > least
    fixed = anytime_simulation.ever_claimed_by_t(noise + 1)[:, 10 - 3].mean()
    assert (anytime.difference_p(noise + 1)[:, 9] <= ALPHA).mean() < fixed


def test_a_comparison_that_holds_at_any_stop():
    first, second = {s: 0.7 + x for s, x in enumerate(X)}, dict.fromkeys(range(8), 0.3)
    found, fixed = anytime.paired_comparison(first, second, margin=2.0), paired_comparison(first, second)
    x = X + 0.4
    assert (found.n, found.difference, found.std) == (fixed.n, fixed.difference, fixed.std)
    assert found.p == pytest.approx(math.exp(-anytime.log_evidence(x)[-1]), rel=1e-9)
    assert found.interval[0] < fixed.interval[0] < fixed.interval[1] < found.interval[1]
    assert found.p_t is found.p_sign_flip is None and 0 < found.p_margin < 1
    assert anytime.paired_comparison(second, first).p == pytest.approx(found.p)
