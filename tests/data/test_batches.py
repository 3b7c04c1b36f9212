"""Streams and epochs: what a batch holds depends on its position alone."""

import itertools
import multiprocessing
import os
import subprocess
import sys

import numpy as np
import pytest

from jaxcnn.data import DataError, Order, epoch, load, read_all, stream


@pytest.fixture(scope="module")
def records():
    return load("digits", "train[:50]", image_size=(8, 8))


def assert_same_batches(a, b):
    assert len(a) == len(b)
    for first, second in zip(a, b, strict=True):
        assert first.keys() == second.keys()
        for key in first:
            np.testing.assert_array_equal(first[key], second[key], strict=True)


def test_stream_holds_the_records_of_the_order(records):
    resident = read_all(records)
    order = Order(50, seed=4)
    batches = list(stream(records, order, batch_size=16, stop=160))
    assert len(batches) == 10
    for k, batch in enumerate(batches):
        positions = order.records(16 * k, 16 * (k + 1))
        for key in ("image", "label", "mask", "index"):
            np.testing.assert_array_equal(batch[key], resident[key][positions], strict=True)
            assert type(batch[key]) is np.ndarray


def test_every_epoch_has_each_record_once(records):
    index = np.concatenate([batch["index"] for batch in stream(records, Order(50, seed=0), batch_size=20, stop=100)])
    for part in np.split(index, 2):
        np.testing.assert_array_equal(np.sort(part), np.arange(50))


def test_workers_change_nothing_and_end_with_the_iterator(records):
    expected = list(stream(records, Order(50, seed=1), batch_size=8, stop=72))
    for workers in (1, 2):
        with stream(records, Order(50, seed=1), batch_size=8, stop=72, num_workers=workers) as batches:
            assert_same_batches(list(batches), expected)
    batches = stream(records, Order(50, seed=1), batch_size=8, num_workers=2)
    assert_same_batches([next(batches)], expected[:1])
    assert multiprocessing.active_children()
    batches.close()
    assert not multiprocessing.active_children()
    with pytest.raises(StopIteration):
        next(batches)


def test_workers_end_when_the_iterator_is_deleted(records):
    batches = stream(records, Order(50, seed=1), batch_size=8, num_workers=2)
    next(batches)
    assert multiprocessing.active_children()
    del batches
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("start", [0, 8, 48, 13, 1_000_000_007])
def test_a_stream_starts_anywhere(records, start):
    order = Order(50, seed=2)
    with stream(records, order, batch_size=8, start=start) as batches:
        for k, batch in enumerate(itertools.islice(batches, 3)):
            np.testing.assert_array_equal(batch["index"], order.records(start + 8 * k, start + 8 * (k + 1)))


def test_processes_share_each_batch_in_contiguous_blocks(records):
    order = Order(50, seed=3)
    whole = list(stream(records, order, batch_size=12, start=5, stop=65))
    parts = [
        list(stream(records, order, batch_size=12, start=5, stop=65, process_index=p, process_count=3))
        for p in range(3)
    ]
    joined = [
        {key: np.concatenate([part[key] for part in blocks]) for key in blocks[0]}
        for blocks in zip(*parts, strict=True)
    ]
    assert parts[0][0]["image"].shape == (4, 8, 8, 1)
    assert_same_batches(joined, whole)


@pytest.mark.parametrize(
    "count, batch_size, processes", [(50, 16, 1), (50, 16, 2), (50, 50, 1), (1, 8, 4), (7, 8, 2), (17, 8, 2)]
)
def test_an_epoch_has_each_record_once_and_pads_the_rest(count, batch_size, processes):
    records = load("digits", f"train[100:{100 + count}]", image_size=(8, 8))
    resident = read_all(records)
    parts = [
        list(epoch(records, batch_size=batch_size, process_index=p, process_count=processes)) for p in range(processes)
    ]
    assert {len(part) for part in parts} == {-(-count // batch_size)}
    blocks = [block for step in zip(*parts, strict=True) for block in step]
    assert all(len(block["label"]) == batch_size // processes for block in blocks)
    joined = {key: np.concatenate([block[key] for block in blocks]) for key in blocks[0]}
    for key, values in joined.items():
        np.testing.assert_array_equal(values[:count], resident[key], strict=True)
        assert not values[count:].any()


def test_an_epoch_may_begin_at_any_record(records):
    resident, (first, second) = read_all(records), epoch(records, batch_size=8, start=37)
    for key, values in resident.items():
        joined = np.concatenate([first[key], second[key]])
        np.testing.assert_array_equal(joined[:13], values[37:], strict=True)
        assert not joined[13:].any()


def test_an_epoch_with_more_workers_than_batches(records):
    assert_same_batches(list(epoch(records, batch_size=64, num_workers=2)), list(epoch(records, batch_size=64)))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_names_the_file(image_folder, workers):
    root = image_folder({"a": 4})
    (root / "a" / "bad.jpg").write_text("not an image")
    records = load(f"folder:{root}", "train", image_size=(8, 8))
    with pytest.raises(DataError, match=r"bad\.jpg: not an image") as caught:
        list(epoch(records, batch_size=5, num_workers=workers))
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    assert not multiprocessing.active_children()


class Plain:
    """The least that a user's own records must be: no `read`."""

    shape = (2, 2, 1)

    def __len__(self):
        return 5

    def __getitem__(self, i):
        return {
            "image": np.full((2, 2, 1), i, np.uint8),
            "label": np.int32(i),
            "mask": np.float32(1),
            "index": np.int32(i),
        }


def test_records_with_item_access_alone():
    (batch,) = epoch(Plain(), batch_size=8)
    np.testing.assert_array_equal(batch["image"][:, 0, 0, 0], [0, 1, 2, 3, 4, 0, 0, 0])
    np.testing.assert_array_equal(batch["mask"], [1, 1, 1, 1, 1, 0, 0, 0])


@pytest.mark.parametrize(
    "options, name",
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 9, "process_count": 2}, "process_count"),
        ({"batch_size": 8, "process_index": 2, "process_count": 2}, "process_index"),
        ({"batch_size": 8, "num_workers": -1}, "num_workers"),
        ({"batch_size": 8, "stop": 12}, "stop"),
        ({"batch_size": 8, "start": -8}, "start"),
    ],
)
def test_wrong_arguments_are_named(records, options, name):
    with pytest.raises(ValueError, match=name):
        stream(records, Order(50, seed=0), **options)


def test_an_order_of_another_length_is_refused(records):
    with pytest.raises(ValueError, match="order is over 49"):
        stream(records, Order(49, seed=0), batch_size=8)


def test_an_empty_stream_is_empty(records):
    assert list(stream(records, Order(50, seed=0), batch_size=8, start=8, stop=8)) == []


@pytest.mark.parametrize(
    "program",
    [
        "batches = stream(records, Order(40, seed=0), batch_size=8, num_workers=2); next(batches); next(batches)",
        "kept = [jax.device_put(batch) for batch in epoch(records, batch_size=64, num_workers=1)]",
    ],
    ids=["not closed", "kept by JAX"],
)
def test_a_program_may_end_at_once(tmp_path, program):
    (tmp_path / "program.py").write_text(f"""
import jax
from jaxcnn.data import Order, epoch, load, stream
if __name__ == "__main__":
    records = load("digits", "train[:40]", image_size=(32, 32))
    {program}
""")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "default", tmp_path / "program.py"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (result.returncode, result.stderr) == (0, "")
