"""A progress bar with time left on a terminal and in a notebook, plain lines elsewhere."""

import contextlib
import contextvars
import importlib.util
import sys
import threading
import time
from collections.abc import Generator
from typing import Any

import rich.console
import rich.progress

from jaxcnn.names import shown

PATIENCE = 2.0  # seconds that a person waits before they ask what for


_hushed = contextvars.ContextVar("hushed", default=False)


@contextlib.contextmanager
def hushed(quiet: bool = True) -> Generator[None]:
    """Within this, `waiting` says nothing where quiet is true; a hushed caller stays hushed."""
    token = _hushed.set(quiet or _hushed.get())
    try:
        yield
    finally:
        _hushed.reset(token)


@contextlib.contextmanager
def waiting(what: str) -> Generator[None]:
    """A terminal says what is waited for, once that has taken two seconds; files, pipes and `hushed` say nothing."""

    def say():
        print(f"{shown(what)} ...", file=sys.stderr, flush=True)

    timer = threading.Timer(PATIENCE, say)
    timer.daemon = True
    if not _hushed.get() and rich.console.Console(file=sys.stderr).is_terminal:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


class ProgressBar:
    """A progress bar with rate and time left on a terminal and in a notebook, else plain lines; nothing when quiet.

    Args:
      total: the amount to do.
      start: the amount done before.
      title: the name shown.
      quiet: show nothing.
    """

    def __init__(self, total: int, *, start: int, title: str, quiet: bool) -> None:
        self.console = rich.console.Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
        self.quiet, self.total, self.start, self.begin = quiet, total, start, time.monotonic()
        self.bar = None
        # rich draws a bar in a notebook by ipywidgets
        notebook = self.console.is_jupyter and importlib.util.find_spec("ipywidgets") is not None
        if (self.console.is_terminal or notebook) and not quiet:
            columns = (
                rich.progress.TextColumn("{task.description}", style="progress.description", markup=False),
                rich.progress.BarColumn(),
                rich.progress.MofNCompleteColumn(),
                rich.progress.TextColumn("{task.fields[text]}", markup=False),
                rich.progress.TimeRemainingColumn(),
            )
            self.bar = rich.progress.Progress(*columns, console=self.console)
            self.task = self.bar.add_task(shown(title), total=total, completed=start, text="")
            self.bar.start()

    def line(self, text: str) -> None:
        """One line of text, above the bar where there is one."""
        if not self.quiet:
            self.console.print(shown(text), soft_wrap=True)

    def show(self, done: int, *, beside_bar: str, line: Any = None) -> None:
        """Moves the bar to `done` of the total.

        Args:
          done: of the total.
          beside_bar: text beside the bar.
          line: the line written where there is no bar, with the time left until all is done; None writes nothing.
        """
        if self.quiet:
            return
        if self.bar:
            self.bar.update(self.task, completed=done, text=beside_bar)
        elif line is not None:
            left = (time.monotonic() - self.begin) / max(done - self.start, 1) * (self.total - done)
            self.line(f"{line}  {clock(left)} left" if done < self.total else line)

    def close(self) -> None:
        """Ends the bar."""
        if self.bar:
            self.bar.stop()


def clock(seconds: float) -> str:
    """3725 is "1:02:05"."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
