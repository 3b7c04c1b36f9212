"""Statistics of few seeds: intervals, paired tests, corrections for many questions, and what a number of seeds detects.

The observation is a run, never an image: images of one run share its weights, so that a test over pooled images would
take one lucky initialisation for thousands of independent successes. Only `mcnemar` counts images, and it speaks of two
trained networks, not of two recipes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats

ALPHA, CONFIDENCE, POWER = 0.05, 0.95, 0.8
EXACT_PAIRS = 12  # up to here all 2**n signs are tried
RANDOM_SIGNS = 9999
# A spread of differences up to this part of the largest value is rounding. Logs of before hold fractions of images in
# float32: each is off by 2**-24 of itself at most, a difference of two by twice that, the range of differences by four
# times. One image more on one seed is a larger part in any split of fewer than four million.
ROUNDING = 2.0**-22
FLOAT64 = 1e-12  # the same for sums in float64 of numbers that are exact

SUPPORTED, REFUTED, NOT_DECIDED = "supported", "refuted", "not decided"
NO_DIFFERENCE = "no difference that matters"


class Comparison(NamedTuple):
    """first - second, paired by seed.

    Attributes:
      n: pairs.
      difference: their mean.
      std: sample standard deviation of the differences; None for one pair.
      interval: (low, high) of the mean difference; None for one pair and where all differences are equal, but for the
        rounding of the values.
      p_t: two-sided p of the paired t test; None where the interval is.
      p_sign_flip: two-sided p of the sign flip test.
      p: the one that a verdict uses, see `paired_comparison`.
      p_margin: of the mean lying as far as the margin from zero, or further; None without a margin.
    """

    n: int
    difference: float
    std: float | None
    interval: tuple | None
    p_t: float | None
    p_sign_flip: float | None
    p: float
    p_margin: float | None = None


class Method(NamedTuple):
    """How the values of a study become evidence.

    Attributes:
      compare: f(first, second, margin=None) -> Comparison.
      interval: f(values) -> (low, high) of their mean, or None.
      fixed: whether both hold only for a number of seeds that was fixed before, as those of this file do.
    """

    compare: Callable
    interval: Callable
    fixed: bool


class McNemar(NamedTuple):
    """Images that only the first network has right, those that only the second has, and the two-sided p."""

    only_first: int
    only_second: int
    p: float


def mean_interval(
    values: Sequence[float] | np.ndarray, *, confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Student's interval of a mean.

    mean +- t(n - 1, (1 + confidence) / 2) s / sqrt(n), s the sample standard deviation   (Student 1908, Biometrika 6)

    Args:
      values: (n,) finite numbers.
      confidence: the share of such intervals that hold the true mean of normal values.
    Returns:
      (low, high); None for fewer than two values, and for equal ones: their width would be zero, a certainty that a
      few equal values do not give.
    Raises:
      ValueError: a value is not finite.
    """
    values = _finite(values)
    if len(values) < 2 or is_constant(values, values):
        return None
    n = len(values)
    half = scipy.special.stdtrit(n - 1, (1 + confidence) / 2) * values.std(ddof=1) / math.sqrt(n)
    return float(values.mean() - half), float(values.mean() + half)


def paired_comparison(
    first: Mapping[int, float],
    second: Mapping[int, float],
    *,
    confidence: float = CONFIDENCE,
    margin: float | None = None,
) -> Comparison:
    """Compares two sides on the seeds that both have.

    A verdict uses the p of the paired t test, t = d sqrt(n) / s on n - 1 degrees of freedom. It assumes normal
    differences; where runs of a pair are exchangeable their difference is symmetric, and on symmetric differences t
    keeps its level within about a point at n = 5 (tests/sweeps/test_statistics.py has the simulation); with 3 seeds it
    does not, 7 % for uniform differences and 24 % for two-peaked ones: 5 are the least for a claim. The sign flip test
    assumes only the symmetry, but its p is never below 2 / 2**n: 0.0625 at n = 5, where it could not decide
    anything. It stands beside t, and takes its place where all differences are equal, but for rounding: t is undefined
    there (zero variance, or that of the rounding), and a p of 0 would be a false claim.

    Args:
      first, second: {seed: finite number}.
      confidence: of the interval, which is `mean_interval` of the differences.
      margin: a positive difference that matters, for p_margin, the larger of two one-sided p: of a mean of at most
        -margin, and of at least margin (Schuirmann 1987, J. Pharmacokinetics and Biopharmaceutics 15; TOST).
    Returns:
      A Comparison.
    Raises:
      ValueError: no seed is in both, or a value is not finite.
    """
    differences, values = paired(first, second)
    n, mean, rounding = len(differences), float(differences.mean()), rounding_of(values)
    flipped = sign_flip(differences, rounding=rounding)
    if is_constant(differences, values):
        # Where all lie within the margin, the one-sided sign flip from either end of it; else nothing.
        flat = None if margin is None else 2.0**-n if abs(mean) < margin - rounding else 1.0
        return Comparison(n, mean, 0.0 if n > 1 else None, None, None, flipped, flipped, flat)
    std = float(differences.std(ddof=1))

    def below(distance):
        """The chance of a mean that lies this far, or further, from that of the hypothesis."""
        return float(scipy.special.stdtr(n - 1, -distance * math.sqrt(n) / std))

    p, p_margin = 2 * below(abs(mean)), None if margin is None else below(margin - abs(mean))
    return Comparison(n, mean, std, mean_interval(differences, confidence=confidence), p, flipped, p, p_margin)


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """The differences of two sides at the seeds that both have, in the order of the first, and all values of both.

    Args:
      first, second: {seed: finite number}.
    Returns:
      (n,) and (2 n,) float64.
    Raises:
      ValueError: no seed is in both, or a value is not finite.
    """
    seeds = [seed for seed in first if seed in second]
    if not seeds:
        raise ValueError("the two sides have no seed in common")
    first, second = _finite([first[s] for s in seeds]), _finite([second[s] for s in seeds])
    return first - second, np.concatenate([first, second])


def sign_flip(differences: np.ndarray | Sequence[float], *, rounding: float = 0.0) -> float:
    """Two-sided p of differences that are symmetric about zero (Fisher 1935, The Design of Experiments, section 21).

    The share of the 2**n ways to set their signs whose mean is at least as far from zero; above 12 pairs that of 9999
    random ones and the observed one (Phipson and Smyth 2010, equation 2).

    Args:
      differences: (n,) finite numbers.
      rounding: by how much two equal ones may be apart.
    """
    differences = _finite(differences)
    n = len(differences)
    if n <= EXACT_PAIRS:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        drawn = np.random.default_rng(0).integers(0, 2, (RANDOM_SIGNS, n))
        signs = np.concatenate([np.ones((1, n)), 1 - 2 * drawn])  # the observed one counts
    least = abs(differences.sum()) - max(n * rounding, FLOAT64 * np.abs(differences).sum())
    return float((np.abs(signs @ differences) >= least).mean())


def holm(p_values: Any) -> np.ndarray:
    """Adjusted p of a family of tests, which keep its chance of one false claim at the level (Holm 1979, section 3).

    p~_(i) = max over j <= i of min(1, (m - j + 1) p_(j)), in ascending order of p

    Args:
      p_values: (m,) numbers in [0, 1].
    Returns:
      (m,) float64, in the order given.
    """
    p_values = np.asarray(p_values, np.float64)
    order = np.argsort(p_values, kind="stable")
    steps = np.arange(len(order), 0, -1) * p_values[order]
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def mcnemar(right_first: np.ndarray, right_second: np.ndarray) -> McNemar:
    """Whether two networks have the same error rate, from the same images (McNemar 1947; exact as in Dietterich 1998).

    Of the images that one of the two has right, under the hypothesis a half is the first's: two-sided binomial p.

    Args:
      right_first, right_second: (n,) bool, image by image.
    Returns:
      A McNemar.
    Raises:
      ValueError: the lengths differ.
    """
    first, second = np.asarray(right_first, bool), np.asarray(right_second, bool)
    if first.shape != second.shape:
        raise ValueError(f"McNemar's test needs the same images: {len(first)} of one network, {len(second)} of another")
    one, other = int((first & ~second).sum()), int((second & ~first).sum())
    p = scipy.stats.binomtest(one, one + other, 0.5).pvalue if one + other else 1.0
    return McNemar(one, other, float(p))


def middle_p(p_values: Any) -> float:
    """One p of several that may depend on each other in any way: min(1, n / k p_(k)) with p_(k) the lower median.

    At most n alpha / k of n true hypotheses' p can make k of them fall below alpha (Rueger 1978, Metrika 25). McNemar's
    p of each seed's two networks are such: they share their images, so that counts pooled over seeds would not be
    binomial.

    Args:
      p_values: (n,) numbers in [0, 1], n at least 1.
    """
    n = len(p_values)
    k = (n + 1) // 2
    return float(min(1.0, n / k * np.sort(p_values)[k - 1]))


def smallest_detectable_difference(std: float, n: int, *, alpha: float = ALPHA, power: float = POWER) -> float | None:
    """The true mean difference that the two-sided paired t test at level alpha finds with probability `power`.

    P(|T| > t(n - 1, 1 - alpha / 2)) = power, T noncentral t on n - 1 degrees of freedom with noncentrality
    d sqrt(n) / std   (Cohen 1988, section 2.3); computed for T**2, whose noncentral F holds both tails

    Args:
      std: standard deviation of the differences.
      n: pairs.
    Returns:
      d, in the unit of std; None where n is below two or std is zero, which say nothing.
    """
    if n < 2 or not std:
        return None
    limit = scipy.stats.f.ppf(1 - alpha, 1, n - 1)

    def missing(shift):
        return scipy.stats.ncf.sf(limit, 1, n - 1, shift**2) - power

    high = 1.0
    while missing(high) < 0:
        high *= 2
    return float(scipy.optimize.brentq(missing, 0.0, high) * std / math.sqrt(n))


def decide(difference: float, p: float, p_margin: float | None = None, *, alpha: float = ALPHA) -> str:
    """The verdict on a claim that `difference` is positive: supported or refuted where p is below alpha.

    No difference that matters where p_margin is: also of a difference that is there, and too small to matter.

    Args:
      difference: mean of the pairs.
      p, p_margin: of no difference, and of one as large as the margin (None: the claim has none), adjusted for the
        family that the claim belongs to.
    """
    if p_margin is not None and p_margin < alpha:
        return NO_DIFFERENCE
    if p >= alpha or difference == 0:
        return NOT_DECIDED
    return SUPPORTED if difference > 0 else REFUTED


def _finite(values):
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"a value is not a finite number: {values.tolist()}")
    return values


def rounding_of(values: Any) -> float:
    """By how much two equal differences of such values may be apart."""
    return ROUNDING * np.abs(values).max()


def is_constant(differences: np.ndarray, values: np.ndarray) -> bool:
    """Whether differences of values differ by no more than rounding; one does not vary either."""
    return bool(np.ptp(differences) <= rounding_of(values))


FIXED = Method(paired_comparison, mean_interval, fixed=True)
