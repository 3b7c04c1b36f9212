"""The rows of metrics.jsonl as series to draw and to tabulate."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn.tasks import CLASSIFICATION, TASKS
from jaxcnn.training.rundir.extension import EVENT

if TYPE_CHECKING:
    from jaxcnn.tasks.task import Kind


@dataclasses.dataclass(frozen=True)
class History:
    """The log of a run, in the order of its steps.

    train, held_out: the rows of each split, one a step. A run that was killed and resumed logs some steps twice; the
      last row of a step counts.
    split: the name of the held-out split: `validation` where there is one, else the first other split than train
      (which is `test` for a run that was evaluated on test while it trained), None where there is none.
    events: the rows without a split, in file order.
    seconds: time spent in training steps, that of the last train row, where it counts on over resumptions and leaves
      compilation and evaluation out. NaN where no row has it.
    """

    train: tuple[dict, ...]
    held_out: tuple[dict, ...]
    split: str | None
    events: tuple[dict, ...]
    seconds: float


def read_history(rows: Sequence[dict]) -> History:
    """Sorts the rows of metrics.jsonl into a History.

    A number that was not finite, written as null beside its name in `not_finite`, is NaN again. Rows with neither a
    split and a step nor an event are left out.
    """
    scored = [
        {**row, **dict.fromkeys(row.get("not_finite", ()), math.nan)}
        for row in rows
        if row.get("split") and "step" in row
    ]
    others = [row["split"] for row in scored if row["split"] != "train"]
    split: Any = "validation" if "validation" in others else next(iter(others), None)
    train = _by_step(row for row in scored if row["split"] == "train")
    seconds = finite_values(series(train, "seconds"))
    return History(
        train=train,
        held_out=_by_step(row for row in scored if row["split"] == split),
        split=split,
        events=tuple(row for row in rows if "event" in row),
        seconds=float(seconds[-1]) if seconds.size else math.nan,
    )


def number(row: Mapping[str, Any], key: str) -> float:
    """row[key] as a float; NaN where it is absent, null, not a number or infinite."""
    try:
        value = float(row[key])
    except (KeyError, TypeError, ValueError):
        return math.nan
    return value if math.isfinite(value) else math.nan


def finite_values(values: Iterable[Any]) -> np.ndarray:
    """The values that are finite numbers, in their order, as float64; None is left out."""
    return np.array([value for value in values if value is not None and math.isfinite(value)], dtype=np.float64)


def series(rows: Iterable[Mapping[str, Any]], key: str) -> np.ndarray:
    """(len(rows),) float64: the numbers under `key`, NaN where a row has none."""
    return np.array([number(row, key) for row in rows], dtype=np.float64)


def positions(*groups: Sequence[Any]) -> tuple[str, tuple[np.ndarray, ...]]:
    """The x axis that all groups of rows share: ("epoch", ...), or ("step", ...) where a row has no epoch."""
    name = "epoch" if all(math.isfinite(number(row, "epoch")) for rows in groups for row in rows) else "step"
    return name, tuple(series(rows, name) for rows in groups)


def train_at_evaluations(history: History, key: str) -> np.ndarray:
    """(len(history.held_out),): the train value to set against each held-out one.

    It is the mean of the train rows after the previous evaluation up to this one, rows without `key` (or with null)
    left out; the nearest earlier row where there is none between; NaN before the first row. A value that is not finite
    makes its mean NaN: a diverged run must not look as if it had stood still.
    """
    rows = [row for row in history.train if row.get(key) is not None]
    steps, values = series(rows, "step"), series(rows, key)
    means, start = [], 0
    for row in history.held_out:
        stop = int(np.searchsorted(steps, number(row, "step"), side="right"))
        window = values[start:stop] if stop > start else values[max(stop - 1, 0) : stop]
        means.append(window.mean() if window.size else math.nan)
        start = stop
    return np.array(means, dtype=np.float64)


def best_row(history: History, kind: Kind = CLASSIFICATION) -> dict | None:
    """The held-out row of the best checkpoint: by `kind.rank`, the later of equals.

    None where no row has the measure that selects. A tie-breaker that is not finite is the worst there is. The latest
    row where nothing selects.
    """

    def key(row):
        values = {name: number(row, name) for name in kind.selects}
        worst = {name: -math.inf if kind.measures[name].higher_is_better else math.inf for name in values}
        finite = {name: value if math.isfinite(value) else worst[name] for name, value in values.items()}
        return kind.rank(finite), row["step"]

    ranked = [row for row in history.held_out if all(math.isfinite(number(row, name)) for name in kind.selects[:1])]
    return max(ranked, key=key, default=None)


def extensions(history: History) -> list[dict]:
    """The events that the run was made longer, by their steps."""
    return [row for row in history.events if row["event"] == EVENT]


def first_bad_row(history: History) -> dict | None:
    """The first train row of which a loss, a player's too, is null or not finite; None for a healthy run."""
    return next((row for row in history.train if any(math.isnan(number(row, name)) for name in losses(row))), None)


def losses(names: Iterable[str]) -> list[str]:
    """Those that are losses: "loss", and a player's as "generator/loss"."""
    return [name for name in names if name.rpartition("/")[2] == "loss"]


def classifies(kind: Kind) -> bool:
    """Whether a task measures what classification does, and maybe more: it is then shown as one."""
    return _measures_as(kind, "classification")


def restores(kind: Kind) -> bool:
    """Whether a task measures what reconstruction does, and maybe more: it then has images to show."""
    return _measures_as(kind, "reconstruction")


def says_texts(kind: Kind) -> bool:
    """Whether a task measures what one of ours that reads or writes does, and maybe more: it then has texts to show."""
    return any(_measures_as(kind, name) for name in ("reading", "translation", "captioning"))


def labels(kind: Kind) -> bool:
    """Whether a task measures what multilabel does, and maybe more: it then has labels to show."""
    return _measures_as(kind, "multilabel")


def detects(kind: Kind) -> bool:
    """Whether a task measures what detection does, and maybe more: it then has objects to show."""
    return _measures_as(kind, "detection")


def _measures_as(kind, name):
    """Whether a Kind has all measures of one of TASKS."""
    return TASKS[name].measures.items() <= kind.measures.items()


def measures_of(rows: Any, kind: Kind) -> list[str]:
    """The names of the measures that a row of a split holds, not only as nulls, in the order of the Kind."""
    held = [row for row in rows if row.get("split")]
    return [name for name in kind.measures if any(_has(row, name) for row in held)]


def _has(row, name):
    return row.get(name) is not None or name in row.get("not_finite", ())


def _by_step(rows) -> tuple[dict, ...]:
    latest = {int(row["step"]): row for row in rows}
    return tuple(latest[step] for step in sorted(latest))
