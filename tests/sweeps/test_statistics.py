"""Intervals and tests against hand computation, and their error rates on data whose truth is known."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from jaxcnn.sweeps import statistics
from jaxcnn.sweeps.statistics import (
    holm,
    mcnemar,
    mean_interval,
    middle_p,
    paired_comparison,
    sign_flip,
    smallest_detectable_difference,
)

SIMULATIONS = 4000


def by_seed(values):
    return dict(enumerate(values))


def within(count, rate, simulations=SIMULATIONS):
    """Whether a count of events of this rate lies within three standard deviations of what is expected."""
    return abs(count / simulations - rate) < 3 * math.sqrt(rate * (1 - rate) / simulations)


def test_interval_by_hand():
    """t of 4 degrees of freedom at 0.975 is 2.7764 (Student's table); the values have mean 3 and variance 2.5."""
    low, high = mean_interval([1, 2, 3, 4, 5])
    assert (low, high) == (pytest.approx(3 - 2.7764 * math.sqrt(0.5), abs=1e-4), pytest.approx(6 - low))
    low, _ = mean_interval([1, 2, 3, 4, 5], confidence=0.9)  # 2.1318
    assert low == pytest.approx(3 - 2.1318 * math.sqrt(0.5), abs=1e-4)


@pytest.mark.parametrize("values", [[], [0.9], [0.9, 0.9, 0.9], [0.1 + 0.2, 0.3]])
def test_too_little_gives_no_interval_rather_than_one_of_no_width(values):
    assert mean_interval(values) is None


@pytest.mark.parametrize("n", [2, 5, 10])
def test_intervals_hold_the_true_mean_at_their_confidence(n):
    samples = np.random.default_rng(n).normal(0.7, 0.02, (SIMULATIONS, n))
    intervals = np.array([mean_interval(sample) for sample in samples])
    held = ((intervals[:, 0] < 0.7) & (intervals[:, 1] > 0.7)).sum()
    assert within(held, 0.95)
    assert not within(held, 0.918)  # an interval by the normal quantile at n = 10


def test_comparison_by_hand():
    """Differences 1, 2, 3, 4, 5 over shared seeds: t = 3 / sqrt(0.5) = 4.2426; p = 0.0132 (tables: 0.01 at 4.604)."""
    first, second = {7: 2.0, 1: 4.0, 2: 6.0, 3: 8.0, 4: 10.0, 9: 99.0}, {7: 1.0, 4: 5.0, 1: 2.0, 3: 4.0, 2: 3.0, 8: 0.0}
    found = paired_comparison(first, second)
    assert (found.n, found.difference, found.std) == (5, 3.0, pytest.approx(math.sqrt(2.5)))
    assert found.interval == pytest.approx(mean_interval([1, 2, 3, 4, 5]))
    # of 4 degrees of freedom: P(|T| > t) = 1 - s (3 - s**2) / 2 with s = t / sqrt(t**2 + 4)
    s = math.sqrt(18 / 22)
    assert found.p_t == found.p == pytest.approx(1 - s * (3 - s**2) / 2, rel=1e-9)
    assert found.p_sign_flip == 2 / 32


def test_pairs_are_of_one_seed():
    first, second = {0: 1.0, 1: 2.0, 2: 3.0}, {0: 0.5, 1: 1.4, 2: 2.6}
    turned = dict(reversed(second.items()))
    assert paired_comparison(first, turned) == paired_comparison(first, second)
    assert paired_comparison(second, first).difference == -paired_comparison(first, second).difference
    with pytest.raises(ValueError, match="no seed"):
        paired_comparison({0: 1.0}, {1: 1.0})
    with pytest.raises(ValueError, match="finite"):
        paired_comparison({0: math.nan, 1: 1.0}, {0: 1.0, 1: 1.0})


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        ((0.9, 0.9, 0.9), (0.9, 0.9, 0.9), 1.0),
        ((0.91, 0.93, 0.92), (0.90, 0.92, 0.91), 0.25),  # all 0.01, but for rounding
        ((0.3,), (0.1,), 1.0),
    ],
)
def test_equal_differences_claim_nothing_that_the_sign_flip_does_not(first, second, p):
    found = paired_comparison(by_seed(first), by_seed(second))
    assert (found.interval, found.p_t, found.p_sign_flip, found.p) == (None, None, p, p)
    assert found.std == (0.0 if len(first) > 1 else None)


def logged(right, n, kind):
    """Accuracies as runs of before (float32) and of today (exact) have them in their logs; "both" is a mixed study."""
    exact = (np.asarray(right) / n).tolist()
    rounded = [float(np.float32(right) / n) for right in np.asarray(right, np.float32)]
    return {"float32": rounded, "exact": exact, "both": [*rounded[:2], *exact[2:]]}[kind]


@pytest.mark.parametrize("kind", ["float32", "exact", "both"])
@pytest.mark.parametrize("n", [360, 10_000])
def test_a_constant_difference_of_images_is_no_evidence_beyond_its_signs(n, kind):
    """The same few images more on every seed, however the accuracies were rounded: t has no spread to speak of."""
    generator = np.random.default_rng(n)
    for _ in range(100):
        pairs, more = int(generator.integers(2, 7)), int(generator.integers(1, 4))
        right = generator.integers(n // 2, n - 3, pairs)
        first, second = (by_seed(logged(counts, n, kind)) for counts in (right + more, right))
        found = paired_comparison(first, second)
        assert (found.std, found.interval, found.p_t) == (0.0, None, None)
        assert found.p == found.p_sign_flip == 2 / 2**pairs and found.difference == pytest.approx(more / n, rel=1e-2)
        if kind == "both":
            assert paired_comparison(first, by_seed(logged(right + more, n, "exact"))).p == 1.0


@pytest.mark.parametrize("n", [360, 10_000])
def test_one_image_on_one_seed_is_a_spread(n):
    right = np.array([n - 5, n - 7, n - 6])
    for kind in ("float32", "exact"):
        second = by_seed(logged(right, n, kind))
        found = paired_comparison(by_seed(logged(right + [2, 2, 3], n, kind)), second)
        assert found.std == pytest.approx(math.sqrt(1 / 3) / n, rel=1e-2)
        assert found.p_t == found.p == pytest.approx(2 * 0.00990, abs=1e-4)  # t = 7 on 2 degrees of freedom


def test_rounding_breaks_no_tie_of_the_sign_flip():
    """Differences of 3, 1 and -1 images: 6 of the 8 ways have a sum of 3 or more, but for rounding."""
    generator = np.random.default_rng(6)
    for _ in range(100):
        right = generator.integers(180, 357, 3)
        first, second = (by_seed(logged(counts, 360, "float32")) for counts in (right + [3, 1, -1], right))
        assert paired_comparison(first, second).p_sign_flip == 6 / 8


def test_sign_flip_is_every_sign():
    for n in (1, 2, 6):
        d = np.random.default_rng(n).normal(0.4, 1, n)
        means = [abs(np.mean(d * signs)) for signs in itertools.product((1, -1), repeat=n)]
        expected = np.mean([mean >= abs(d.mean()) - 1e-12 for mean in means])
        assert sign_flip(d) == expected
    assert sign_flip(np.ones(12)) == 2 / 2**12
    assert sign_flip([0.1, 0.1, 0.1, 0.6]) == 2 / 2**4  # the sum of the observed signs rounds another way


def test_sign_flip_of_many_pairs_is_drawn():
    d = np.random.default_rng(0).normal(0.3, 1, 30)
    z = d.sum() / np.sqrt((d**2).sum())  # nearly normal under random signs
    assert sign_flip(d) == pytest.approx(math.erfc(abs(z) / math.sqrt(2)), abs=0.02) == sign_flip(-d)
    assert sign_flip(np.arange(1.0, 41.0)) == 1 / 10_000  # the observed signs count, so that p is never 0


def draw(law, generator, shape):
    """Samples of a symmetric law of mean 0."""
    if law == "heavy":
        return generator.standard_t(3, shape)
    if law == "two peaks":
        return generator.choice([-1, 1], shape) + generator.normal(0, 0.2, shape)
    if law == "accuracies":  # of two networks on 360 images, nearly all right, so that many are equal
        return (generator.binomial(360, 0.995, shape) - generator.binomial(360, 0.995, shape)) / 360
    return generator.normal(0, 1, shape) if law == "normal" else generator.uniform(-1, 1, shape)


@pytest.mark.parametrize(
    ("law", "most"), [("normal", 0.05), ("uniform", 0.065), ("two peaks", 0.06), ("heavy", 0.05), ("accuracies", 0.05)]
)
def test_level_of_the_paired_tests_under_no_effect(law, most):
    """t at n = 5 keeps its level where differences are symmetric, which the sign flip, at 0.0625, never reaches."""
    generator = np.random.default_rng(3)
    base, noise = generator.normal(0.7, 0.05, (SIMULATIONS // 2, 5)), draw(law, generator, (SIMULATIONS // 2, 5))
    found = [paired_comparison(by_seed(b + 0.01 * e), by_seed(b)) for b, e in zip(base, noise, strict=True)]
    rejected = sum(comparison.p < 0.05 for comparison in found)
    assert all(comparison.p_sign_flip >= 0.0625 for comparison in found)
    assert rejected <= SIMULATIONS // 2 * (most + 3 * math.sqrt(0.05 * 0.95 / (SIMULATIONS // 2)))
    if law == "normal":
        assert within(rejected, 0.05, SIMULATIONS // 2)


def test_holm_by_hand():
    """Sorted 0.01, 0.02, 0.03, 0.2: times 4, 3, 2, 1, then the running maximum."""
    np.testing.assert_allclose(holm([0.2, 0.01, 0.03, 0.02]), [0.2, 0.04, 0.06, 0.06])
    assert holm([]).tolist() == [] and holm([0.4]).tolist() == [0.4]
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]


def test_holm_keeps_the_familywise_rate_and_beats_bonferroni():
    """Five tests against one baseline, so dependent; two of them have an effect, the others must not be claimed."""
    generator = np.random.default_rng(4)
    wrong = found = plain = 0
    shift = np.array([0, 0, 0, 4.0, 4.0])[:, None]
    for _ in range(1000):
        base, cells = generator.normal(0, 1, 8), generator.normal(0, 1, (5, 8)) + shift
        p = np.array([paired_comparison(by_seed(cell), by_seed(base)).p for cell in cells])
        wrong += (holm(p)[:3] < 0.05).any()
        found += (holm(p)[3:] < 0.05).sum()
        plain += (5 * p[3:] < 0.05).sum()
    assert wrong <= 1000 * (0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000))
    assert found > plain


def test_mcnemar_by_hand():
    """Six images only the first has right and one only the second: 2 (1 + 7) / 2**7 = 0.125; others do not count."""
    first = np.array([1] * 6 + [0] + [1] * 50 + [0] * 9, bool)
    second = np.array([0] * 6 + [1] + [1] * 50 + [0] * 9, bool)
    assert mcnemar(first, second) == (6, 1, pytest.approx(0.125))
    assert mcnemar(second, first) == (1, 6, pytest.approx(0.125))
    assert mcnemar(first, first) == (0, 0, 1.0)
    with pytest.raises(ValueError, match="same images"):
        mcnemar(first, second[:-1])


def test_the_middle_p_keeps_the_level_of_seeds_that_share_their_images():
    """Seeds that depend fully, half, not at all on what they share: at most 5 %."""
    generator = np.random.default_rng(5)
    assert middle_p([0.9, 0.01, 0.02]) == pytest.approx(0.03) and middle_p([0.03]) == 0.03
    assert middle_p([0.01, 0.9]) == 0.02 and middle_p([0.8, 0.9]) == 1.0  # Bonferroni's
    for share in (0.0, 0.7, 1.0):
        common, own = generator.normal(0, 1, (SIMULATIONS, 1)), generator.normal(0, 1, (SIMULATIONS, 5))
        z = np.sqrt(share) * common + np.sqrt(1 - share) * own
        p = np.vectorize(math.erfc)(np.abs(z) / math.sqrt(2))
        assert sum(middle_p(row) < 0.05 for row in p) <= SIMULATIONS * 0.055


@pytest.mark.parametrize(("n", "alpha"), [(3, 0.05), (5, 0.05), (10, 0.01)])
def test_power_at_the_smallest_detectable_difference(n, alpha):
    least = smallest_detectable_difference(0.01, n, alpha=alpha)
    differences = np.random.default_rng(n).normal(least, 0.01, (SIMULATIONS, n))
    t = differences.mean(axis=1) / differences.std(axis=1, ddof=1) * math.sqrt(n)
    # two-sided points of Student's table: 4.3027 of 2 degrees of freedom, 2.7764 of 4, 3.2498 of 9 at 0.01
    limit = {3: 4.3027, 5: 2.7764, 10: 3.2498}[n]
    assert within((np.abs(t) > limit).sum(), 0.8)


def test_smallest_detectable_difference_by_a_known_value():
    """Cohen's d of 0.5 needs 34 pairs for a power of 0.8 (G*Power 3.1's example of two dependent means)."""
    assert smallest_detectable_difference(1.0, 33) > 0.5 > smallest_detectable_difference(1.0, 34)
    assert smallest_detectable_difference(3.0, 34) == pytest.approx(3 * smallest_detectable_difference(1.0, 34))
    assert smallest_detectable_difference(1.0, 1) is None and smallest_detectable_difference(0.0, 5) is None
    assert smallest_detectable_difference(1.0, 2, alpha=0.05 / 20) > smallest_detectable_difference(1.0, 2) > 10


def test_decide():
    assert statistics.decide(0.1, 0.049) == "supported" and statistics.decide(-0.1, 0.049) == "refuted"
    assert statistics.decide(0.1, 0.05) == statistics.decide(-5.0, 1.0) == "not decided"
    assert statistics.decide(0.1, 0.001, 0.049) == "no difference that matters"
    assert statistics.decide(0.1, 0.001, 0.05) == "supported" and statistics.decide(0.1, 0.9, 0.05) == "not decided"


@pytest.mark.parametrize("margin", [0.5, 2.0, 3.5])
def test_a_margin_is_tested_from_both_its_ends(margin):
    """Two one-sided t tests as scipy has them: of a mean of at least the margin, and of at most minus it."""
    d = np.random.default_rng(1).normal(0.4, 1, 8)
    found = paired_comparison(by_seed(d), by_seed(np.zeros(8)), margin=margin).p_margin
    ends = [scipy.stats.ttest_1samp(d, m, alternative=a).pvalue for m, a in ((margin, "less"), (-margin, "greater"))]
    assert found == pytest.approx(max(ends), rel=1e-9)
    assert found == paired_comparison(by_seed(np.zeros(8)), by_seed(d), margin=margin).p_margin


def test_equal_differences_within_the_margin():
    """t is undefined, and all signs of the distances from either end of the margin are one: p is 1 / 2**n."""
    same = by_seed([0.25] * 5)
    for margin, p in ((0.5, 1 / 32), (0.25, 1.0), (0.1, 1.0), (None, None)):
        assert paired_comparison(same, by_seed([0.0] * 5), margin=margin).p_margin == p
