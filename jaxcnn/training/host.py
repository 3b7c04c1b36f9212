"""Host-side state of a run: its log, unlogged metrics, plateau and patience, training time."""

from __future__ import annotations

import dataclasses
import logging
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxcnn.training.divergence import divergence
from jaxcnn.training.evaluate import Evaluation, evaluation_row, keep_rows, printed
from jaxcnn.training.rundir.evaluations import append_evaluation, read_evaluations
from jaxcnn.training.rundir.extension import Extension, first_duration
from jaxcnn.training.rundir.log import MetricsLog, read_metrics
from jaxcnn.training.schedule import Plateau
from jaxcnn.training.step import DIVISOR, of_the_step

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from jaxcnn.tasks.task import Kind
    from jaxcnn.training.setup import Setup


logger = logging.getLogger(__name__)

UNSEEN = Plateau()  # before the first evaluation


class HostState:
    """Host-side state of one run, in a population or alone.

    Attributes:
      config, workdir: of the run.
      log: its MetricsLog.
      plateau: its Plateau.
      patience: a Plateau of config.evaluation.patience, which only counts.
      seconds: of training, up to the last row of the log.
      reopened: config.evaluation.patience had ended the run, which was then made longer.
      failure: why the run diverged, None of one that trains.

    Args:
      setup: a Setup.
      config: the run's resolved config.
      workdir: the run directory.
      step: where this start begins.
    """

    def __init__(self, setup: Setup, config: ConfigDict, workdir: pathlib.Path, *, step: int) -> None:
        self.setup, self.config, self.workdir = setup, config, workdir
        self.log = MetricsLog(workdir, config, step=step, active=jax.process_index() == 0)
        self.plateau, self.patience, self.seconds, self.rows = Plateau(), Plateau(), 0.0, {}
        self.reopened, self.failure = False, None
        self.undefined, self.stored = setup.bare_task.undefined, setup.bare_task.stored

    def memory(self, step: int, *, unlogged: float) -> dict[str, Any]:
        """The JSON that a checkpoint holds beside the state; `unlogged` are the seconds that the rows below took."""
        kept = {"seconds": self.seconds, "rows": self.rows, "plateau": self.plateau, "patience": self.patience}
        return memory_of(self.config, step, unlogged=unlogged, **kept)

    def restore(self, memory: Any, step: int, extension: Extension | None = None) -> None:
        """Goes on from what `memory` returned, under a longer duration where there is an Extension."""
        self.plateau = _from_json(memory["plateau"])
        self.patience = _from_json(memory.get("patience", _as_json(Plateau())))  # older checkpoints have none
        self.seconds = memory["seconds"]
        self.rows = {name: np.asarray(values, np.float32) for name, values in memory["metrics"].items()}
        waiting = max(map(len, self.rows.values()), default=0)
        if step > waiting and not any("split" in row for row in read_metrics(self.workdir)):
            logger.warning("%s: the rows up to step %d are lost", self.log.path, step)
            self.log.write({"event": "rows lost", "step": step})
        self.log.write({"event": "resumed", "step": step})
        if extension:
            self._extend(extension)

    def _extend(self, extension):
        """Logs that the run was made longer, once; a run that its patience had ended resumes and counts anew."""
        if self.patience_exhausted():
            self.patience, self.reopened = dataclasses.replace(self.patience, count=0), True
        event = {**extension.event(), "epoch": self._epoch(extension.step)}
        if event not in read_metrics(self.workdir):
            self.log.write(event)

    def add(self, chunks: Sequence[Any], step: int) -> tuple[int, str] | None:
        """Takes the metrics of the steps up to `step`; returns where and why they diverged, as `divergence`, or None.

        Args:
          chunks: list of {metric: (steps,)}, on the host.
          step: of the last.
        """
        chunks = [self.rows, *chunks] if self.rows else chunks
        self.rows = {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]} if chunks else {}
        return divergence(self.rows, step) if self.rows else None

    def train_row(self, step: int, spent: float) -> dict[str, Any]:
        """Logs the mean of the metrics since the last row, which took `spent` seconds; returns the row."""
        rows, self.rows = self.rows, {}
        self.seconds += spent
        steps, seen = len(rows["seen"]), float(rows["seen"].sum())
        row = {
            "split": "train",
            "step": step,
            "epoch": self._epoch(step),
            **{name: self._mean(rows, name) for name in self.setup.kind.measures if name in rows},
            **{name: float(rows[name][-1]) for name in of_the_step(rows)},
            "images_per_second": round(seen / spent, 1),
            "seconds": round(self.seconds, 3),
        }
        if seen < steps * self.config.batch_size:
            row["unreadable"] = int(steps * self.config.batch_size - seen)
        self.log.write(row)
        return row

    def _mean(self, rows, name):
        """The mean of a metric over the images of all rows; None where it has no value on these data."""
        if name in self.undefined:
            return None
        divisor = float(rows.get(name + DIVISOR, rows["seen"]).sum())
        return float(rows[name].sum()) / (divisor or 1.0)

    def held_out_row(self, step: int, result: Evaluation) -> dict[str, Any]:
        """Logs an Evaluation on the held-out slice, moves the plateau, and returns the row."""
        row = {"split": "validation", "step": step, "epoch": self._epoch(step), "n": result.n, **result.values}
        self.log.write(row)
        kind = self.setup.kind
        if kind.selects:
            first = kind.selects[0]
            error, schedule = kind.measures[first].error(row[first]), self.config.schedule
            if schedule.name == "plateau":
                self.plateau = self.plateau.update(error, patience=schedule.patience, factor=schedule.factor)
            self.patience = self.patience.update(error, patience=math.inf, factor=1.0)
        return row

    def chosen_by(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """{measure: value} of those that choose the best checkpoint, from a held-out row."""
        return {name: row[name] for name in self.setup.kind.selects}

    def patience_exhausted(self) -> bool:
        """Whether config.evaluation.patience evaluations brought no lower held-out error: the run ends."""
        return 0 < self.config.evaluation.patience <= self.patience.count

    def diverged(self, first: int, saved: Sequence[int]) -> str:
        """Logs that step `first` diverged; returns the end of the message, where `saved` are the steps saved."""
        self.log.write({"event": "diverged", "step": first})
        return f"The last good checkpoint is step {saved[-1]} in {self.workdir}." if saved else "None was saved yet."

    def test_result(self) -> dict[str, Any] | None:
        """The evaluation on test at the end of this duration, see evaluation_row; None before it was done."""
        kept = ("time", "final", "duration", "look")  # in the log alone
        begun = first_duration(self.workdir, self.config)  # rows of older runs do not say their duration
        found = (row for row in self._finals() if row.get("duration", begun) == self.config.duration)
        return next((printed({k: v for k, v in row.items() if k not in kept}) for row in found), None)

    def looks(self) -> int:
        """How often the run has been evaluated on test at an end; more than once where it was made longer."""
        return len(self._finals())

    def _finals(self):
        return [row for row in read_evaluations(self.workdir) if row.get("final")]

    def test_row(self, step: int, result: Evaluation) -> dict[str, Any]:
        """Keeps the Evaluation on test at the end, of the checkpoint of a step; returns its row."""
        row = evaluation_row(self.config, step, "test", result)
        more = {"final": True, "duration": self.config.duration, "look": self.looks() + 1}
        keep_rows(self.workdir, step, "test", result, self.stored)  # first: the row below says that all is there
        append_evaluation(self.workdir, {**printed(row), **more, **row})
        self.log.final("test", step, result.values)
        return printed(row)

    def _epoch(self, step):
        return round(step / self.setup.steps_per_epoch, 4)


def memory_of(
    config: ConfigDict,
    step: int,
    *,
    seconds: float = 0.0,
    unlogged: float = 0.0,
    rows: Any = None,
    plateau: Any = UNSEEN,
    patience: Any = UNSEEN,
) -> dict[str, Any]:
    """The JSON that a checkpoint holds beside a State: of a run that stands at a step, else one that has not begun."""
    return {
        "seed": config.seed,
        "records": step * config.batch_size,
        "seconds": seconds,
        "unlogged": unlogged,
        "metrics": {name: values.tolist() for name, values in (rows or {}).items()},
        "plateau": _as_json(plateau),
        "patience": _as_json(patience),
        "config": config.to_dict(),
    }


def headline(kind: Kind) -> tuple[str, ...]:
    """The measures of a Kind that a line of progress shows: losses, then what chooses the best checkpoint.

    Where nothing chooses, all that are of no player.
    """
    losses = [name for name in kind.measures if name.rpartition("/")[2] == "loss"]
    return tuple(dict.fromkeys((*losses, *(kind.selects or (name for name in kind.measures if "/" not in name)))))


def said(kind: Kind, row: Mapping[str, Any]) -> str:
    """ "loss 0.1234  NAME 0.9000" of a row with measures."""
    return "  ".join(f"{name} {row[name]:.4f}" for name in headline(kind) if row.get(name) is not None)


def _as_json(plateau):
    return {**dataclasses.asdict(plateau), "best": None if math.isinf(plateau.best) else plateau.best}


def _from_json(plateau):
    return Plateau(math.inf if plateau["best"] is None else plateau["best"], plateau["count"], plateau["scale"])
