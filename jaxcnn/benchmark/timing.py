"""Interleaved timing: every contender runs in every round, so that a slow minute of the machine meets all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

SLOW_S, SLOW_ROUNDS = 1.0, 2


def interleaved(
    contenders: Mapping[str, Callable[[], object]], *, rounds: int, least_s: float = 0.01, slow_s: float = SLOW_S
) -> dict[str, np.ndarray]:
    """Times functions side by side.

    In each round every contender runs once unmeasured, which wakes its threads and takes its memory, and then often
    enough to fill least_s. One that takes slow_s runs in the first SLOW_ROUNDS rounds only.

    Args:
      contenders: dict from a name to a function without arguments that returns when its work is done.
      rounds: how often each is measured.
      least_s: seconds that a measurement takes at least.
      slow_s: seconds of a call from which on a contender is slow.
    Returns:
      dict from the names to (rounds,) float64, seconds of one call; fewer for a slow one.
    """
    seconds = {name: _warm_time(function) for name, function in contenders.items()}
    times = {name: [] for name in contenders}
    for number in range(rounds):
        for name, function in contenders.items():
            if number < SLOW_ROUNDS or seconds[name] < slow_s:
                function()
                times[name].append(_time(function, max(1, round(least_s / seconds[name]))))
    return {name: np.array(values) for name, values in times.items()}


def _warm_time(function):
    function()
    return _time(function, 1)


def _time(function, calls):
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def ratio(times: np.ndarray, reference: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Compares two contenders round by round.

    Args:
      times, reference: (rounds,) seconds, from the first round on; one may have fewer.
    Returns:
      The median of their ratios, and its quartiles: the spread.
    """
    rounds = min(len(times), len(reference))
    ratios = times[:rounds] / reference[:rounds]
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    return float(middle), (float(low), float(high))


def geometric_mean(values: Sequence[float]) -> float:
    """exp of the mean logarithm of positive numbers."""
    return float(np.exp(np.mean(np.log(values))))
