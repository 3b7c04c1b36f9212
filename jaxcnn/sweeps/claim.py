"""What a study measures of each run, and what it claims about its cells: as data, checked before anything runs."""

import dataclasses
import statistics
from collections.abc import Callable

from jaxcnn.errors import InputError, nearest


@dataclasses.dataclass(frozen=True)
class Measure:
    """A number of a finished run.

    Attributes:
      function: f(rows of metrics.jsonl) -> float, or None where the run has no such number (it never got there, say).
      unit: "points" for a fraction that is shown in per cent; any other word is printed behind the number.
      higher_is_better: printed beside the numbers; a claim says itself which side it takes to be higher.
      log: positive numbers that are compared by their ratio, as times are: differences are taken of their logarithms.
      label: what it is called in a sentence; its name where empty.
    """

    function: Callable | None
    unit: str = ""
    higher_is_better: bool = True
    log: bool = False
    label: str = ""


def _of_last_train_row(key):
    def read(rows):
        return next((row[key] for row in reversed(rows) if row.get("split") == "train"), None)

    return read


def _median_rate(rows):
    rates = [row["images_per_second"] for row in rows if row.get("split") == "train"]
    return statistics.median(rates) if rates else None


# Those without a function come from the evaluations of the checkpoint that was best on the held-out slice.
METRICS = {
    "test_top1": Measure(None, "points", label="test accuracy"),
    "test_loss": Measure(None, higher_is_better=False),
    "validation_top1": Measure(None, "points", label="held-out accuracy"),
    "train_top1": Measure(_of_last_train_row("top1"), "points", label="accuracy on the last training images"),
    "train_loss": Measure(_of_last_train_row("loss"), higher_is_better=False, label="loss on the last training images"),
    "seconds": Measure(_of_last_train_row("seconds"), "s", higher_is_better=False, log=True, label="training time"),
    "images_per_second": Measure(_median_rate, "images/s", log=True, label="throughput"),
    "steps": Measure(_of_last_train_row("step"), "steps", higher_is_better=False, log=True),
}


@dataclasses.dataclass(frozen=True)
class Claim:
    """`metric` of the cells that `higher` names is above that of the cells that `lower` names.

    Attributes:
      text: the claim in words, as a reader should see it.
      higher, lower: {factor: its level}. Factors that are left out take every level: the cells that match are averaged
        for each seed.
      metric: a name in METRICS or among the study's own measures.
    """

    text: str
    higher: dict
    lower: dict
    metric: str = "test_top1"


def matches(levels, cell):
    """Whether a cell, {factor: level}, has these levels."""
    return all(cell[key] == level for key, level in levels.items())


def level_names(levels, factors):
    """{factor: "depth=20"}: the last part of its key, the whole key where two of the study's factors end alike."""
    last = [key.rpartition(".")[2] for key in factors]
    short = {key: end if last.count(end) == 1 else key for key, end in zip(factors, last, strict=True)}
    return {key: f"{short[key]}={level}" for key, level in levels.items()}


def side_names(claim, factors):
    """(higher, lower, what both sides share) in words: ("relu", "tanh", "depth=20"); the last may be empty."""
    both = (claim.higher, claim.lower)
    shared = {key: level for key, level in claim.higher.items() if key in claim.lower and claim.lower[key] == level}
    sides = [{key: level for key, level in side.items() if key not in shared} for side in both]
    levels = [level for side in sides for level in side.values()]
    if (
        len(levels) != 2
        or sides[0].keys() != sides[1].keys()
        or not all(isinstance(level, str) and level for level in levels)
    ):
        sides = [level_names(side, factors) for side in sides]
    return *(", ".join(side.values()) for side in sides), ", ".join(level_names(shared, factors).values())


def check_levels(levels, factors, *, where):
    """Raises InputError for a factor or a level that the study has not."""
    for key, level in levels.items():
        if key not in factors:
            raise InputError(f"{where}: '{key}' is not a factor of this study; {nearest(key, factors)}")
        if level not in factors[key]:
            raise InputError(f"{where}: {level!r} is not a level of '{key}'; {nearest(level, factors[key])}")


def check_claim(claim, cells, factors, measures):
    """Raises InputError for a claim that no run of the study can decide.

    Args:
      cells: [{factor: level}], all of the study.
      measures: {name: Measure}, METRICS and the study's own.
    """
    where = f"claim '{claim.text}'"
    if claim.metric not in measures:
        raise InputError(f"{where}: there is no metric '{claim.metric}'; {nearest(claim.metric, measures)}")
    for side in (claim.higher, claim.lower):
        check_levels(side, factors, where=where)
    if any(matches(claim.higher, cell) and matches(claim.lower, cell) for cell in cells):
        raise InputError(
            f"{where}: a cell is on both sides; `higher` and `lower` must differ in the level of a factor."
        )
