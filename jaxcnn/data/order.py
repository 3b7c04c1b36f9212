"""The shuffled order of the records, reachable at any position."""

from typing import Any

import numpy as np

STREAMS = {"classes": 2, "images": 3, "places": 4, "kept": 5}  # spawn keys of a seed; the random crops have 1


class Order:
    """The endless stream of record numbers of a training run: each epoch of n positions is a permutation of its own.

    Epoch e is the argsort of n raw draws of Philox(SeedSequence((seed, e))). NumPy keeps raw bit streams stable between
    versions, which it does not promise for `Generator.permutation`: a run resumes the same under another NumPy.

    Args:
      n: number of records, positive.
      seed: a non-negative integer.
    Raises:
      ValueError: n is not positive or seed is negative.
    """

    def __init__(self, n: int, *, seed: int) -> None:
        if n < 1:
            raise ValueError(f"an order needs at least one record, not {n}")
        if seed < 0:
            raise ValueError(f"seed must not be negative: {seed}")
        self.n = int(n)
        self.seed = int(seed)
        self._recent = ()

    def __len__(self) -> int:
        return self.n

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_recent": ()}

    def records(self, start: int, stop: int) -> np.ndarray:
        """Returns the record numbers at stream positions start .. stop - 1: int64 (stop - start,), each in [0, n).

        Any position is reachable directly; neighbouring calls are cheap, because the last epochs are kept.

        Raises:
          ValueError: start is negative or stop is less than start.
        """
        if not 0 <= start <= stop:
            raise ValueError(f"stream positions must satisfy 0 <= start <= stop, not {start}, {stop}")
        pieces = [np.zeros(0, np.int64)]
        while start < stop:
            epoch, offset = divmod(start, self.n)
            pieces.append(self._permutation(epoch)[offset : offset + stop - start])
            start += len(pieces[-1])
        return np.concatenate(pieces)

    def _permutation(self, epoch):
        # A tuple replaced at once: threads that read batches on both sides of an epoch's end share this order.
        recent = self._recent
        for known, permutation in recent:
            if known == epoch:
                return permutation
        draws = np.random.Philox(np.random.SeedSequence((self.seed, epoch))).random_raw(self.n)
        permutation = np.argsort(draws, kind="stable")
        self._recent = ((epoch, permutation), *recent[:1])
        return permutation


def derived_seed(seed: int, stream: str, number: int = 0) -> int:
    """A seed for one of STREAMS, derived from another: a non-negative integer."""
    words = np.random.SeedSequence(seed, spawn_key=(STREAMS[stream], number)).generate_state(4)
    return int.from_bytes(words.astype("<u4").tobytes(), "little")
