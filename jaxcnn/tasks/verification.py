"""Measures of verification: do two images show the same person? By scores of pairs, higher for those more alike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Roc(NamedTuple):
    """A receiver operating characteristic: for each threshold the shares of pairs whose score reaches it.

    Attributes:
      false_accepts: (t,) of the pairs of different people, ascending from 0 to 1.
      true_accepts: (t,) of the pairs of one person.
      thresholds: (t,) descending, the first is infinite.
    """

    false_accepts: np.ndarray
    true_accepts: np.ndarray
    thresholds: np.ndarray


def roc(scores: np.ndarray, same: np.ndarray) -> Roc:
    """The Roc of pairs, at every threshold that differs (scikit-learn's roc_curve).

    Args:
      scores: (n,) float, higher for pairs that are more alike.
      same: (n,) bool, true for pairs of one person; both kinds are there.
    """
    from sklearn.metrics import roc_curve  # half a second, which a start without it saves

    return Roc(*roc_curve(same, scores, drop_intermediate=False))


def area(scores: np.ndarray, same: np.ndarray) -> float:
    """The area below the ROC: the chance that a pair of one person is more alike than one of two people."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(same, scores))


def equal_error_rate(scores: np.ndarray, same: np.ndarray) -> float:
    """The rate at which false accepts are as frequent as false rejects, between thresholds by a straight line.

    Args:
      scores, same: as in `roc`.
    """
    false_accepts, true_accepts, _ = roc(scores, same)
    excess = false_accepts - (1 - true_accepts)  # ascends from -1 to 1
    after = int(np.argmax(excess >= 0))
    before = after - 1
    part = -excess[before] / (excess[after] - excess[before])
    return float(false_accepts[before] + part * (false_accepts[after] - false_accepts[before]))
