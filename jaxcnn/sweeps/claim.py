"""The claims of a study about its cells: as data, checked before anything runs."""

import dataclasses

from jaxcnn.errors import InputError, nearest


@dataclasses.dataclass(frozen=True)
class Claim:
    """`metric` of the cells that `higher` names is above that of the cells that `lower` names.

    Attributes:
      text: the claim in words, as a reader should see it.
      higher, lower: {factor: its level}. Factors that are left out take every level: the cells that match are averaged
        for each seed.
      metric: a name of `metrics_of` or among the study's own measures; empty for the measure that selects, on test.
    """

    text: str
    higher: dict
    lower: dict
    metric: str = ""


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


def check_claim(claim, cells, factors, metrics):
    """Raises InputError for a claim that no run of the study can decide.

    Args:
      cells: [{factor: level}], all of the study.
      metrics: the names that it may have: of the runs' kind, and the study's own.
    """
    where = f"claim '{claim.text}'"
    if claim.metric not in metrics:
        raise InputError(f"{where}: there is no metric '{claim.metric}'; {nearest(claim.metric, metrics)}")
    for side in (claim.higher, claim.lower):
        check_levels(side, factors, where=where)
    if any(matches(claim.higher, cell) and matches(claim.lower, cell) for cell in cells):
        raise InputError(
            f"{where}: a cell is on both sides; `higher` and `lower` must differ in the level of a factor."
        )
