"""Where the numbers of a run go: metrics.jsonl, the trackers of its config, and a progress bar or plain lines."""

from __future__ import annotations

import contextlib
import json
import math
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jaxcnn.files import write_text
from jaxcnn.progress import ProgressBar
from jaxcnn.training.rundir.evaluations import read_rows
from jaxcnn.training.rundir.trackers import open_trackers

if TYPE_CHECKING:
    from ml_collections import ConfigDict


class MetricsLog:
    """metrics.jsonl of one run, and the trackers that config.trackers names; only the first process writes.

    Args:
      workdir: the run directory.
      config: of the run.
      step: rows after this step (of a run that was killed past its last checkpoint) are dropped.
      active: False in all processes but one.
    """

    def __init__(self, workdir: pathlib.Path, config: ConfigDict, *, step: int, active: bool = True) -> None:
        self.path, self.active = workdir / "metrics.jsonl", active
        if not active:
            return
        rows = [row for row in read_metrics(workdir) if row.get("step", 0) <= step]
        write_text(self.path, "".join(json.dumps(row) + "\n" for row in rows))
        self.file = self.path.open("a", buffering=1, encoding="utf-8")
        try:
            self.trackers = open_trackers(config.trackers, workdir, config, step=step + 1)
        except BaseException:
            self.file.close()
            raise

    def write(self, row: Mapping[str, Any]) -> None:
        """Adds a row; a number that is not finite is written as null beside its name in "not_finite"."""
        if not self.active:
            return
        bad = [k for k, v in row.items() if isinstance(v, float) and not math.isfinite(v)]
        clean = {k: (None if k in bad else v) for k, v in row.items()}
        self.file.write(json.dumps(clean | ({"not_finite": bad} if bad else {})) + "\n")
        if "split" in row:
            self._track("write", row["split"], row["step"], {k: v for k, v in clean.items() if k != "epoch"})

    def final(self, split: str, step: int, values: Any) -> None:
        """Gives trackers the last evaluation, {measure: float or None}; evaluations.jsonl holds it."""
        if self.active:
            self._track("final", split, step, values)

    def _track(self, method, split, step, values):
        found = {f"{split}/{name}": value for name, value in values.items() if isinstance(value, float)}
        numbers = {name: value for name, value in found.items() if math.isfinite(value)}
        for tracker in self.trackers:
            getattr(tracker, method)(step, numbers)

    def close(self) -> None:
        """Flushes the file, and ends the trackers."""
        if self.active:
            with contextlib.suppress(OSError):  # the disk is full: `write` has said so
                self.file.close()
            for tracker in self.trackers:
                tracker.close()


def read_metrics(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """The rows of a run's metrics.jsonl, [] where there is none; a half-written last line is left out."""
    return read_rows(workdir / "metrics.jsonl")


class Progress(ProgressBar):
    """The progress bar of a run; its total and start are steps.

    Args:
      total, start, title, quiet: as in ProgressBar.
      measures: names of numbers of a log row that are shown, the first beside the bar too; rows may lack some.
    """

    def __init__(self, total: int, *, start: int, title: str, quiet: bool, measures: Any) -> None:
        super().__init__(total, start=start, title=title, quiet=quiet)
        self.measures = tuple(dict.fromkeys(measures))

    def update(self, step: int, row: Mapping[str, Any]) -> None:
        """After a log row of the train split."""
        rate = row.get("images_per_second")
        rate = f"{rate:,.0f} images/s" if rate else ""
        shown = [f"{name} {row[name]:.4f}" for name in self.measures if row.get(name) is not None]
        line = "  ".join((f"step {step}/{self.total}", f"epoch {row['epoch']:.2f}", *shown, rate))
        self.show(step, beside_bar="  ".join((*shown[:1], rate)), line=line)
