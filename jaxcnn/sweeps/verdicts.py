"""The findings of a study, as plain data: its cells, its claims with their verdicts, its comparisons and effects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn.sweeps import statistics
from jaxcnn.sweeps.anytime import ANYTIME
from jaxcnn.sweeps.claim import Claim, matches, place_names, side_names
from jaxcnn.sweeps.sentences import sentence
from jaxcnn.sweeps.statistics import FIXED

if TYPE_CHECKING:
    from jaxcnn.sweeps.study import Study


def findings(study: Study, cells: Any) -> dict[str, Any]:
    """All numbers and sentences of a study's report; verdicts.json holds them.

    Args:
      study: a Study.
      cells: its Cells.
    Returns:
      A dict that JSON can hold:
        metrics: {name: {"label", "unit", "higher_is_better", "ratio"}}, the main one of the study first, then those of
          its claims; `ratio` says that they are compared by ratios.
        cells: [{"cell", "levels", "metrics": {name: {"n", "mean", "std", "interval"}}, "paper"}].
        fixed: whether the evidence is of a number of seeds that was fixed before; else it holds at any stop.
        claims: [{"text", "metric", "higher", "lower", "direction" (the side that comes first), "at" (levels of both),
          "under" (the places of an interaction), "margin", "values" (of either side or place, how many of the seeds
          that all its cells were given have one), "alone" (at how many of them it alone has one), "verdict",
          "sentence", "path" ([{"n", "estimate", "interval"}] of the first n pairs), and the numbers of `_compare`}].
        baseline: a cell's name or None.
        comparisons: {metric: [{"cell", "mcnemar", and the numbers of `_compare`}]}, every other cell against it.
        effects: {metric: {factor: [{"level", "n", "mean", "std", "interval"}]}}, averaged over the other factors.
    """
    metrics = study.metrics
    shown = {name: metrics[name] for name in dict.fromkeys((study.main, *(c.metric for c in study.claims)))}
    base = next((cell for cell in cells if study.baseline and matches(study.baseline, cell.levels)), None)
    method = FIXED if study.until is None else ANYTIME

    def effects(name, metric):
        return _effects(study.factors, cells, name, metric.measure, method)

    return {
        "fixed": method.fixed,
        "metrics": {name: metric.described(name) for name, metric in shown.items()},
        "cells": [
            {
                "cell": cell.name,
                "levels": cell.levels,
                "metrics": {
                    name: summary(cell.values[name], metric.measure, method) for name, metric in metrics.items()
                },
                "paper": study.paper.get(cell.name),
            }
            for cell in cells
        ],
        "claims": _claims(study, cells, method),
        "baseline": base and base.name,
        "comparisons": {name: _against(base, study, cells, name, method) for name in shown} if base else {},
        "effects": {name: effects(name, metric) for name, metric in shown.items()},
    }


def summary(values: Any, measure: Any, method: Any = FIXED) -> dict[str, Any]:
    """{"n", "mean", "std", "interval"} of the values that are not None; None for what n is too small for.

    The interval of fractions is cut to [0, 1], which takes nothing that could be the mean from it.
    """
    values = np.array([value for value in values if value is not None], np.float64)
    interval = method.interval(values)
    if interval and measure.unit == "points":
        interval = max(interval[0], 0.0), min(interval[1], 1.0)
    return {
        "n": len(values),
        "mean": float(values.mean()) if len(values) else None,
        "std": float(values.std(ddof=1)) if len(values) > 1 else None,
        "interval": interval,
    }


def side_values(cells: Any, levels: Mapping[str, Any], metric: str, *, log: bool = False) -> dict[int, float]:
    """{seed: mean over the cells with these levels} of the seeds at which all of them have a value.

    log: takes the mean of logarithms; a value that is not positive has none.
    """
    chosen = [cell.of_seed(metric) for cell in cells if matches(levels, cell.levels)]
    if log:
        chosen = [{seed: math.log(value) for seed, value in values.items() if value > 0} for values in chosen]
    shared = [seed for seed in chosen[0] if all(seed in values for values in chosen)] if chosen else []
    return {seed: float(np.mean([values[seed] for values in chosen])) for seed in shared}


def _claims(study, cells, method):
    family = len(study.claims) + sum(claim.margin is not None for claim in study.claims)
    found = [_claim(claim, study, cells, method, family) for claim in study.claims]
    for row in _adjusted(found):
        metric = study.metrics[row["metric"]].described(row["metric"])
        row["verdict"] = _verdict(row, metric)
        missing = _lacking(row, metric) if _by_pairs(row, metric) != row["verdict"] else None
        row["sentence"] = sentence(row, metric, family=family, fixed=method.fixed, lacking=missing)
    return found


def _claim(claim, study, cells, method, family):
    log = study.metrics[claim.metric].measure.log
    *names, shared = side_names(claim, study.factors)
    *sides, there = claim_values(claim, cells, log=log)
    seeds = _common_seeds(study, claim.cells(study.cells()))
    there = [one & seeds for one in there]
    return {
        "text": claim.text,
        "metric": claim.metric,
        **dict(zip(("higher", "lower") if claim.direction == "higher" else ("lower", "higher"), names, strict=True)),
        "direction": claim.direction,
        "at": shared,
        "under": place_names(claim, study.factors),
        "margin": claim.margin,
        "values": [len(one) for one in there],
        "alone": [len(there[0] - there[1]), len(there[1] - there[0])],
        "path": _path(*sides, log=log, method=method),
        **_compare(*sides, log=log, family=family, seeds=len(seeds), margin=claim.margin, method=method),
    }


def _common_seeds(study, cells):
    """The seeds that all these cells were given: of a sweep that adds seeds the cells may have different numbers."""
    given = [set(study.seeds_of(cell)) for cell in cells]
    return set.intersection(*given) if given else set()


def claim_values(claim: Claim, cells: Any, *, log: bool) -> tuple[Any, Any, list[set[int]]]:
    """(first, second, there) of a claim, whose difference, of the two by seed, is what it is about.

    They are the values of its two sides, {seed: value}. Of an interaction with a and b at one place, c and d at the
    other they are a + d and b + c: first minus second is a - b minus c - d. `there` holds the seeds of either side, of
    an interaction of either place.
    """
    places = [
        [side_values(cells, {**place, **side}, claim.metric, log=log) for side in claim.sides] for place in claim.places
    ]
    if len(places) == 1:
        first, second = places[0]
        return first, second, [first.keys() | set(), second.keys() | set()]
    (a, b), (c, d) = places
    seeds = [seed for seed in a if seed in b and seed in c and seed in d]
    there = [set(a) & set(b), set(c) & set(d)]
    return {seed: a[seed] + d[seed] for seed in seeds}, {seed: b[seed] + c[seed] for seed in seeds}, there


def _path(first, second, *, log, method):
    """What was known after every pair, in the order of the seeds."""
    given, pairs, path = math.exp if log else float, [seed for seed in first if seed in second], []
    for n in range(1, len(pairs) + 1):
        found = method.compare({seed: first[seed] for seed in pairs[:n]}, second)
        interval = found.interval and tuple(map(given, found.interval))
        path.append({"n": n, "estimate": given(found.difference), "interval": interval})
    return path


def _verdict(row, metric):
    """The verdict from paired seeds, withheld where it contradicts seeds with a value on one side only.

    A missing value means that the run diverged or never got there, the worst outcome.
    """
    verdict = _by_pairs(row, metric)
    return statistics.NOT_DECIDED if verdict != statistics.NOT_DECIDED and _lacking(row, metric)[1] else verdict


def is_open(row: Mapping[str, Any], metric: Any) -> bool:
    """Whether more seeds may decide a claim of `findings`: its pairs have not, and it has some."""
    return bool(row["n"]) and _by_pairs(row, metric) == statistics.NOT_DECIDED


def _by_pairs(row, metric):
    above = _above(row, metric)
    return statistics.decide(above if row["direction"] == "higher" else -above, row["p_holm"], row["p_margin_holm"])


def _lacking(row, metric):
    """(side, seeds): the side that is better by the pairs, 0 or 1, and at how many seeds only the other has a value.

    Where neither is better, of an interaction or where no difference matters, the side that lacks more of them.
    """
    if row["under"] or _by_pairs(row, metric) == statistics.NO_DIFFERENCE:
        side = int(row["alone"][0] > row["alone"][1])
    else:
        side = int((_above(row, metric) > 0) != metric["higher_is_better"])
    return side, row["alone"][1 - side]


def _above(row, metric):
    """How far the estimate lies above that of two equal sides; 0 without one."""
    return row["estimate"] - (1 if metric["ratio"] else 0) if row["n"] else 0.0


def _compare(first, second, *, log, family, seeds, method, margin=None):
    """The numbers of first against second, {seed: value} each, in the unit of the metric or, of logarithms, as ratios.

    n: pairs; left_out: seeds without one; estimate: the mean difference or ratio; interval: of it, of this comparison
    alone; p_t, p_sign_flip, p, p_margin: see `paired_comparison`; smallest_detectable: of a fixed n, at the level that
    Holm's correction asks of the smallest p of a family of this size.
    """
    given = math.exp if log else float
    pairs = sum(seed in second for seed in first)
    row = {"n": pairs, "left_out": seeds - pairs}
    if not pairs:
        empty = ("estimate", "interval", "p_t", "p_sign_flip", "smallest_detectable")
        return row | dict.fromkeys(empty) | {"p": 1.0, "p_margin": None if margin is None else 1.0}
    found = method.compare(first, second, margin=math.log(margin) if margin and log else margin)
    alpha, least = statistics.ALPHA / family, None
    if method.fixed:
        least = statistics.smallest_detectable_difference(found.std or 0.0, found.n, alpha=alpha)
    return row | {
        "estimate": given(found.difference),
        "interval": found.interval and tuple(map(given, found.interval)),
        "p_t": found.p_t,
        "p_sign_flip": found.p_sign_flip,
        "p": found.p,
        "p_margin": found.p_margin,
        "smallest_detectable": None if least is None else given(min(least, 700.0)),  # exp's range
    }


def _adjusted(rows):
    """The rows with p_holm and p_margin_holm, over all questions of all of them: one with a margin asks two."""
    questions = [(row, name) for name in ("p", "p_margin") for row in rows if row[name] is not None]
    for row in rows:
        row["p_margin_holm"] = None
    adjusted = statistics.holm([row[name] for row, name in questions])
    for (row, name), p in zip(questions, adjusted, strict=True):
        row[f"{name}_holm"] = float(p)
    return rows


def _against(base, study, cells, metric, method):
    others = [cell for cell in cells if cell is not base]
    measure, found = study.metrics[metric].measure, []
    # Of a share of images, right or wrong; its p, made of all seeds, is of a number that was fixed before.
    log, by_images = measure.log, metric == study.main and measure.unit == "points" and method.fixed
    for cell in others:
        sides = [side_values([one], {}, metric, log=log) for one in (cell, base)]
        seeds = len(_common_seeds(study, (cell.name, base.name)))
        numbers = _compare(*sides, log=log, family=len(others), seeds=seeds, method=method)
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


def _effects(factors, cells, metric, measure, method):
    def of_level(factor, level):
        return {"level": str(level), **summary(side_values(cells, {factor: level}, metric).values(), measure, method)}

    several = {factor: levels for factor, levels in factors.items() if len(levels) > 1}
    return {factor: [of_level(factor, level) for level in levels] for factor, levels in several.items()}
