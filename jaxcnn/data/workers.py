"""Worker processes of the data: signals are their parent's affair, and they end when it ends, however that is."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import signal
from collections.abc import Generator
from multiprocessing import resource_tracker

from jaxcnn.data.fit import DataError
from jaxcnn.process import at_end_of

SIGNALS = {signal.SIGINT, signal.SIGTERM}


def prepare(number: int, count: int) -> None:
    """Called by Grain in each worker before it reads: the worker ends with its parent, by SIGKILL too."""
    at_end_of(multiprocessing.parent_process().sentinel, lambda: os._exit(1))


@contextlib.contextmanager
def shielded() -> Generator[None, None, None]:
    """Processes that are started inside never see Ctrl-C or SIGTERM, which reach a whole group; their parent does.

    A mask and not a handler in the worker: it holds from the first moment, while Python starts there and imports. The
    threads that start workers have it from the one that makes them.
    """
    resource_tracker.ensure_running()  # starting it inside would clear the mask
    old = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


class WorkerDied(DataError):
    """A worker process ended that should not have."""


def death_in_words(error: BaseException) -> WorkerDied | None:
    """The WorkerDied that Grain's error speaks of; None where it speaks of something else."""
    found = re.search(r"Worker process was terminated unexpectedly with exit code (-?\d+)", str(error))
    if not found:
        return None
    code = int(found[1])
    how = f"was killed (signal {-code})" if code < 0 else f"ended with exit code {code}"
    return WorkerDied(
        f"a data worker {how}, often because the memory was full. Lower config.data.workers; the same command resumes "
        "from the last checkpoint."
    )
