"""What the claims of a study would take: the spread of their differences, and the seeds and hours for an effect."""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn.quantity import amount, duration
from jaxcnn.sweeps import anytime
from jaxcnn.sweeps.results import gather
from jaxcnn.sweeps.runner import read_runs
from jaxcnn.sweeps.statistics import ALPHA, POWER, is_constant, paired, smallest_detectable_difference
from jaxcnn.sweeps.verdicts import claim_values

if TYPE_CHECKING:
    from jaxcnn.sweeps.study import Study


PILOT = 3  # seeds
PATHS, MOST = 2000, 400  # simulated, and the largest number of seeds that is looked for
HEADER = ("claim", "pairs", "std", "effect", "seeds, fixed before", "seeds, until decided", "more time")


def with_pilot(study: Study) -> Study:
    """The study with three seeds of each cell, or more where it has more."""
    return dataclasses.replace(study, until={name: max(len(study.seeds_of(name)), PILOT) for name in study.cells()})


def pilot(study: Study, workdir: pathlib.Path) -> Study:
    """The first three seeds of the cells that need them; of other cells none.

    They are those of a claim without the two pairs in workdir that tell a spread, and have fewer finished runs: of
    others more runs would be as many that tell nothing.
    """
    cells, levels = _cells(study, workdir) if workdir.is_dir() else [], study.cells()
    open_ = {n for claim in study.claims if len(_paired(claim, study, cells)[0]) < 2 for n in claim.cells(levels)}
    open_ -= {cell.name for cell in cells if len(cell.seeds) >= PILOT}
    return dataclasses.replace(study, until={name: PILOT if name in open_ else 0 for name in levels})


def plan(study: Study, workdir: pathlib.Path, *, effect: float | None = None) -> list[Any]:
    """The rows of a table, HEADER, of every claim.

    Seeds are those with which a claim is decided four times in five, at the level that Holm's correction asks of the
    smallest p: by a paired t test whose n was fixed before, and by the test that holds at any stop. Of a claim with a
    margin they are also those with which it is told that no difference matters, where there is none. The time is that
    of training, without compilation and evaluation, of the runs that are not there yet, one at a time.

    Args:
      study: a Study, with the seeds that are there.
      workdir: its directory, a pathlib.Path.
      effect: the true difference, in the unit of the metric, as a ratio of what is compared by ratios; None: the margin
        of the claim, or without one the difference that was observed.
    """
    cells = _cells(study, workdir)
    alpha = ALPHA / (len(study.claims) + sum(claim.margin is not None for claim in study.claims))
    return [row for claim in study.claims for row in _rows(claim, study, cells, alpha, effect)]


def _cells(study, workdir):
    return gather(study, *read_runs(study, workdir))


def _paired(claim, study, cells):
    """The differences of a claim's pairs, and the values that they are of."""
    first, second, _ = claim_values(claim, cells, log=study.metrics[claim.metric].measure.log)
    return paired(first, second) if first.keys() & second.keys() else (np.zeros(0), np.zeros(0))


def _rows(claim, study, cells, alpha, effect):
    metric, (found, values) = study.metrics[claim.metric], _paired(claim, study, cells)
    if len(found) < 2 or is_constant(found, values):
        yield claim.text, len(found), *["n/a"] * 3, "n/a: its pairs tell no spread", "n/a"
        return
    std = float(found.std(ddof=1))
    log, described = metric.measure.log, metric.described(claim.metric)
    scale = {"unit": ""} if log else described

    def shown(value):
        return amount(math.exp(value) if log else value, scale)

    def row(words, size, fixed, sequential):
        hours = "n/a" if sequential is None else duration(_time(claim, study, cells, sequential))
        seeds = (f"more than {MOST}" if n is None else n for n in (fixed, sequential))
        return claim.text, len(found), shown(std), words.format(shown(size)), *seeds, hours

    given = effect or claim.margin
    size = abs(math.log(given) if log else given) if given else abs(float(found.mean()))
    fixed, sequential = seeds_fixed(size / std, alpha=alpha), seeds_until(size / std, alpha=alpha)
    yield row("{}" if given else "{}, as observed", size, fixed, sequential)
    if claim.margin is not None:
        margin = math.log(claim.margin) if log else claim.margin
        yield row("none, within {}", margin, "n/a", seeds_within(margin / std, alpha=alpha))


def _time(claim, study, cells, seeds):
    """Seconds of training of the runs that its cells lack of so many seeds."""
    names, total = claim.cells(study.cells()), 0.0
    for cell in cells:
        times = [value for value in cell.values["seconds"] if value is not None]
        if cell.name in names and times:
            total += max(seeds - len(cell.seeds), 0) * sum(times) / len(times)
    return total


def seeds_fixed(effect: float, *, alpha: float = ALPHA) -> int | None:
    """The fewest pairs whose two-sided t test finds an effect, in standard deviations, with probability POWER; None
    above MOST."""
    smallest: Any = smallest_detectable_difference(1.0, MOST, alpha=alpha)
    if not effect or smallest > effect:
        return None
    low, high = 1, MOST
    while high - low > 1:
        n = (low + high) // 2
        found: Any = smallest_detectable_difference(1.0, n, alpha=alpha)
        low, high = (low, n) if found <= effect else (n, high)
    return high


def seeds_until(effect: float, *, alpha: float = ALPHA) -> int | None:
    """The number of pairs by which the test that holds at any stop has found such an effect with probability POWER, by
    simulation of normal differences; None above MOST."""
    return _first(anytime.difference_p(_noise() + effect) <= alpha) if effect else None


def seeds_within(margin: float, *, alpha: float = ALPHA) -> int | None:
    """The same for no difference that matters where there is none, the margin in standard deviations."""
    return _first(anytime.margin_p(_noise(), margin) <= alpha)


@functools.cache
def _noise():
    return np.random.default_rng(0).normal(size=(PATHS, MOST))


def _first(decided):
    shares = np.logical_or.accumulate(decided, -1).mean(0)
    return int(np.argmax(shares >= POWER)) + 1 if shares.max() >= POWER else None
