"""The terminal: names of verbs, tables, the progress of a count, and files that can be written."""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

from jaxcnn.errors import InputError
from jaxcnn.names import shown

UNFOLDED = 100_000  # columns that no table has


def subcommand(parsers: Any, function: Callable, name: str, text: str) -> argparse.ArgumentParser:
    """The parser of a verb or of a kind of one; its page of help is the function's docstring, line for line."""
    added = parsers.add_parser(
        name,
        help=text,
        description=function.__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.set_defaults(options=added._option_string_actions)  # for the hint at a misspelt one; of a kind its own
    return added


def trusting(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Adds --trust-code to a verb that opens a run or a file of features; `main` allows what it names."""
    parser.add_argument(
        "--trust-code",
        action="append",
        default=[],
        metavar="PACKAGE.MODULE:ATTRIBUTE",
        help="import this code if a run or a file names it; may be given several times",
    )
    return parser


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], *, names_first: bool = False) -> None:
    """Prints a table; on a terminal long cells are folded, since a path is needed whole, elsewhere no line is.

    No cell is markup, whatever it holds.

    With names_first, the first column holds names to be typed: they stay in one line.
    """
    import rich.console
    import rich.table
    import rich.text

    drawn = rich.table.Table()
    for column, name in enumerate(header):
        drawn.add_column(rich.text.Text(name), overflow="fold", no_wrap=names_first and column == 0)
    for row in rows:
        drawn.add_row(*(rich.text.Text(shown(cell)) for cell in row))
    console = rich.console.Console(highlight=False)
    if not console.is_terminal:
        console.width = UNFOLDED
    console.print(drawn)


@contextlib.contextmanager
def counting(what: str) -> Generator[Callable[[int, int], None]]:
    """Gives report(done, total): a bar on a terminal, elsewhere a line for every tenth.

    The time left is reckoned from what was done since the first call.
    """
    from jaxcnn.progress import ProgressBar

    bar, tenths = None, 0

    def report(done, total):
        nonlocal bar, tenths
        bar = bar or ProgressBar(total, start=done, title=what, quiet=False)
        before, tenths = tenths, 10 * done // total
        bar.show(done, beside_bar="", line=f"{done}/{total} {what}" if tenths > before else None)

    try:
        yield report
    finally:
        if bar:
            bar.close()


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raises InputError before the work is done, where its result could not be written; what is there stays."""
    path = pathlib.Path(path)
    there = path.exists()
    try:
        with open(path, "a"):
            pass
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    if not there:
        path.unlink()


def check_picture(path: str | os.PathLike[str]) -> None:
    """`check_writable` of a picture: its suffix names a format, and its folder is made."""
    from jaxcnn.visualize.figure import FORMATS

    path = pathlib.Path(path)
    if path.suffix.lower().lstrip(".") not in FORMATS:
        raise InputError(f"{path} cannot be drawn: its suffix names the format, one of {', '.join(sorted(FORMATS))}.")
    make_folder(path)
    check_writable(path)


def refuse(arguments: argparse.Namespace, names: Iterable[str], reason: str) -> None:
    """Raises InputError for the first of these options that was given though it would do nothing.

    Args:
      arguments: the parsed command; an option that was not given is None, False, 0 or empty there.
      names: of the options, without dashes before them.
      reason: what follows "--NAME is" in the error.
    """
    for name in names:
        if getattr(arguments, name.replace("-", "_")) not in (None, False, 0, "", []):
            raise InputError(f"--{name} is {reason}.")


def make_folder(path: pathlib.Path) -> None:
    """Makes the folder of a file; InputError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "not a folder" if isinstance(error, FileExistsError) else error.strerror
        raise InputError(f"{path} cannot be written: {path.parent}: {reason}") from error
