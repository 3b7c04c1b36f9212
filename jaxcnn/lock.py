"""One process at a time in a directory."""

import contextlib
import fcntl
import os
import pathlib
import threading
import time
from collections.abc import Generator

from jaxcnn.errors import InputError

PATIENCE = 0.2  # seconds for which a lock is tried again: `is_held` of another process has it for a moment

_mine = set()  # (folder, thread): what this process holds


@contextlib.contextmanager
def hold(
    folder: pathlib.Path, *, what: str, wait: bool = False, reentrant: bool = False
) -> Generator[None, None, None]:
    """Holds folder/.lock for the length of a `with` block; the kernel frees it however the process ends.

    Args:
      folder: a pathlib.Path; made where it is not there.
      what: what holds it, as "sweep", for the error.
      wait: wait for another holder instead.
      reentrant: go straight on where this thread holds it already, as a sweep holds the folder of a run that it trains.
    Raises:
      InputError: another process holds it, the folder cannot be written, or its file system has no locks.
    """
    key = (folder.absolute(), threading.get_ident())
    if reentrant and key in _mine:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("a+")
    except OSError as error:
        raise InputError(f"the directory {folder} cannot be written: {error.strerror}. Give another.") from error
    with file:
        _lock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), folder, what)
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        file.flush()
        _mine.add(key)
        try:
            yield
        finally:
            _mine.remove(key)


def _lock(file, kind, folder, what):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(file, kind)
        except BlockingIOError:
            if time.monotonic() < end:
                time.sleep(PATIENCE / 20)
                continue
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise InputError(
                f"another {what} is at work in {folder} ({holder}). Wait for it, or give another workdir."
            ) from None
        except OSError as error:
            raise InputError(
                f"the file system of {folder} cannot lock a file ({error.strerror}), and two processes there would "
                "write over each other. Give a workdir on a local disk, or on NFS or Lustre mounted with locks."
            ) from error


def is_held(folder: pathlib.Path) -> bool:
    """Whether a process holds folder/.lock."""
    try:
        with (folder / ".lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
