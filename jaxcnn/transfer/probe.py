"""Simple classifiers of features: the linear probe, a linear SVM, nearest neighbours.

Vectors are scaled to unit length first, as Simonyan and Zisserman 2014 (arXiv:1409.1556, appendix B) do for the SVM on
VGG's features; Euclidean neighbours of unit vectors are those by cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from jaxcnn.analysis.proportion import wilson_interval
from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from jaxcnn.transfer.feature_file import Features


HELD_OUT = 0.2
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)  # C, the inverse of the regularisation
CLASSIFIERS = {  # name: (its option, the values to choose from, classifier of a value and a seed)
    "logistic regression": ("C", STRENGTHS, lambda c, seed: LogisticRegression(C=c, max_iter=5000)),
    "linear SVM": ("C", STRENGTHS, lambda c, seed: LinearSVC(C=c, max_iter=20000, random_state=seed)),
    "nearest neighbours": ("k", (1, 3, 5, 10, 20), lambda k, seed: KNeighborsClassifier(n_neighbors=k)),
}


class ProbeRow(NamedTuple):
    """The result of one classifier.

    Attributes:
      classifier: a key of CLASSIFIERS.
      option, value: what was chosen on the held-out slice: "C" or "k".
      held_out: accuracy on that slice.
      n, right: images tested on, and how many are right.
      accuracy: right / n.
      low, high: Wilson's interval of it, over images.
    """

    classifier: str
    option: str
    value: float
    held_out: float
    n: int
    right: int
    accuracy: float
    low: float
    high: float


def probe(
    train: np.ndarray,
    train_label: np.ndarray,
    test: np.ndarray,
    test_label: np.ndarray,
    *,
    classifiers: Sequence[str] = tuple(CLASSIFIERS),
    seed: int = 0,
) -> list[ProbeRow]:
    """Chooses each classifier's option on a fifth held out of train, learns from all of train, and tests once.

    Args:
      train, test: (n, d) and (m, d) float; rows are scaled to unit length here.
      train_label, test_label: (n,) and (m,) int.
      classifiers: some of CLASSIFIERS.
      seed: of the slice, which is stratified, and of the SVM's coordinate descent.
    Returns:
      [ProbeRow]. Of equal held-out accuracies the smaller C or k is chosen.
    Raises:
      InputError: there is one class, a class has one image to learn from, or there are fewer held out than classes.
    """
    if len(np.unique(train_label)) < 2:
        raise InputError("all images to learn from are of one class: there is nothing to tell apart.")
    train, test = normalize(train), normalize(test)
    try:
        parts = train_test_split(train, train_label, test_size=HELD_OUT, random_state=seed, stratify=train_label)
    except ValueError as error:
        raise InputError(f"too few images to hold a fifth of each class out, which chooses C and k: {error}") from error
    rows = []
    for name in classifiers:
        option, values, make = CLASSIFIERS[name]
        held_out, value = _choose(make, [v for v in values if option != "k" or v <= len(parts[0])], parts, seed)
        right = int((make(value, seed).fit(train, train_label).predict(test) == test_label).sum())
        interval = wilson_interval(right, len(test))
        rows.append(ProbeRow(name, option, value, held_out, len(test), right, right / len(test), *interval))
    return rows


def _choose(make, values, parts, seed):
    """(held-out accuracy, value) of the best."""
    fitted, held_out, fitted_label, held_out_label = parts
    found = [(make(v, seed).fit(fitted, fitted_label).predict(held_out) == held_out_label).mean() for v in values]
    best = int(np.argmax(found))
    return float(found[best]), values[best]


def probe_features(train: Features, test: Features, *, seed: int = 0) -> list[ProbeRow]:
    """`probe` of two Features.

    Raises:
      InputError: they come from different networks or stages, have other classes, or are of the same images.
    """
    for key in ("weights", "stage", "pool"):
        if train.meta[key] != test.meta[key]:
            raise InputError(
                f"the features to learn from and those to test on are not of one kind: {key} is {train.meta[key]!r} "
                f"and {test.meta[key]!r}."
            )
    if train.classes != test.classes:
        only = sorted(set(train.classes) ^ set(test.classes))
        raise InputError(f"the classes to learn and those to test on are not the same, or in another order: {only}.")
    same = train.features.shape == test.features.shape and np.array_equal(train.features, test.features)
    if train.meta["data"] == test.meta["data"] or same:
        raise InputError("the images to test on are those to learn from: write features of another split.")
    return probe(train.vectors(), train.label, test.vectors(), test.label, seed=seed)
