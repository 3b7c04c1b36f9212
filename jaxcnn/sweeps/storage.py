"""Where Optuna keeps the trials of a search: SQLite, a database server, or a journal file; damage is named."""

import contextlib
import json
import pathlib
from collections.abc import Generator
from typing import Any

from jaxcnn.errors import InputError

JOURNAL = "journal:"


def open_storage(name: str) -> Any:
    """The Optuna storage of a URL or "journal:FILE"; InputError where it cannot be opened or a journal is damaged."""
    from optuna.exceptions import OptunaError
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        if name.startswith(JOURNAL):
            path = pathlib.Path(name.removeprefix(JOURNAL))
            _check_journal(path)
            return JournalStorage(JournalFileBackend(str(path)))
        with storage_errors_named(name):
            return RDBStorage(name)
    except (ImportError, OSError, OptunaError) as error:
        raise InputError(f"the storage {name} cannot be opened: {error}") from error


@contextlib.contextmanager
def storage_errors_named(name: str) -> Generator[None, None, None]:
    """Turns what a damaged or unreachable database raises inside into an InputError with its name."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
        reason = str(getattr(cause, "orig", None) or cause).strip().partition("\n")[0]
        raise InputError(
            f"the storage {name} cannot be used: {reason}. If its file is damaged put back a copy of it, or give "
            "another workdir; the directories of the trials stay as they are."
        ) from error


def _check_journal(path):
    """Raises InputError for the first line of a journal that is no entry.

    Optuna passes over a last line that a killed process left half written, and then writes on behind it.
    """
    if not path.exists():
        return
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            whole = isinstance(json.loads(line), dict)
        except ValueError:
            whole = False
        if not whole:
            cure = "Put back a copy of it, or give another workdir."
            if number == len(lines):
                cure = "Start this again, if another process was writing it; if one was killed at it, remove that line."
            raise InputError(f"the journal {path} is damaged: line {number} is no entry. {cure}")
