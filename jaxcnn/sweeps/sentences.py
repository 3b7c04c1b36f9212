"""The verdict on a claim in one plain sentence."""

from collections.abc import Mapping
from typing import Any

from jaxcnn.quantity import amount, extent, probability
from jaxcnn.sweeps.anytime import FIRST
from jaxcnn.sweeps.statistics import ALPHA, NO_DIFFERENCE, NOT_DECIDED

RATIO = {"unit": ""}


def sentence(
    row: Mapping[str, Any], metric: Any, *, family: int, fixed: bool = True, lacking: tuple[str, Any] | None = None
) -> str:
    """One plain sentence with the verdict on a claim.

    Args:
      row: of `findings`' claims; metric: of its metrics.
      family: questions whose p were adjusted together.
      fixed: whether the number of seeds was fixed before.
      lacking: (side, seeds), a side and at how many seeds only the other has a value, where that withholds a verdict.
    """
    verdict, n, (first, second) = row["verdict"], row["n"], _names(row, metric)
    seeds = n + row["left_out"]
    have = " and ".join(f"{side} at {k}" for side, k in zip((first, second), row["values"], strict=True))
    have = f"of {seeds} seeds {metric['label']} is there of {have}"
    if not n:
        return f"not decided: no seed has {metric['label']} of both {first} and {second}; {have}"
    left_out = f"; {have} ({row['left_out']} left out)" if row["left_out"] else ""
    evidence = _evidence(row, metric, family, fixed)
    relation = f"{first} {'over' if metric['ratio'] else 'minus'} {second} is {_size(row['estimate'], metric)}"
    if verdict == NOT_DECIDED:
        text = f"not decided at n = {n}: {relation} ({evidence})"
        return text + _power(row, metric, family, lacking) + left_out
    if verdict == NO_DIFFERENCE:
        return f"{verdict}: {relation}, within {_margin(row, metric)} ({evidence}{_margin_p(row, family)}){left_out}"
    estimate = row["estimate"]
    size = max(estimate, 1 / estimate) if metric["ratio"] else abs(estimate)
    side = "above" if estimate > (1 if metric["ratio"] else 0) else "below"
    return f"{verdict}: {first} is {side} {second} by {_size(size, metric)} ({evidence}){left_out}"


def _names(row, metric):
    """The side that the claim speaks of and the other, of an interaction the difference at either place."""
    first, second = (row["higher"], row["lower"])[:: 1 if row["direction"] == "higher" else -1]
    if row["under"]:
        one, other = (", ".join(filter(None, (place, row["at"]))) for place in row["under"])
        return f"{first} {'over' if metric['ratio'] else 'minus'} {second} at {one}", f"that at {other}"
    return first, second + (row["at"] and f" at {row['at']}")


def _size(value, metric):
    """ "0.61 points of test accuracy", or "a factor of 1.80 in steps"."""
    if metric["ratio"]:
        return f"a factor of {amount(value, RATIO)} in {metric['label']}"
    return f"{amount(value, metric)}{metric['unit'] and ' ' + metric['unit']} of {metric['label']}"


def _margin(row, metric):
    if metric["ratio"]:
        return f"a factor of {amount(row['margin'], RATIO)} either way"
    return f"{amount(row['margin'], metric)}{metric['unit'] and ' ' + metric['unit']} either way"


def _margin_p(row, family):
    return f", {'Holm-adjusted ' if family > 1 else ''}p of the margin {probability(row['p_margin_holm'])}"


def _evidence(row, metric, family, fixed):
    n, scale = row["n"], RATIO if metric["ratio"] else metric
    if row["interval"]:
        interval = f"95 % interval {extent(row['interval'], scale)}, n = {n} pairs"
    elif n == 1:
        interval = "one pair has no interval"
    elif not fixed and n < FIRST:
        interval = f"no interval before {FIRST} pairs"
    else:
        shared = "" if fixed else ", or the intervals of different n share no number"
        interval = f"no interval, all {n} differences are equal{shared}"
    return f"{interval}, {'Holm-adjusted ' if family > 1 else ''}p {probability(row['p_holm'])}"


def _power(row, metric, family, lacking):
    """Why a claim is not decided, where that is not its p alone, and what its n could have shown."""
    if lacking:
        side, count = lacking
        (without, other), seeds = _names(row, metric)[:: -1 if side else 1], f"{count} seed{'s' * (count > 1)}"
        return f"; the pairs alone would decide it, but {without} has no {metric['label']} at {seeds} where {other} has"
    text = f"; alone it would be decided, among {family} claims it is not" if row["p"] < ALPHA else ""
    if row["margin"] is not None:
        text += f"; nor is it within {_margin(row, metric)}{_margin_p(row, family)}"
    if row["smallest_detectable"] is None:
        return text
    least = amount(row["smallest_detectable"], RATIO if metric["ratio"] else metric)
    unit = metric["unit"] and " " + metric["unit"]
    return f"{text}; this n can detect {'a factor of ' + least if metric['ratio'] else least + unit}"
