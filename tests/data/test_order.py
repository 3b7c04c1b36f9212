"""The shuffled order of records."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcnn.data import Order


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 200), st.integers(0, 2**64), st.integers(0, 5))
def test_each_epoch_is_a_permutation(n, seed, epoch):
    records = Order(n, seed=seed).records(epoch * n, (epoch + 1) * n)
    assert records.dtype == np.int64
    np.testing.assert_array_equal(np.sort(records), np.arange(n))


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 50), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 120)), min_size=1, max_size=8))
def test_any_position_is_reachable_in_any_order(n, pieces):
    whole = Order(n, seed=3).records(0, 420)
    order = Order(n, seed=3)
    for start, length in pieces:
        np.testing.assert_array_equal(order.records(start, start + length), whole[start : start + length])


def test_epochs_and_seeds_differ():
    order = Order(100, seed=0)
    assert not np.array_equal(order.records(0, 100), order.records(100, 200))
    assert not np.array_equal(order.records(0, 100), Order(100, seed=1).records(0, 100))
    assert not np.array_equal(order.records(0, 100), np.arange(100))
    # (seed 0, epoch 1) and (seed 1, epoch 0) must not be one stream.
    assert not np.array_equal(order.records(100, 200), Order(100, seed=1).records(0, 100))


def test_the_order_of_a_seed_is_pinned():
    """A change here means that no interrupted run resumes as it began."""
    np.testing.assert_array_equal(Order(8, seed=0).records(0, 16), PINNED)


def test_pickle_keeps_the_order_and_not_the_permutation():
    order = Order(10_000, seed=0)
    expected = order.records(9_990, 10_010)
    data = pickle.dumps(order)
    assert len(data) < 300
    np.testing.assert_array_equal(pickle.loads(data).records(9_990, 10_010), expected)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="at least one record"):
        Order(0, seed=0)
    with pytest.raises(ValueError, match="seed"):
        Order(3, seed=-1)
    for start, stop in ((-1, 2), (3, 2)):
        with pytest.raises(ValueError, match="start"):
            Order(3, seed=0).records(start, stop)


PINNED = [0, 3, 7, 5, 1, 2, 6, 4, 3, 7, 4, 2, 1, 6, 5, 0]
