"""The findings of a study, as plain data: its cells, its claims with their verdicts, its comparisons and effects."""

import math

import numpy as np

from jaxcnn.quantity import amount, extent, probability
from jaxcnn.sweeps import statistics
from jaxcnn.sweeps.claim import matches, side_names

RATIO = {"unit": ""}


def findings(study, cells):
    """All numbers and sentences of a study's report; verdicts.json holds them.

    Args:
      study: a Study.
      cells: its Cells.
    Returns:
      A dict that JSON can hold:
        metrics: {name: {"label", "unit", "higher_is_better", "ratio"}}, the main one of the study first, then those of
          its claims; `ratio` says that they are compared by ratios.
        cells: [{"cell", "levels", "metrics": {name: {"n", "mean", "std", "interval"}}, "paper"}].
        claims: [{"text", "metric", "higher", "lower", "at" (levels of both), "values" (of either side, the seeds that
          have one), "alone" (those at which that side alone has one), "verdict", "sentence", and the numbers of
          `_compare`}].
        baseline: a cell's name or None.
        comparisons: {metric: [{"cell", "mcnemar", and the numbers of `_compare`}]}, every other cell against it.
        effects: {metric: {factor: [{"level", "n", "mean", "std", "interval"}]}}, averaged over the other factors.
    """
    metrics = study.metrics
    shown = {name: metrics[name] for name in dict.fromkeys((study.main, *(c.metric for c in study.claims)))}
    base = next((cell for cell in cells if study.baseline and matches(study.baseline, cell.levels)), None)
    return {
        "metrics": {name: metric.described(name) for name, metric in shown.items()},
        "cells": [
            {
                "cell": cell.name,
                "levels": cell.levels,
                "metrics": {name: summary(cell.values[name], metric.measure) for name, metric in metrics.items()},
                "paper": study.paper.get(cell.name),
            }
            for cell in cells
        ],
        "claims": _claims(study, cells),
        "baseline": base and base.name,
        "comparisons": {name: _against(base, study, cells, name) for name in shown} if base else {},
        "effects": {name: _effects(study.factors, cells, name, metric.measure) for name, metric in shown.items()},
    }


def summary(values, measure):
    """{"n", "mean", "std", "interval"} of the values that are not None; None for what n is too small for.

    The interval of fractions is cut to [0, 1], which takes nothing that could be the mean from it.
    """
    values = np.array([value for value in values if value is not None], np.float64)
    interval = statistics.mean_interval(values)
    if interval and measure.unit == "points":
        interval = max(interval[0], 0.0), min(interval[1], 1.0)
    return {
        "n": len(values),
        "mean": float(values.mean()) if len(values) else None,
        "std": float(values.std(ddof=1)) if len(values) > 1 else None,
        "interval": interval,
    }


def side_values(cells, levels, metric, *, log=False):
    """{seed: mean over the cells with these levels} of the seeds at which all of them have a value.

    log: takes the mean of logarithms; a value that is not positive has none.
    """
    chosen = [cell.of_seed(metric) for cell in cells if matches(levels, cell.levels)]
    if log:
        chosen = [{seed: math.log(value) for seed, value in values.items() if value > 0} for values in chosen]
    shared = [seed for seed in chosen[0] if all(seed in values for values in chosen)] if chosen else []
    return {seed: float(np.mean([values[seed] for values in chosen])) for seed in shared}


def _claims(study, cells):
    found = []
    for claim in study.claims:
        log = study.metrics[claim.metric].measure.log
        sides = [side_values(cells, side, claim.metric, log=log) for side in (claim.higher, claim.lower)]
        higher, lower, shared = side_names(claim, study.factors)
        row = {"text": claim.text, "metric": claim.metric, "higher": higher, "lower": lower, "at": shared}
        row |= {"values": [len(side) for side in sides], "alone": [len(a.keys() - b) for a, b in (sides, sides[::-1])]}
        found.append(row | _compare(*sides, log=log, family=len(study.claims), seeds=len(study.seeds)))
    for row in _adjusted(found):
        metric = study.metrics[row["metric"]].described(row["metric"])
        row["verdict"] = _verdict(row, metric)
        row["sentence"] = sentence(row, metric, family=len(found))
    return found


def _verdict(row, metric):
    """The verdict from paired seeds, withheld where it contradicts seeds with a value on one side only.

    A missing value means that the run diverged or never got there, the worst outcome.
    """
    verdict = _by_pairs(row, metric)
    return statistics.NOT_DECIDED if verdict != statistics.NOT_DECIDED and _lacking(row, metric)[1] else verdict


def _by_pairs(row, metric):
    return statistics.decide(_above(row, metric), row["p_holm"])


def _lacking(row, metric):
    """(side, seeds): the side that is better by the pairs, 0 or 1, and at how many seeds only the other has a value."""
    side = int((_by_pairs(row, metric) == statistics.SUPPORTED) != metric["higher_is_better"])
    return side, row["alone"][1 - side]


def _above(row, metric):
    """How far the estimate lies above that of two equal sides; 0 without one."""
    return row["estimate"] - (1 if metric["ratio"] else 0) if row["n"] else 0.0


def _compare(first, second, *, log, family, seeds):
    """The numbers of first against second, {seed: value} each, in the unit of the metric or, of logarithms, as ratios.

    n: pairs; left_out: seeds without one; estimate: the mean difference or ratio; interval: of it, of this comparison
    alone; p_t, p_sign_flip, p: see `paired_comparison`; smallest_detectable: at the level that Holm's correction asks
    of the smallest p of a family of this size.
    """
    given = math.exp if log else float
    pairs = sum(seed in second for seed in first)
    row = {"n": pairs, "left_out": seeds - pairs}
    if not pairs:
        return row | dict.fromkeys(("estimate", "interval", "p_t", "p_sign_flip", "smallest_detectable")) | {"p": 1.0}
    found = statistics.paired_comparison(first, second)
    least = statistics.smallest_detectable_difference(found.std or 0.0, found.n, alpha=statistics.ALPHA / family)
    return row | {
        "estimate": given(found.difference),
        "interval": found.interval and tuple(map(given, found.interval)),
        "p_t": found.p_t,
        "p_sign_flip": found.p_sign_flip,
        "p": found.p,
        "smallest_detectable": None if least is None else given(min(least, 700.0)),  # exp's range
    }


def _adjusted(rows):
    """The rows with p_holm, over all of them."""
    for row, p in zip(rows, statistics.holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = float(p)
    return rows


def _against(base, study, cells, metric):
    others = [cell for cell in cells if cell is not base]
    measure, found = study.metrics[metric].measure, []
    log, by_images = measure.log, metric == study.main and measure.unit == "points"  # a share of images, right or wrong
    for cell in others:
        sides = [side_values([one], {}, metric, log=log) for one in (cell, base)]
        numbers = _compare(*sides, log=log, family=len(others), seeds=len(study.seeds))
        found.append({"cell": cell.name, **numbers, "mcnemar": _mcnemar(cell, base) if by_images else None})
    return _adjusted(found)


def _mcnemar(cell, base):
    """McNemar's test of each seed's two networks, and one p of all seeds.

    None where no seed has both on the same test images, or the evaluations do not say which images are wrong.
    """
    seeds = []
    for seed, (images, wrong) in cell.tested.items():
        other_images, other = base.tested.get(seed, (None, None))
        if wrong is None or other is None or images != other_images:
            continue
        every = np.arange(1 + max([*wrong, *other], default=0))  # images that both have right do not count
        found = statistics.mcnemar(~np.isin(every, wrong), ~np.isin(every, other))
        seeds.append({"seed": seed, **found._asdict()})
    return {"seeds": seeds, "p": statistics.middle_p([row["p"] for row in seeds])} if seeds else None


def _effects(factors, cells, metric, measure):
    def of_level(factor, level):
        return {"level": str(level), **summary(side_values(cells, {factor: level}, metric).values(), measure)}

    several = {factor: levels for factor, levels in factors.items() if len(levels) > 1}
    return {factor: [of_level(factor, level) for level in levels] for factor, levels in several.items()}


def sentence(row, metric, *, family):
    """One plain sentence with the verdict on a claim.

    Args:
      row: of `findings`' claims; metric: of its metrics.
      family: claims whose p were adjusted together.
    """
    verdict, n, first, second = row["verdict"], row["n"], row["higher"], row["lower"]
    second += row["at"] and f" at {row['at']}"
    seeds = n + row["left_out"]
    have = " and ".join(f"{side} at {k}" for side, k in zip((first, second), row["values"], strict=True))
    have = f"of {seeds} seeds {metric['label']} is there of {have}"
    if not n:
        return f"not decided: no seed has {metric['label']} of both {first} and {second}; {have}"
    left_out = f"; {have} ({row['left_out']} left out)" if row["left_out"] else ""
    if verdict == statistics.NOT_DECIDED:
        relation = f"{first} over {second} is" if metric["ratio"] else f"{first} minus {second} is"
        text = f"not decided at n = {n}: {relation} {_size(row['estimate'], metric)} ({_evidence(row, metric, family)})"
        return text + _power(row, metric, family) + left_out
    estimate = row["estimate"]
    size = max(estimate, 1 / estimate) if metric["ratio"] else abs(estimate)
    words = f"{first} is {'above' if _above(row, metric) > 0 else 'below'} {second} by {_size(size, metric)}"
    return f"{verdict}: {words} ({_evidence(row, metric, family)}){left_out}"


def _size(value, metric):
    """ "0.61 points of test accuracy", or "a factor of 1.80 in steps"."""
    if metric["ratio"]:
        return f"a factor of {amount(value, RATIO)} in {metric['label']}"
    return f"{amount(value, metric)}{metric['unit'] and ' ' + metric['unit']} of {metric['label']}"


def _evidence(row, metric, family):
    n, scale = row["n"], RATIO if metric["ratio"] else metric
    if row["interval"]:
        interval = f"95 % interval {extent(row['interval'], scale)}, n = {n} pairs"
    else:
        interval = "one pair has no interval" if n == 1 else f"no interval, all {n} differences are equal"
    return f"{interval}, {'Holm-adjusted ' if family > 1 else ''}p {probability(row['p_holm'])}"


def _power(row, metric, family):
    """Why a claim is not decided, where that is not its p alone, and what its n could have shown."""
    if _by_pairs(row, metric) != statistics.NOT_DECIDED:
        side, count = _lacking(row, metric)
        without, other = (row["higher"], row["lower"])[side], (row["lower"], row["higher"])[side]
        seeds = f"{count} seed{'s' * (count > 1)}"
        return f"; the pairs alone would decide it, but {without} has no {metric['label']} at {seeds} where {other} has"
    text = f"; alone it would be decided, among {family} claims it is not" if row["p"] < statistics.ALPHA else ""
    if row["smallest_detectable"] is None:
        return text
    least = amount(row["smallest_detectable"], RATIO if metric["ratio"] else metric)
    unit = metric["unit"] and " " + metric["unit"]
    return f"{text}; this n can detect {'a factor of ' + least if metric['ratio'] else least + unit}"
