"""Training images that are more or fewer than a slice: classes thinned, a folder of images added."""

import pickle

import numpy as np
import pytest
from PIL import Image

from jaxcnn import InputError
from jaxcnn.data import Arrays, Joined, Order, Records, load, stream


@pytest.fixture(scope="module")
def digits():
    return load("digits", "train[:600]", image_size=(8, 8))


@pytest.fixture
def added(tmp_path):
    """make(channels, {class: n}) is Records of plain 12x12 files, of grey 20 * class, shown at 8x8."""

    def make(channels, counts):
        for name, count in counts.items():
            (tmp_path / name).mkdir()
            for number in range(count):
                Image.new("RGB", (12, 12), (20 * int(name),) * 3).save(tmp_path / name / f"{number}.png")
        return load(f"folder:{tmp_path}", "train", image_size=(8, 8), channels=channels)

    return make


def test_a_class_is_thinned_exactly_and_the_others_are_whole(digits):
    labels = digits.labels()
    there = np.bincount(labels)
    thinned = Joined(digits, keep={"3": 0.05, "8": 7}, seed=4)
    counts = np.bincount(thinned.labels())
    assert counts[3] == round(0.05 * there[3]) and counts[8] == 7
    others = np.delete(np.arange(10), (3, 8))
    np.testing.assert_array_equal(counts[others], there[others])
    assert thinned.kept == {"3": (counts[3], there[3]), "8": (7, there[8])} and thinned.own_count == len(thinned)
    batch = thinned.read(range(len(thinned)))
    np.testing.assert_array_equal(batch["label"], thinned.labels())
    whole = digits.read(batch["index"])  # the slice begins at 0: ids are positions
    np.testing.assert_array_equal(batch["image"], whole["image"])
    assert (np.diff(batch["index"]) > 0).all()
    np.testing.assert_array_equal(thinned[5]["image"], batch["image"][5])
    assert thinned.whole(5)["image"].shape == (8, 8, 1)
    assert thinned.describe_record(5) == f"digits train record {batch['index'][5]}"
    assert "of 3, 3 of 64 images are kept (config.data.keep, keep_seed 4)" in thinned.notes()[0]


def test_what_is_kept_depends_on_the_seed_alone_and_is_nested(digits):
    def ids(seed, share):
        thinned = Joined(digits, keep={"3": share}, seed=seed)
        return set(thinned.read(np.flatnonzero(thinned.labels() == 3))["index"].tolist())

    assert ids(0, 0.1) == ids(0, 0.1) != ids(1, 0.1)
    assert ids(0, 5) < ids(0, 0.4)
    assert sorted(ids(0, 5)) == PINNED


PINNED = [23, 237, 285, 479, 482]  # a change here means that no run on a thinned class resumes as it began


def test_added_images_lie_behind_and_are_matched_by_name(digits, added):
    more = added(1, {"3": 2, "8": 3})
    joined = Joined(digits, keep={"3": 4}, added=more)
    n = joined.own_count
    assert len(joined) == n + 5 and n == len(digits) - 64 + 4
    assert np.bincount(joined.labels())[3] == 6
    batch = joined.read(np.arange(n - 2, n + 5)[::-1])  # of both, in any order
    label = batch["label"][:5]
    np.testing.assert_array_equal(np.sort(label), [3, 3, 8, 8, 8])
    np.testing.assert_array_equal(batch["image"][:5], np.broadcast_to(20 * label[:, None, None, None], (5, 8, 8, 1)))
    np.testing.assert_array_equal(batch["image"][5:], joined.read([n - 1, n - 2])["image"])
    np.testing.assert_array_equal(joined.labels()[n:], joined.read(range(n, n + 5))["label"])
    assert joined.whole(n)["image"].shape == (12, 12, 1) and joined.whole(n)["label"] == joined.labels()[n]
    assert "5 images of folder:" in joined.notes()[1] and joined.notes()[1].endswith("are added: 2 of 3, 3 of 8")
    assert [name for name, _ in joined.files()] == [joined.classes[i] for i in joined.labels()[n:]]
    with pytest.raises(IndexError):
        joined.read([len(joined)])


def test_workers_and_processes_read_the_same(digits, added):
    joined = Joined(digits, keep={"3": 2}, added=added(1, {"3": 3}))
    again = pickle.loads(pickle.dumps(joined))
    order = Order(len(joined), seed=0)
    whole = next(stream(joined, order, batch_size=16, start=32))
    parts = [
        next(stream(again, order, batch_size=16, start=32, process_index=i, process_count=2, num_workers=0))
        for i in (0, 1)
    ]
    for name, value in whole.items():
        np.testing.assert_array_equal(value, np.concatenate([part[name] for part in parts]))


@pytest.mark.parametrize(
    "keep, words",
    [
        ({"three": 0.1}, r"config.data.keep: digits has no class 'three'; known: 0, 1"),
        ({"3": 0.001}, r"'3' has 0.001, which is 0 of its 64 images in digits train\[:600\]; 1 to 64 can be kept"),
        ({"3": 65}, "'3' has 65, which is 65 of its 64"),
        ({"3": 0}, "which is 0 of its 64"),
        ({"3": 1.0}, "'3' has 1.0; a share lies between 0 and 1, and a number of images is whole"),
        ({"3": -0.5}, "'3' has -0.5; a share"),
        ({"3": "5%"}, "'3' has '5%'; it is a number of images or a share"),
        ({"3": True}, "'3' has True"),
    ],
)
def test_what_cannot_be_kept_is_refused(keep, words, digits):
    with pytest.raises(InputError, match=words):
        Joined(digits, keep=keep)


def test_what_cannot_be_added_is_refused(digits, added):
    more = added(1, {"3": 1, "11": 1})
    with pytest.raises(InputError, match="folder '11', which is no class of digits; did you mean '1'"):
        Joined(digits, added=more)
    fields = Arrays("mine", {"train": (np.zeros((2, 8, 8, 1), np.uint8), {"x": np.zeros(2)})}, fields={"x": ((), "f4")})
    with pytest.raises(InputError, match="an example of mine holds x"):
        Joined(Records(fields, "train"), added=more)
    with pytest.raises(InputError, match="mine has no class '3'; known: none"):
        Joined(Records(fields, "train"), keep={"3": 1})
