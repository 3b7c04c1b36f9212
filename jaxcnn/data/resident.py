"""A split decoded into memory, for data sets that fit."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from jaxcnn.data.batches import MAX_THREADS, available_cores, fields_of, gather
from jaxcnn.data.records import empty_batch

if TYPE_CHECKING:
    import numpy as np


CHUNK = 256  # records a thread reads at once: enough to amortise the request, few enough to report progress


def read_all(records: Any, *, progress: Callable[[int, int], object] | None = None) -> dict[str, np.ndarray]:
    """Reads every record into memory, on as many threads as there are cores.

    Args:
      records: Records.
      progress: called as progress(done, total) after each chunk, or None.
    Returns:
      image uint8 (n, h, w, c), label int32 (n,) or the fields of the records, mask float32 (n,), index int32 (n,), in
      the order of the records.
    Raises:
      DataError: a record cannot be read and the records were loaded with on_error="raise".
    """
    total = len(records)
    arrays = empty_batch(total, records.shape, fields_of(records))

    def read(start):
        rows = range(start, min(start + CHUNK, total))
        for key, value in gather(records, rows).items():
            arrays[key][start : rows.stop] = value
        return rows.stop

    with ThreadPoolExecutor(min(MAX_THREADS, available_cores())) as executor:
        try:
            for done in executor.map(read, range(0, total, CHUNK)):
                if progress is not None:
                    progress(done, total)
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise
    return arrays
