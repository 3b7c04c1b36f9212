"""Classifiers on features: the choice on a held-out slice, and all of train in the end."""

import dataclasses

import numpy as np
import pytest

from jaxcnn import InputError
from jaxcnn.analysis.proportion import wilson_interval
from jaxcnn.transfer.feature_file import Features
from jaxcnn.transfer.probe import CLASSIFIERS, probe, probe_features


def clusters(n, seed, *, flipped=0.0):
    """Two directions of the plane, the label of a share of the rows flipped; lengths differ by 100."""
    random = np.random.default_rng(seed)
    label = np.arange(n) % 2
    rows = np.where(label[:, None], [0.0, 1.0], [1.0, 0.0]) + 0.1 * random.normal(size=(n, 2))
    return rows * random.uniform(0.1, 10, (n, 1)), np.where(random.uniform(size=n) < flipped, 1 - label, label)


def test_separable_features_are_all_right():
    rows = probe(*clusters(100, 0), *clusters(60, 1))
    assert [row.classifier for row in rows] == list(CLASSIFIERS)
    for row in rows:
        assert (row.n, row.right, row.accuracy, row.held_out) == (60, 60, 1.0, 1.0)
        assert (row.low, row.high) == wilson_interval(60, 60)
        assert row.value == CLASSIFIERS[row.classifier][1][0]  # of equal ones the smallest


def test_the_held_out_slice_chooses():
    train, label = clusters(200, 0, flipped=0.25)
    (row,) = probe(train, label, *clusters(200, 1), classifiers=("nearest neighbours",))
    assert row.value >= 10 and row.right >= 180  # one neighbour would be wrong where its label is flipped: 150
    assert row.held_out < 0.9


def test_all_of_train_is_learned_from_in_the_end():
    random = np.random.default_rng(0)
    train, label = random.normal(size=(50, 8)), random.permutation(np.arange(50) % 5)
    (row,) = probe(train, label, train, label, classifiers=("linear SVM",), seed=3)
    other = probe(train, label, train[::-1], label[::-1], classifiers=("linear SVM",), seed=3)[0]
    assert row == other
    memory = np.eye(50)  # each image is like no other: what was not learned from cannot be known
    names = np.repeat(np.arange(5), 10)
    (row,) = probe(memory, names, memory, names, classifiers=("linear SVM",))
    assert row.right == 50 and row.held_out < 0.5


def made(values, label, classes=("a", "b"), **meta):
    count = np.arange(len(label), dtype=np.int32)
    meta = {"run": "run", "weights": "w", "stage": "fc7", "pool": "none", "data": {"split": "train"}, **meta}
    return Features(np.asarray(values, np.float32), np.asarray(label), count, count, classes, meta)


def test_features_of_other_kinds_are_refused():
    train, test = made(*clusters(20, 0)), made(*clusters(20, 1), data={"split": "test"})
    assert [row.right for row in probe_features(train, test)] == [20, 20, 20]
    with pytest.raises(InputError, match="stage is 'fc7' and 'fc6'"):
        probe_features(train, dataclasses.replace(test, meta={**test.meta, "stage": "fc6"}))
    with pytest.raises(InputError, match=r"classes .* not the same.*\['b', 'c'\]"):
        probe_features(train, dataclasses.replace(test, classes=("a", "c")))
    with pytest.raises(InputError, match="another split"):
        probe_features(train, dataclasses.replace(test, meta=train.meta))
    with pytest.raises(InputError, match="another split"):  # the same images by another name
        probe_features(train, dataclasses.replace(train, meta=test.meta))


def test_too_few_images_to_hold_some_out():
    with pytest.raises(InputError, match="too few images to hold a fifth"):
        probe(np.eye(3), np.array([0, 0, 1]), np.eye(3), np.array([0, 0, 1]))
    with pytest.raises(InputError, match="of one class"):
        probe(np.eye(9), np.zeros(9, int), np.eye(9), np.zeros(9, int))
