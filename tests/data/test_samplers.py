"""Samplers: orders by name, functions of seed and position alone."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcnn import InputError, trust
from jaxcnn.data import Arrays, Order, Records, load, make_order, stream


def records_of(labels, *, classes=None):
    """Records of 1x1 images with these labels."""
    labels = np.asarray(labels)
    source = Arrays("mine", {"train": (np.zeros((len(labels), 1, 1, 1), np.uint8), labels)}, map(str, range(99)))
    return Records(source, "train")


def skewed(*counts, seed=0):
    """Labels of so many images of class 0, 1, ..., mixed."""
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))


def batches_of(labels, name, count, *, batch_size, seed=0, **options):
    """The image numbers of the first batches, (count, batch_size)."""
    order = make_order(records_of(labels), seed=seed, batch_size=batch_size, name=name, options=options)
    return order.records(0, count * batch_size).reshape(count, batch_size)


def test_shuffle_is_the_order_of_before():
    records = load("digits", "train[:50]", image_size=(8, 8))
    found = make_order(records, seed=4, batch_size=8)
    np.testing.assert_array_equal(found.records(3, 170), Order(50, seed=4).records(3, 170))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=7), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_balanced_is_even_in_each_batch_and_over_them(counts, batch_size, seed):
    labels = skewed(*counts)
    found = batches_of(labels, "balanced", 30, batch_size=batch_size, seed=seed)
    seen = np.stack([np.bincount(labels[batch], minlength=len(counts)) for batch in found])
    assert np.ptp(seen, axis=1).max() <= 1
    assert np.ptp(seen.cumsum(axis=0), axis=1).max() <= 1
    images = np.stack([np.bincount(batch, minlength=len(labels)) for batch in found]).cumsum(axis=0)
    assert all(np.ptp(images[:, labels == label], axis=1).max() <= 1 for label in range(len(counts)))


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(1, 9), min_size=5, max_size=9), st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**32 - 1)
)
def test_identities_come_in_groups_without_replacement(counts, identities, images, seed):
    labels = skewed(*counts)
    options = {"identities": identities, "images": images}
    found = batches_of(labels, "identities", 40, batch_size=identities * images, seed=seed, **options)
    groups = found.reshape(40, identities, images)
    own = labels[groups]
    assert (own == own[:, :, :1]).all()
    chosen = own[:, :, 0]
    assert all(len(set(row)) == identities for row in chosen)
    seen = np.stack([np.bincount(row, minlength=len(counts)) for row in chosen]).cumsum(axis=0)
    assert np.ptp(seen, axis=1).max() <= 1
    for label, count in enumerate(counts):
        of_class = groups[chosen == label]
        repeats = [np.bincount(np.unique(group, return_counts=True)[1]).nonzero()[0] for group in of_class]
        assert all(set(r) <= {images // count, -(-images // count)} for r in repeats)
        stream = of_class.ravel()
        for epoch in np.split(stream[: len(stream) // count * count], max(1, len(stream) // count)):
            assert len(set(epoch)) == len(epoch)


CASES = [("balanced", 12, {}), ("identities", 12, {"identities": 3, "images": 4})]


@pytest.mark.parametrize("name, batch_size, options", CASES)
def test_any_position_is_reachable_and_seeds_differ(name, batch_size, options):
    records = records_of(skewed(3, 30, 7, 11, 5))
    settings = {"batch_size": batch_size, "name": name, "options": options}
    order = make_order(records, seed=3, **settings)
    whole = order.records(0, 1200)
    for start, stop in ((601, 617), (0, 5), (600, 600), (1199, 1200), (12, 36)):
        np.testing.assert_array_equal(order.records(start, stop), whole[start:stop])
        fresh = pickle.loads(pickle.dumps(order))
        np.testing.assert_array_equal(fresh.records(start, stop), whole[start:stop])
    assert order.records(5, 9).dtype == np.int64
    other = make_order(records, seed=4, **settings).records(0, 1200)
    largest = records.labels() == 1
    assert (largest[whole] != largest[other]).any()  # classes, and the images of one
    assert (whole[largest[whole]][:30] != other[largest[other]][:30]).any()
    classes = np.sort(whole.reshape(-1, batch_size)[:60], axis=1)
    assert len(np.unique(classes, axis=0)) > 50  # batches differ
    with pytest.raises(ValueError, match="start"):
        order.records(3, 2)


def test_the_orders_of_a_seed_are_pinned():
    """A change here means that no interrupted run resumes as it began."""
    labels = [0, 1, 2, 0, 1, 0, 0]
    assert batches_of(labels, "balanced", 3, batch_size=4).tolist() == PINNED["balanced"]
    options = {"identities": 2, "images": 2}
    assert batches_of(labels, "identities", 3, batch_size=4, **options).tolist() == PINNED["identities"]


@pytest.mark.parametrize("name, batch_size, options", CASES)
def test_streams_of_processes_and_workers_are_parts_of_one(name, batch_size, options):
    records = load("digits", "train[:90]", image_size=(8, 8))
    order = make_order(records, seed=1, batch_size=batch_size, name=name, options=options)
    whole = order.records(24, 72).reshape(4, 3, 4)
    for process in range(3):
        with stream(
            records,
            order,
            batch_size=12,
            start=24,
            stop=72,
            process_index=process,
            process_count=3,
            num_workers=process == 1 and name == "identities",
        ) as batches:
            np.testing.assert_array_equal([batch["index"] for batch in batches], whole[:, process])


def test_labels_are_known_without_images(image_folder, shared):
    digits = load("digits", "test[5:9]+train[:3]", image_size=(8, 8))
    np.testing.assert_array_equal(digits.labels(), [record["label"] for record in digits])
    folder = load(f"folder:{image_folder({'train/a': 3, 'train/b': 2})}", "train[1:]", image_size=(8, 8))
    np.testing.assert_array_equal(folder.labels(), [record["label"] for record in folder])
    mnist = load("tfds:mnist", "test[300:310]", data_dir=shared / "tfds")
    np.testing.assert_array_equal(mnist.labels(), [record["label"] for record in mnist])


OWN = """
import numpy as np

class Ends:
    def __init__(self, labels, *, seed, batch_size, last=2):
        self.n, self.last = len(labels), last
    def records(self, start, stop):
        return self.n - 1 - np.arange(start, stop) % self.last

def wandering(labels, *, seed, batch_size):
    class Order:
        def records(self, start, stop):
            return np.random.default_rng().integers(0, len(labels), stop - start)
    return Order()

class Outside(Ends):
    def records(self, start, stop):
        return np.arange(start, stop) + self.n

class Floats(Ends):
    def records(self, start, stop):
        return np.zeros(stop - start)

class Failing(Ends):
    def records(self, start, stop):
        return self.nothing

def empty(labels, *, seed, batch_size):
    return None

number = 3
"""


def test_a_sampler_of_the_users_own(user_package):
    user_package("my_samplers", OWN)
    trust.allow(*(f"my_samplers:{name}" for name in dir_of(OWN)))

    def make(name, **options):
        return make_order(
            records_of([0, 1, 0, 1, 1]), seed=7, batch_size=4, name=f"my_samplers:{name}", options=options
        )

    order = make("Ends", last=3)
    np.testing.assert_array_equal(order.records(1, 6), [3, 2, 4, 3, 2])
    assert (order.n, order.seed) == (5, 7)
    for name, reason in {
        "wandering": "gives other images for the same positions",
        "Outside": r"gives 5 to 12; the numbers of the 5 images are 0 to 4",
        "Floats": r"gives float64 \(8,\); it gives image numbers, integers \(8,\)",
        "Failing": "my_samplers.py, line 2.: .*nothing",
        "empty": "returns NoneType, which has no records",
        "number": "an object of type int; it is a function or class of yours that takes",
    }.items():
        with pytest.raises(InputError, match=reason):
            make(name)
    with pytest.raises(InputError, match=r"has no option 'lost'; did you mean 'last'\?"):
        make("Ends", lost=3)


def dir_of(source):
    return [line.split()[1].split("(")[0].rstrip(":") for line in source.splitlines() if line[:3] in ("cla", "def")] + [
        "number"
    ]


@pytest.mark.parametrize(
    "name, options, reason",
    [
        ("balance", {}, r"unknown sampler 'balance'; did you mean 'balanced'\?"),
        ("shuffle", {"images": 3}, "shuffle has no option 'images'; known: none"),
        ("identities", {"images": 3, "identites": 4}, r"has no option 'identites'; did you mean 'identities'\?"),
        ("identities", {"images": 3}, "config.sampler.options lacks 'identities', which identities needs"),
        ("identities", {"identities": 2, "images": 3}, "are 6, but config.batch_size is 8"),
        ("identities", {"identities": 4, "images": 2}, "identities is 4, but the training images are of 2 classes"),
        ("identities", {"identities": 4.0, "images": 2}, "both are positive whole numbers"),
        ("identities", {"identities": True, "images": 8}, "both are positive whole numbers"),
        ("my.samplers:Own", {}, "Nothing that a file names is imported"),
    ],
)
def test_what_does_not_fit_is_named(name, options, reason):
    with pytest.raises(InputError, match=reason):
        make_order(records_of([0, 1, 0, 1]), seed=0, batch_size=8, name=name, options=options)


def test_a_source_that_cannot_tell_its_labels_is_named():
    class Mute(Arrays):
        labels = None

    class Wrong(Arrays):
        def labels(self, split):
            return [0.5, 1.5]

    for kind, reason in ((Mute, "mine cannot tell its labels"), (Wrong, r"labels\('train'\) gives float64 \(2,\)")):
        source = kind("mine", {"train": (np.zeros((2, 1, 1, 1), np.uint8), np.zeros(2, int))}, ("a", "b"))
        with pytest.raises(InputError, match=reason):
            make_order(Records(source, "train"), seed=0, batch_size=2, name="balanced")


PINNED = {
    "balanced": [[1, 2, 2, 6], [4, 3, 2, 4], [0, 2, 5, 1]],
    "identities": [[2, 2, 1, 4], [6, 3, 2, 2], [4, 1, 0, 5]],
}
