"""The claims of a study about its cells: as data, checked before anything runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError, nearest

if TYPE_CHECKING:
    from jaxcnn.sweeps.metrics import Metric


@dataclasses.dataclass(frozen=True)
class Claim:
    """`metric` of the cells that `higher` names is above that of the cells that `lower` names.

    Attributes:
      text: the claim in words, as a reader should see it.
      higher, lower: {factor: its level}. Factors that are left out take every level: the cells that match are averaged
        for each seed.
      metric: a name of `metrics_of` or among the study's own measures; empty for the measure that selects, on test.
      direction: the side that the claim speaks of: "higher" is above the other, or "lower" is below it.
      margin: a smaller difference does not matter, in the unit of the metric (0.005 is half a point of accuracy), of
        one that is compared by ratios a factor above 1. None: every difference matters.
      under: of an interaction, the levels of two places, ({factor: level}, {factor: level}): `higher` minus `lower` is
        larger at the first than at the second. Empty for none.
    """

    text: str
    higher: dict
    lower: dict
    metric: str = ""
    direction: str = "higher"
    margin: float | None = None
    under: tuple = ()

    @property
    def sides(self) -> tuple[dict, dict]:
        """The levels of the side that it speaks of, and those of the other."""
        return (self.higher, self.lower) if self.direction == "higher" else (self.lower, self.higher)

    @property
    def places(self) -> tuple[dict, ...]:
        """The levels of each place at which the sides are compared: one without levels but for interactions."""
        return self.under or ({},)

    def cells(self, cells: Mapping[str, Any]) -> list[str]:
        """The names of the cells whose values it needs, of {cell: {factor: level}}."""
        wanted = [{**place, **side} for place in self.places for side in self.sides]
        return [name for name, levels in cells.items() if any(matches(one, levels) for one in wanted)]


def matches(levels: Mapping[str, Any], cell: Mapping[str, Any]) -> bool:
    """Whether a cell, {factor: level}, has these levels."""
    return all(cell[key] == level for key, level in levels.items())


def level_names(levels: Mapping[str, Any], factors: Mapping[str, Any]) -> dict[str, str]:
    """{factor: "depth=20"}: the last part of its key, the whole key where two of the study's factors end alike."""
    last = [key.rpartition(".")[2] for key in factors]
    short = {key: end if last.count(end) == 1 else key for key, end in zip(factors, last, strict=True)}
    return {key: f"{short[key]}={level}" for key, level in levels.items()}


def side_names(claim: Claim, factors: Mapping[str, Any]) -> tuple[str, ...]:
    """(first, second, what both sides share) in words: ("relu", "tanh", "depth=20"); the last may be empty.

    The first is the side that the claim speaks of.
    """
    both = claim.sides
    shared = {key: level for key, level in both[0].items() if key in both[1] and both[1][key] == level}
    sides = [{key: level for key, level in side.items() if key not in shared} for side in both]
    levels = [level for side in sides for level in side.values()]
    if (
        len(levels) != 2
        or sides[0].keys() != sides[1].keys()
        or not all(isinstance(level, str) and level for level in levels)
    ):
        sides = [level_names(side, factors) for side in sides]
    return *(", ".join(side.values()) for side in sides), ", ".join(level_names(shared, factors).values())


def place_names(claim: Claim, factors: Mapping[str, Any]) -> tuple[str, ...]:
    """The two places of an interaction in words, ("depth=56", "depth=20")."""
    return tuple(", ".join(level_names(place, factors).values()) for place in claim.under)


def check_levels(levels: Mapping[str, Any], factors: Mapping[str, Any], *, where: str) -> None:
    """Raises InputError for a factor or a level that the study has not."""
    for key, level in levels.items():
        if key not in factors:
            raise InputError(f"{where}: '{key}' is not a factor of this study; {nearest(key, factors)}")
        if level not in factors[key]:
            raise InputError(f"{where}: {level!r} is not a level of '{key}'; {nearest(level, factors[key])}")


def check_claim(
    claim: Claim, cells: Sequence[Mapping[str, Any]], factors: Mapping[str, Any], metrics: Mapping[str, Metric]
) -> None:
    """Raises InputError for a claim that no run of the study can decide.

    Args:
      cells: [{factor: level}], all of the study.
      metrics: {name: Metric} that it may have: of the runs' kind, and the study's own.
    """
    where = f"claim '{claim.text}'"
    if claim.metric not in metrics:
        raise InputError(f"{where}: there is no metric '{claim.metric}'; {nearest(claim.metric, metrics)}")
    if claim.direction not in ("higher", "lower"):
        raise InputError(f"{where}: direction is {claim.direction!r}; it is 'higher' or 'lower'.")
    for side in (*claim.sides, *claim.under):
        check_levels(side, factors, where=where)
    if any(matches(claim.higher, cell) and matches(claim.lower, cell) for cell in cells):
        raise InputError(
            f"{where}: a cell is on both sides; `higher` and `lower` must differ in the level of a factor."
        )
    _check_places(claim, cells, where)
    _check_margin(claim, metrics[claim.metric].measure, where)


def _check_places(claim, cells, where):
    if claim.under and len(claim.under) != 2:
        raise InputError(f"{where}: under has {len(claim.under)} places; an interaction has 2.")
    if shared := {key for place in claim.under for key in place if key in {**claim.higher, **claim.lower}}:
        raise InputError(f"{where}: '{min(shared)}' is both a side and a place; `under` is of other factors.")
    if claim.under and any(all(matches(place, cell) for place in claim.under) for cell in cells):
        raise InputError(f"{where}: a cell is at both places; those of `under` must differ in the level of a factor.")


def _check_margin(claim, measure, where):
    if claim.margin is None:
        return
    least = 1 if measure.log else 0
    if not (isinstance(claim.margin, (int, float)) and math.isfinite(claim.margin) and claim.margin > least):
        kind = "a factor above 1" if measure.log else "a positive number"
        raise InputError(f"{where}: margin is {claim.margin!r}; of '{claim.metric}' it is {kind}.")
    if measure.unit == "points" and claim.margin >= 1:
        raise InputError(f"{where}: margin is {claim.margin!r}; '{claim.metric}' is a fraction, half a point is 0.005.")
