"""Tests and intervals of paired differences that hold whenever one stops looking: after each seed, at the end, at once.

The differences x_1, x_2, ... are independent and normal, with a mean mu and a standard deviation sigma that nobody
knows. The evidence against mu = 0 is the Bayes factor with the right Haar measure d sigma / sigma on both sides and
mu / sigma ~ N(0, VARIANCE) against 0 (Jeffreys 1961; Perez-Ortiz, Lardy, de Heide and Gruenwald 2022, arXiv:2208.07610,
section 4; Wang and Ramdas 2023, arXiv:2310.03722, theorem 4.9, with VARIANCE = 1 / c**2):

  E_n = (1 + n v)**(-1/2) (V / (V - v S**2 / (1 + n v)))**(n / 2),  S = sum x_i, V = sum x_i**2, v = VARIANCE

With mu = 0 it is a martingale of mean 1 in what x_1 / |x_1|, ..., x_n / |x_1| tell, so that by Ville's inequality it
ever reaches 1 / alpha with probability alpha at most: also at a stop that was chosen in any other way, by the values of
another claim or by the clock. docs/statistics.md has the assumptions, what breaks, and the power.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxcnn.sweeps import statistics
from jaxcnn.sweeps.statistics import CONFIDENCE, Comparison, Method

VARIANCE = 2.0  # of mu / sigma under the alternative: needs the fewest seeds for effects of 1 and 2 sigma together
# Pairs before which nothing counts. Normal differences need no such start; of two-peaked ones the first few may lie on
# one peak by chance, with next to no spread: from the first seed on 11 % of such paths end in a false claim, so 6 %.
FIRST = 6


def log_evidence(differences: np.ndarray | Sequence[float], *, null: float = 0.0, rounding: float = 0.0) -> np.ndarray:
    """log E_n against the mean being `null`, for every n at once.

    Args:
      differences: (..., n) float, in the order of their seeds.
      null: the mean of the hypothesis, a float.
      rounding: by how much two equal differences may be apart.
    Returns:
      (..., n) float64. 0, which is no evidence, where the differences so far are all equal, one alone too: their
      spread would be that of the rounding.
    """
    differences = np.asarray(differences, np.float64)
    shifted = differences - null
    n = np.arange(1, differences.shape[-1] + 1)
    sums, squares, scale = shifted.cumsum(-1), (shifted**2).cumsum(-1), 1 + n * VARIANCE
    spread = np.maximum.accumulate(differences, -1) - np.minimum.accumulate(differences, -1)
    equal = spread <= rounding
    squares = np.where(equal, 1.0, squares)
    rest = np.where(equal, 1.0, squares - VARIANCE * sums**2 / scale)
    return np.where(equal, 0.0, n / 2 * np.log(squares / rest) - np.log(scale) / 2)


def strongest(
    differences: np.ndarray | Sequence[float], *, null: float = 0.0, rounding: float = 0.0
) -> tuple[np.ndarray, ...]:
    """(above, below): the largest E_n so far, n from FIRST on, where the mean lay above `null`, and below it; or 1.

    Args:
      differences, null, rounding: as in `log_evidence`.
    Returns:
      Two (..., n) float64. Of a mean that is `null` the larger of the two ever reaches 1 / alpha with probability
      alpha at most.
    """
    n = np.arange(1, np.shape(differences)[-1] + 1)
    means = np.cumsum(differences, -1) / n
    evidence = np.exp(np.minimum(log_evidence(differences, null=null, rounding=rounding), 700.0))  # exp's range
    sides = (np.where(side & (n >= FIRST), evidence, 1.0) for side in (means > null, means < null))
    return tuple(np.maximum.accumulate(np.maximum(side, 1.0), -1) for side in sides)


def difference_p(differences: np.ndarray | Sequence[float], *, rounding: float = 0.0) -> np.ndarray:
    """The two-sided p of no difference after every n, 1 / (the largest E_n so far on the side where the mean now lies).

    It may be read after every seed: with no difference it ever falls to alpha with probability alpha at most, and with
    a difference it ever falls to alpha on the other side with at most alpha / (2 - alpha) (see `margin_p`).

    Args, shapes: as in `log_evidence`.
    """
    above, below = strongest(differences, rounding=rounding)
    sums = np.cumsum(differences, -1)
    return np.where(sums > 0, 1 / above, np.where(sums < 0, 1 / below, 1.0))


def margin_p(differences: np.ndarray | Sequence[float], margin: float, *, rounding: float = 0.0) -> np.ndarray:
    """The p of a mean of at least `margin` on either side, after every n: two one-sided tests that hold at any stop.

    The one-sided evidence for mu > c is the same Bayes factor with the half normal on its side alone, E+ with
    (E+ + E-) / 2 = E. It rises with t, so that adding a number to all differences cannot lower it at any n: where
    mu < c it lies below what it is of differences moved up to mu = c. Where the mean lies above c, E- is at most 1, and
    E+ at least 2 E - 1. A one-sided p is then 1 / (2 E - 1), E the largest so far. Of the two tests the larger p
    counts: one of their hypotheses is true where the mean does not lie within the margin (Schuirmann 1987).

    Args:
      differences, rounding: as in `log_evidence`.
      margin: positive, in the unit of the differences.
    Returns:
      (..., n) float64.
    """
    above, _ = strongest(differences, null=-margin, rounding=rounding)
    _, below = strongest(differences, null=margin, rounding=rounding)
    return 1 / (2 * np.minimum(above, below) - 1)


def confidence_sequence(
    differences: np.ndarray | Sequence[float], *, confidence: float = CONFIDENCE, rounding: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Intervals of the mean after every n that all hold it at once, each the part that the intervals so far share.

    {mu: E_n of x - mu < 1 / alpha}, alpha = 1 - confidence, is m +- sqrt(u (n - 1) / n) s,
    u = r (A - 1) / (r - A), r = 1 + n VARIANCE, A = (r / alpha**2)**(1 / n); all numbers where A is at least r, and
    before FIRST.

    Args:
      differences, rounding: as in `log_evidence`.
      confidence: the chance that every interval, of all n, holds the mean.
    Returns:
      (low, high), each (..., n) float64, infinite where there is none yet; low is above high where intervals of
      different n have nothing in common, which happens with probability 1 - confidence at most.
    """
    differences = np.asarray(differences, np.float64)
    n = np.arange(1, differences.shape[-1] + 1)
    means = differences.cumsum(-1) / n
    # V about the mean; the values are first moved by one of them, so that a large common part costs no digits.
    moved = differences - differences[..., :1]
    variances = np.maximum((moved**2).cumsum(-1) / n - (moved.cumsum(-1) / n) ** 2, 0.0)
    scale = 1 + n * VARIANCE
    growth = (scale / (1 - confidence) ** 2) ** (1 / n)
    enough = (growth < scale) & (n >= FIRST)
    ratio = np.where(enough, scale * (growth - 1) / np.where(enough, scale - growth, 1.0), np.inf)
    spread = np.maximum.accumulate(differences, -1) - np.minimum.accumulate(differences, -1)
    varies = spread > rounding
    half = np.where(varies, np.sqrt(np.where(varies, variances, 1.0) * ratio), np.inf)
    return np.maximum.accumulate(means - half, -1), np.minimum.accumulate(means + half, -1)


def mean_interval(
    values: Any, *, confidence: float = CONFIDENCE, rounding: float | None = None
) -> tuple[float, float] | None:
    """The last interval of `confidence_sequence`; None where there is none or those of different n contradict."""
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return None
    rounding = statistics.rounding_of(values) if rounding is None else rounding
    low, high = (float(edge[-1]) for edge in confidence_sequence(values, confidence=confidence, rounding=rounding))
    return (low, high) if -np.inf < low <= high < np.inf else None


def paired_comparison(
    first: Mapping[int, float], second: Mapping[int, float], *, margin: float | None = None
) -> Comparison:
    """`statistics.paired_comparison` that holds at any stop: with `difference_p`, `margin_p`, `confidence_sequence`.

    Args:
      first, second: {seed: finite number}, in the order in which the seeds were run.
      margin: as there.
    Returns:
      A Comparison without p_t and p_sign_flip, which hold for a number of seeds that was fixed before.
    """
    differences, values = statistics.paired(first, second)
    n, rounding = len(differences), statistics.rounding_of(values)
    return Comparison(
        n=n,
        difference=float(differences.mean()),
        std=float(differences.std(ddof=1)) if n > 1 else None,
        interval=mean_interval(differences, rounding=rounding),
        p_t=None,
        p_sign_flip=None,
        p=float(difference_p(differences, rounding=rounding)[-1]),
        p_margin=None if margin is None else float(margin_p(differences, margin, rounding=rounding)[-1]),
    )


ANYTIME = Method(paired_comparison, mean_interval, fixed=False)
