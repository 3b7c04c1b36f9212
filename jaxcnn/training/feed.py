"""How one split reaches the devices: whole and resident, with record numbers as inputs, or streamed batch by batch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxcnn import data
from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from jaxcnn.training.parallel import Replicas


RESIDENT_BYTES = 2**31


class Feed:
    """One split, as inputs of mapped functions; the same images in the same order whether resident or streamed.

    Attributes:
      records: the split.
      data: what stays on the devices, the second argument of every mapped function: the whole split or {}.

    Args:
      records: as jaxcnn.data.load returns them.
      replicas: the Replicas to feed.
      seed: of the shuffled order of the images.
      resident: "auto" (where images and fields take at most 2 GiB), "yes" or "no".
      workers: decoding processes of a streamed split.
      crop: a random crop of training images while they are decoded, as in data.stream; it makes "auto" stream.
      order: of the training images, see `training_order`; None for the shuffled one.
    Raises:
      ValueError: crop with resident "yes": resident images are decoded once, before any crop is drawn.
    """

    def __init__(
        self,
        records: Any,
        replicas: Replicas,
        *,
        seed: int,
        resident: str = "auto",
        workers: int = 0,
        crop: Any = None,
        order: Any = None,
    ) -> None:
        if crop is not None and resident == "yes":
            raise ValueError("crop is drawn while images are decoded, in each epoch anew: resident is 'no' or 'auto'")
        self.records, self.replicas, self.workers, self.crop = records, replicas, workers, crop
        self.order = data.Order(len(records), seed=seed) if order is None else order
        self.resident = resident == "yes" or (resident == "auto" and crop is None and fits_on_device(records))
        self.arrays: Any = data.read_all(records) if self.resident else None
        self.data = replicas.replicate(self.arrays) if self.resident else {}

    def unreadable(self) -> int | None:
        """The number of records of a resident split that on_error="skip" left out; None for a streamed one."""
        return int((self.arrays["mask"] == 0).sum()) if self.resident else None

    def training(self, *, start: int, batch_size: int) -> Any:
        """An iterator object of training inputs from step `start`: take(steps) gives the next steps' inputs.

        The transfer is asynchronous: call take() for the next chunk before blocking on a result, and it overlaps with
        the computation.
        """
        local_size(batch_size, self.replicas)
        if self.resident:
            return _ResidentInputs(self, start, batch_size)
        return _StreamedInputs(self, start, batch_size)

    def evaluation(self, *, batch_size: int) -> Iterator[Any]:
        """Yields inputs of (1, batch) that hold every record once, the last batch padded and masked."""
        local = local_size(batch_size, self.replicas)
        if not self.resident:
            batches = data.epoch(
                self.records,
                batch_size=batch_size,
                num_workers=self.workers,
                process_index=jax.process_index(),
                process_count=jax.process_count(),
            )
            for batch in batches:
                yield self.replicas.shard({k: v[None] for k, v in batch.items()})
            return
        for first in range(0, len(self.records), batch_size):
            record = first + jax.process_index() * local + np.arange(local, dtype=np.int32)
            mask = (record < len(self.records)).astype(np.float32)
            record = np.minimum(record, len(self.records) - 1)
            yield self.replicas.shard({"record": record[None], "mask": mask[None]})


def training_order(config: ConfigDict, records: Any, *, seed: int) -> Any:
    """The order of the training images under config.sampler, for a seed.

    Raises:
      InputError: as jaxcnn.data.make_order.
    """
    sampler, size = config.sampler, config.batch_size
    return data.make_order(records, seed=seed, batch_size=size, name=sampler.name, options=sampler.options.to_dict())


def fits_on_device(records: Any) -> bool:
    """Whether a split is small enough to live on the device whole, unless the config says otherwise."""
    fields = (math.prod(shape) * dtype.itemsize for shape, dtype in records.fields.values())
    return len(records) * (math.prod(records.shape) + sum(fields)) <= RESIDENT_BYTES


def local_size(batch_size: int, replicas: Replicas) -> int:
    """A process's part of a global batch; InputError where the batch does not divide over the replicas."""
    if batch_size % replicas.count:
        right = math.ceil(batch_size / replicas.count) * replicas.count
        raise InputError(
            f"batch_size is {batch_size}, which does not divide over {replicas.count} devices; {right} would."
        )
    return batch_size // jax.process_count()


class _ResidentInputs:
    def __init__(self, feed, start, batch_size):
        self.feed, self.position, self.batch_size = feed, start * batch_size, batch_size

    def take(self, steps):
        stop = self.position + steps * self.batch_size
        record = self.feed.order.records(self.position, stop).astype(np.int32)
        self.position = stop
        local = self.batch_size // jax.process_count()
        first = jax.process_index() * local
        record = record.reshape(steps, self.batch_size)[:, first : first + local]
        return self.feed.replicas.shard({"record": record, "mask": np.ones(record.shape, np.float32)})

    def close(self):
        pass


class _StreamedInputs:
    def __init__(self, feed, start, batch_size):
        self.feed = feed
        self.batches = data.stream(
            feed.records,
            feed.order,
            batch_size=batch_size,
            start=start * batch_size,
            crop=feed.crop,
            num_workers=feed.workers,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )

    def take(self, steps):
        batches = [next(self.batches) for _ in range(steps)]
        if steps == 1:
            return self.feed.replicas.shard({k: v[None] for k, v in batches[0].items()})
        return self.feed.replicas.shard({k: np.stack([b[k] for b in batches]) for k in batches[0]})

    def close(self):
        self.batches.close()
