"""Precision, recall and F1 of the classes, and their means, from a confusion matrix."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def class_scores(classes: Sequence[str], confusion: Any) -> dict[str, Any]:
    """The scores of a classifier that people report beside its accuracy.

    With n_tp right images of a class, n_t images of it and n_p images that were taken for it:

      precision = n_tp / n_p,  recall = n_tp / n_t,  F1 = 2 n_tp / (n_t + n_p)

    The macro scores are plain means over the classes that have an image or were predicted, a score without a value
    counted as 0; balanced accuracy is the mean recall of the classes that have images. All are scikit-learn's by its
    defaults (precision_recall_fscore_support, balanced_accuracy_score).

    Args:
      classes: K names.
      confusion: (K, K) counts, a row a true class.
    Returns:
      {"balanced_accuracy", "precision", "recall", "f1": fractions or None without images, "by_class": {class: {"n":
      its images, "precision", "recall", "f1": fractions, None where the divisor is 0}}}.
    """
    confusion = np.asarray(confusion, np.int64)
    right, images, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    scores = {
        "precision": _divided(right, predicted),
        "recall": _divided(right, images),
        "f1": _divided(2 * right, images + predicted),
    }
    met = images + predicted > 0
    columns = zip(*([None if np.isnan(x) else float(x) for x in column] for column in scores.values()), strict=True)
    return {
        "balanced_accuracy": _mean(scores["recall"][images > 0]),
        **{name: _mean(np.nan_to_num(column[met])) for name, column in scores.items()},
        "by_class": {
            name: {"n": int(n), **dict(zip(scores, values, strict=True))}
            for name, n, values in zip(classes, images, columns, strict=True)
        },
    }


def scores_of(classes: Sequence[str], found: Any) -> dict[str, Any]:
    """{"class_scores": `class_scores`} of an evaluation that counted a (K, K) "confusion", else {}."""
    confusion = found.get("confusion")
    return {"class_scores": class_scores(classes, confusion)} if np.shape(confusion) == 2 * (len(classes),) else {}


def _divided(one, other):
    return np.divide(one, other, out=np.full(len(one), np.nan), where=other > 0)


def _mean(values):
    return float(values.mean()) if len(values) else None
