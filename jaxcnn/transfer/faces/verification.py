"""Verification: ROC, equal error rate, rates at few false accepts, and LFW's protocol over folds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.decomposition import PCA

from jaxcnn.analysis.proportion import wilson_interval
from jaxcnn.errors import InputError, look_up
from jaxcnn.tasks.verification import Roc, area, equal_error_rate, roc

if TYPE_CHECKING:
    from jaxcnn.transfer.faces.pairs import Pairs


FALSE_ACCEPT_RATES = (1e-1, 1e-2, 1e-3, 1e-4)
ENOUGH = 10  # false accepts, below which a rate of them hangs on single pairs
LEAST = 1e-12  # of the largest variance, below which one is rounding


class AtRate(NamedTuple):
    """True accepts at a rate of false accepts.

    Attributes:
      false_accept_rate: the rate that is not exceeded.
      false_accepts: pairs of different people that are accepted.
      threshold: the lowest score that is accepted.
      true_accept_rate: the share of pairs of one person that are accepted.
      low, high: Wilson's interval of it, over pairs.
      note: a sentence where the pairs are too few for this rate; else empty.
    """

    false_accept_rate: float
    false_accepts: int
    threshold: float
    true_accept_rate: float
    low: float
    high: float
    note: str


class ByFolds(NamedTuple):
    """LFW's protocol: each fold is tested with the threshold that is best on the others.

    Attributes:
      accuracy: the mean over the folds.
      standard_error: of that mean, the sample standard deviation of the folds over the root of their number.
      accuracies, thresholds: of each fold.
      accepted: (n,) bool of the pairs, by the threshold of their fold.
    """

    accuracy: float
    standard_error: float
    accuracies: tuple
    thresholds: tuple
    accepted: np.ndarray


class Verification(NamedTuple):
    """The result of a set of pairs.

    Attributes:
      same, different: numbers of pairs.
      scores: (n,) of the pairs.
      curve: Roc.
      area, equal_error_rate: of it.
      at_rates: [AtRate].
      by_folds: ByFolds.
    """

    same: int
    different: int
    scores: np.ndarray
    curve: Roc
    area: float
    equal_error_rate: float
    at_rates: list
    by_folds: ByFolds


def similarity(first: np.ndarray, second: np.ndarray, *, metric: str = "cosine") -> np.ndarray:
    """How alike pairs of vectors are, (n,) float64.

    cosine: x.y / (|x| |y|), 0 for a vector of zeros; euclidean: -|x - y|.

    Args:
      first, second: (n, d) float.
      metric: one of METRICS.
    Raises:
      ValueError: there is no such metric.
    """
    alike = look_up(metric, table=METRICS, kind="metric")
    return alike(np.asarray(first, np.float64), np.asarray(second, np.float64))


def _cosine(first, second):
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.sum(first * second, axis=1) / np.maximum(lengths, np.finfo(float).tiny)


def _euclidean(first, second):
    return -np.linalg.norm(first - second, axis=1)


METRICS = {"cosine": _cosine, "euclidean": _euclidean}


def pair_scores(vectors: np.ndarray, pairs: Pairs, *, metric: str = "cosine", whiten: int = 0) -> np.ndarray:
    """The scores (n,) of Pairs of rows.

    Args:
      vectors: (rows, d) float.
      pairs: Pairs.
      metric: one of METRICS.
      whiten: 0, or a number of principal components, scaled to variance 1: those of the images of the other folds, so
        that nothing of a fold's own people is used.
    Raises:
      InputError: there are not as many components.
    """
    if not whiten:
        return similarity(vectors[pairs.first], vectors[pairs.second], metric=metric)
    scores = np.empty(len(pairs.same))
    for fold in np.unique(pairs.fold):
        own = pairs.of_fold(fold)
        others = np.unique(np.concatenate([pairs.first[~own], pairs.second[~own]]))
        components = whitening(vectors[others], whiten)
        both = (components.transform(vectors[rows[own]]) for rows in (pairs.first, pairs.second))
        scores[own] = similarity(*both, metric=metric)
    return scores


def whitening(vectors: np.ndarray, components: int) -> Any:
    """scikit-learn's PCA of vectors (n, d) with that many components, scaled to variance 1.

    Raises:
      InputError: there are fewer dimensions or images, or the vectors do not vary in so many directions.
    """
    most = min(len(vectors) - 1, vectors.shape[1])
    if components > most:
        raise InputError(
            f"whitening by {components} components: {len(vectors)} images of {vectors.shape[1]} numbers have {most}."
        )
    fitted = PCA(components, whiten=True, svd_solver="full").fit(np.float64(vectors))
    variance = fitted.explained_variance_
    if (there := int(np.sum(variance > LEAST * variance[0]))) < components:  # else rounding would be blown up
        raise InputError(
            f"whitening by {components} components: the vectors of {len(vectors)} images vary in {there} directions."
        )
    return fitted


def verify(scores: np.ndarray, pairs: Pairs) -> Verification:
    """The Verification of Pairs by their scores (n,), higher for those more alike.

    Raises:
      InputError: a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise InputError(f"the scores of {np.sum(~np.isfinite(scores))} of {len(scores)} pairs are not finite.")
    same = np.asarray(pairs.same)
    return Verification(
        int(same.sum()),
        int((~same).sum()),
        scores,
        roc(scores, same),
        area(scores, same),
        equal_error_rate(scores, same),
        [at_false_accept_rate(scores, same, rate) for rate in FALSE_ACCEPT_RATES],
        by_folds(scores, pairs),
    )


def at_false_accept_rate(scores: np.ndarray, same: np.ndarray, rate: float) -> AtRate:
    """The AtRate of the lowest threshold by which at most that share of the pairs of different people is accepted."""
    curve, different = roc(scores, same), int((~same).sum())
    place = int(np.flatnonzero(curve.false_accepts <= rate)[-1])
    accepted, false_accepts = (
        round(share[place] * n) for share, n in ((curve.true_accepts, same.sum()), (curve.false_accepts, different))
    )
    interval = wilson_interval(accepted, same.sum())
    threshold = float(curve.thresholds[place])
    if not np.isfinite(threshold):  # nothing is accepted
        threshold = float(np.nextafter(scores.max(), np.inf))
    share = float(accepted / same.sum())
    return AtRate(rate, int(false_accepts), threshold, share, *interval, _too_few(rate, different))


def _too_few(rate, different):
    expected = rate * different * (1 + 1e-9)
    if expected < 1:
        return f"too few pairs: none of {different} false accepts is allowed; {rate:g} takes {round(1 / rate):,} pairs"
    if expected < ENOUGH:
        return f"too few pairs: only {int(expected)} of {different} may be false accepts; at least {ENOUGH} are wanted"
    return ""


def best_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """The threshold with the most pairs right, accepted where score >= threshold; of equally good ones the middle.

    It lies halfway between two scores, or accepts all or none.
    """
    order = np.argsort(-scores, kind="stable")
    scores, same = scores[order], same[order]
    right = np.concatenate([[0], np.cumsum(np.where(same, 1, -1))])  # with the first k accepted, but for a constant
    possible = np.concatenate([[True], scores[:-1] > scores[1:], [True]])
    best = np.flatnonzero(possible & (right == right[possible].max()))
    cut = best[(len(best) - 1) // 2]
    if cut in (0, len(scores)):
        return float(np.nextafter(scores[0], np.inf)) if cut == 0 else float(scores[-1])
    middle = float((scores[cut - 1] + scores[cut]) / 2)
    return middle if middle > scores[cut] else float(scores[cut - 1])  # neighbours among floats


def by_folds(scores: np.ndarray, pairs: Pairs) -> ByFolds:
    """The ByFolds of Pairs (Huang et al. 2007, "Labeled Faces in the Wild", View 2)."""
    accepted, thresholds, accuracies = np.zeros(len(scores), bool), [], []
    for fold in np.unique(pairs.fold):
        own = pairs.of_fold(fold)
        thresholds.append(best_threshold(scores[~own], pairs.same[~own]))
        accepted[own] = scores[own] >= thresholds[-1]
        accuracies.append(float(np.mean(accepted[own] == pairs.same[own])))
    error = float(np.std(accuracies, ddof=1) / np.sqrt(len(accuracies)))
    return ByFolds(float(np.mean(accuracies)), error, tuple(accuracies), tuple(thresholds), accepted)


def worst_pairs(found: Verification, pairs: Pairs, *, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(pairs of one person that are least alike, pairs of two people that are most alike): their numbers, worst first.

    Args:
      found: a Verification.
      pairs: its Pairs.
      count: of each, where there are as many.
    """
    order = np.argsort(found.scores, kind="stable")
    return order[pairs.same[order]][:count], order[::-1][~pairs.same[order[::-1]]][:count]
