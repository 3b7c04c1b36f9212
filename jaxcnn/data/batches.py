"""Batches of records, read ahead by Grain."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from jaxcnn.data.crop import cut_at
from jaxcnn.data.fields import LABEL
from jaxcnn.data.records import empty_batch
from jaxcnn.data.workers import death_in_words, prepare, shielded
from jaxcnn.errors import InputError

ENDLESS = 2**40  # batches; Grain wants a length
NEVER = 2**62  # bytes
MAX_THREADS = 16  # each reads one batch ahead, which bounds the memory: 16 batches of 256 at 224x224x3 are 616 MB


def stream(
    records: Any,
    order: Any,
    *,
    batch_size: int,
    start: int = 0,
    stop: int | None = None,
    crop: Any = None,
    num_workers: int = 0,
    process_index: int = 0,
    process_count: int = 1,
) -> Batches:
    """Yields the batches of a training run, in the order that `order` gives.

    Global batch k covers the stream positions start + k * batch_size and on; process p takes the p-th contiguous block
    of it. What a batch holds depends on nothing else: not on the number of workers, nor on where a run was interrupted.

    Args:
      records: Records, or anything picklable with their `len`, `shape` and item access; `fields` too where their items
        hold anything but a label.
      order: Order over len(records), or what `make_order` returns.
      batch_size: images in a global batch; a multiple of process_count.
      start: global stream position of the first record: the number of records that the run has consumed.
      stop: global stream position to end before, a whole number of batches after start; None for no end.
      crop: None, or a ResizedCrop or ScaledCrop, or another with their method `box`: the record at a stream position is
        cut by a box that is drawn from (seed of the order, position) and nothing else. It takes the place of the
        records' fit and resize.
      num_workers: worker processes that read and decode; 0 for threads in this process, which is enough where decoding
        dominates, because the decoders release the GIL. Workers import the program's main module: it must have the
        `if __name__ == "__main__"` guard.
      process_index: which block of each batch is ours.
      process_count: number of processes that share the batch.
    Returns:
      Batches: an iterator of dicts, image uint8 (b, h, w, c), label int32 (b,) or the fields of the records, mask
      float32 (b,), index int32 (b,), with b = batch_size // process_count.
    Raises:
      ValueError: an argument is not as above.
      DataError: from the iterator; a record cannot be read and the records were loaded with on_error="raise", or a
        worker died (a WorkerDied).
    """
    _check(batch_size, num_workers, process_index, process_count)
    if order.n != len(records):
        raise ValueError(f"the order is over {order.n} records, but there are {len(records)}")
    if start < 0 or (stop is not None and (stop < start or (stop - start) % batch_size)):
        raise ValueError(f"stop={stop} must be a whole number of batches of {batch_size} after start={start} >= 0")
    if crop is not None and not hasattr(records, "read"):
        raise ValueError(f"{type(records).__name__} has no read(positions, cuts): its images cannot be cut at random")
    count = ENDLESS if stop is None else (stop - start) // batch_size
    block = batch_size // process_count
    positions = _Positions(count, start + process_index * block, block, batch_size)
    return Batches(positions, _Read(records, order, crop), num_workers)


def epoch(
    records: Any,
    *,
    batch_size: int,
    start: int = 0,
    num_workers: int = 0,
    process_index: int = 0,
    process_count: int = 1,
) -> Batches:
    """Yields each record exactly once, in order, for evaluation.

    Every process gets the same number of batches, all of the full size: past the last record they are padded with zeros
    and mask 0.

    Args:
      records, batch_size, num_workers, process_index, process_count: as in `stream`.
      start: the record to begin with.
    Returns:
      Batches, as in `stream`.
    Raises:
      ValueError, DataError: as in `stream`.
    """
    _check(batch_size, num_workers, process_index, process_count)
    block = batch_size // process_count
    count = -(-(len(records) - start) // batch_size)
    positions = _Positions(count, start + process_index * block, block, batch_size)
    return Batches(positions, _Read(records, _Sequence(len(records)), None), num_workers)


class Batches:
    """An iterator of batches that read ahead; `close()` (or the end of a `with` block) stops its workers.

    It closes itself at its end, at an error, and when it is deleted.
    """

    def __init__(self, positions: Any, read: Any, num_workers: int) -> None:
        # At exit the list is emptied too: Grain's iterators complain when they are freed after its modules.
        self._iterators = []
        self._shield = shielded if num_workers else contextlib.nullcontext  # the first batch starts them
        if len(positions):
            self._iterators.append(iter(_pipeline(positions, read, min(num_workers, len(positions)))))
        self._finalize = weakref.finalize(self, _close_all, self._iterators)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        if not self._iterators:
            raise StopIteration
        try:
            with self._shield():
                batch = next(self._iterators[0])
        except InputError as error:  # a DataError too
            self.close()
            # Grain's frames and those of a worker process say nothing about the file.
            raise type(error)(str(error)) from None
        except BaseException as error:
            self.close()
            if died := death_in_words(error):
                raise died from None
            raise
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops reading ahead and ends the worker processes. May be called more than once."""
        self._finalize()


def _close_all(iterators):
    while iterators:
        iterators.pop().close()


class _Positions:
    """Batch number -> the stream positions of our block, (b,); picklable, reachable in any order."""

    def __init__(self, count, start, block, stride):
        self._count = count
        self._start = start
        self._block = block
        self._stride = stride

    def __len__(self):
        return self._count

    def __getitem__(self, batch):
        start = self._start + batch * self._stride
        return np.arange(start, start + self._block, dtype=np.int64)


class _Sequence:
    """The records in order, once; -1 past the end."""

    def __init__(self, n):
        self._n = n

    def records(self, start, stop):
        positions = np.arange(start, stop, dtype=np.int64)
        return np.where(positions < self._n, positions, -1)


class _Read:
    """Stream positions -> batch; where the order has a negative record number, padding."""

    def __init__(self, records, order, crop):
        self._records, self._order, self._crop = records, order, crop

    def __call__(self, positions):
        numbers = self._order.records(int(positions[0]), int(positions[-1]) + 1)
        present = numbers >= 0
        cuts = None
        if self._crop is not None:
            cuts = [cut_at(self._crop, self._order.seed, position) for position in positions[present].tolist()]
        found = gather(self._records, numbers[present], cuts)
        if present.all():
            return found
        batch = empty_batch(len(positions), self._records.shape, fields_of(self._records))
        for key, value in batch.items():
            value[present] = found[key]
        return batch


def fields_of(records: Any) -> dict[str, Any]:
    """{name: (shape, dtype)} of what an example of records holds beside its image; a label where they say nothing."""
    return getattr(records, "fields", LABEL)


def gather(
    records: Any, positions: Sequence[int] | np.ndarray, cuts: Sequence[Any] | None = None
) -> dict[str, np.ndarray]:
    """Returns the batch of the records at positions, by `records.read` where there is one."""
    if cuts is not None:
        return records.read(positions, cuts)
    if hasattr(records, "read"):
        return records.read(positions)
    batch = empty_batch(len(positions), records.shape, fields_of(records))
    for row, position in enumerate(positions):
        record = records[int(position)]
        for key, value in batch.items():
            value[row] = record[key]
    return batch


def available_cores() -> int:
    """Returns the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pipeline(positions, read, num_workers):
    import grain

    # An element is a whole batch from the first stage on, so that the number of workers cannot change what it holds.
    threads = 1 if num_workers else min(MAX_THREADS, available_cores())
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
    dataset = grain.MapDataset.source(positions).map(read).to_iter_dataset(options)
    if not num_workers:
        return dataset
    _mark_flags_parsed()
    # Through pipes, not shared memory: a SIGKILL of the process group would leave that behind for good, and arrays that
    # JAX keeps until the process ends bring warnings.
    options = grain.experimental.DatasetOptions(min_shm_size=NEVER)
    dataset = grain.experimental.WithOptionsIterDataset(dataset, options)
    options = grain.MultiprocessingOptions(num_workers=num_workers, per_worker_buffer_size=2)
    return dataset.mp_prefetch(options, worker_init_fn=prepare)


def _mark_flags_parsed():
    # Grain sends its absl flags to the workers and fails where nobody parsed them: under pytest, in a notebook.
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


def _check(batch_size, num_workers, process_index, process_count):
    if batch_size < 1 or process_count < 1 or batch_size % process_count:
        raise ValueError(f"batch_size={batch_size} must be a positive multiple of process_count={process_count}")
    if not 0 <= process_index < process_count:
        raise ValueError(f"process_index={process_index} must lie in [0, process_count={process_count})")
    if num_workers < 0:
        raise ValueError(f"num_workers={num_workers} must not be negative")
