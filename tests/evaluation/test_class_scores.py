"""Precision, recall and F1 against scikit-learn."""

import warnings

import numpy as np
import pytest
from sklearn import metrics

from jaxcnn.evaluation.class_scores import class_scores

CLASSES = tuple("abcdefg")


def by_sklearn(label, predicted, **options):
    """(precision, recall, F1), each float or (7,)."""
    return metrics.precision_recall_fscore_support(label, predicted, **options)[:3]


@pytest.mark.parametrize("seed", range(6))
def test_equals_scikit_learn_with_empty_classes_too(seed):
    random = np.random.default_rng(seed)
    of_true, of_predicted = ((0, 1, 2, 3), (1, 2, 4)) if seed % 2 else (range(7), (0, 1, 5, 6))
    label, predicted = random.choice(of_true, 60), random.choice(of_predicted, 60)
    predicted = np.where(random.random(60) < 0.4, label, predicted)
    found = class_scores(CLASSES, metrics.confusion_matrix(label, predicted, labels=range(7)))
    with warnings.catch_warnings():  # it says where a score has no value
        warnings.simplefilter("ignore")
        macro = by_sklearn(label, predicted, average="macro")
        balanced = metrics.balanced_accuracy_score(label, predicted)
    assert [found[name] for name in ("precision", "recall", "f1")] == pytest.approx(list(macro), rel=1e-12)
    assert found["balanced_accuracy"] == pytest.approx(balanced, rel=1e-12)
    every = by_sklearn(label, predicted, labels=range(7), average=None, zero_division=np.nan)
    rows = list(found["by_class"].values())
    assert list(found["by_class"]) == list(CLASSES)
    assert [row["n"] for row in rows] == [int((label == c).sum()) for c in range(7)]
    for name, column in zip(("precision", "recall", "f1"), every, strict=True):
        np.testing.assert_allclose([np.nan if r[name] is None else r[name] for r in rows], column, rtol=1e-12)


def test_nothing_seen_has_no_scores():
    found = class_scores("ab", np.zeros((2, 2), int))
    by_class = found.pop("by_class")
    assert by_class["a"] == by_class["b"] == {"n": 0, "precision": None, "recall": None, "f1": None}
    assert set(found.values()) == {None}
