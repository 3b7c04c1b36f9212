"""The error that a user can mend: full disks, packages to install, and the look-up of names."""

import contextlib
import difflib
import errno
import os
from collections.abc import Generator, Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")

MANY = 40


class InputError(ValueError):
    """Something the user gave does not fit: the command line prints it as one paragraph, without a traceback."""


@contextlib.contextmanager
def input_errors(where: str | None) -> Generator[None, None, None]:
    """Turns a ValueError raised inside into an InputError that begins with where it came from."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{where}: {error}" if where else str(error)) from error


def disk_is_full(error: BaseException) -> bool:
    """Whether a failed write says so; the errors of TensorStore and array_record have no errno, only its text."""
    codes = (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "errno", None) in codes or any(os.strerror(code) in str(error) for code in codes)


def nearest(name: object, known: Iterable[object]) -> str:
    """The end of an error message: "did you mean 'relu'?; known: elu, relu"; of many known names only the nearest."""
    known = sorted(map(str, known))
    close = difflib.get_close_matches(str(name), known, n=3)
    question = f"did you mean {' or '.join(map(repr, close))}?" if close else ""
    listing = "" if close and len(known) > MANY else f"known: {', '.join(known) or 'none'}"
    return "; ".join(filter(None, (question, listing)))


def how_to_install(packages: str, extra: str) -> str:
    """The end of an error message: how to get the packages of one of jaxcnn's extras."""
    return f"pip install {packages}; or, in a checkout of jaxcnn, JAXCNN_EXTRAS={extra} ./launch.sh and the same verb."


def look_up(name: str, *, table: Mapping[str, Value], kind: str) -> Value:
    """table[name]; a ValueError names the nearest ones, or all."""
    if name not in table:
        raise ValueError(f"unknown {kind} {name!r}; {nearest(name, table)}")
    return table[name]
