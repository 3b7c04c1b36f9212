"""The check of a study before its first run starts: every run is resolved, nothing is compiled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax

from jaxcnn.data import look_up_once
from jaxcnn.errors import InputError
from jaxcnn.population import shared_config
from jaxcnn.sweeps.worker import in_words
from jaxcnn.training.config import to_json
from jaxcnn.training.setup import resolve_values, set_up

if TYPE_CHECKING:
    from jaxcnn.sweeps.study import Run


SHOWN = 3  # slips, and cells of each


def check_runs(runs: Sequence[Run], *, devices: Any = None) -> None:
    """Checks that every run can be trained: its values, its data and its network, which is traced.

    Runs that differ only in their seed and in numbers share one trace, and a data set is looked up once.

    Args:
      runs: list of Run.
      devices: those that a run will train on; None takes all.
    Raises:
      InputError: names the slips and their cells.
    """
    slips, known = {}, {}
    with look_up_once():
        for run in runs:
            if slip := _slip(run.config, known, devices):
                slips.setdefault(slip, []).append(run)
    if slips:
        count = sum(map(len, slips.values()))
        found = [f"{_cells(those)}: {slip.rstrip('.')}." for slip, those in list(slips.items())[:SHOWN]]
        more = len(slips) - SHOWN
        rest = [f"And {more} other slip{'s' * (more > 1)}."] if more > 0 else []
        start = f"nothing was started: {count} of {len(runs)} runs cannot be trained."
        raise InputError(" ".join([start, *found, *rest]))


def check_for_elsewhere(runs: Sequence[Run]) -> None:
    """`check_runs` of runs that train in other processes: their devices are not known here, and left to them."""
    jax.config.update("jax_platforms", "cpu")
    check_runs(runs, devices=jax.devices("cpu")[:1])


def _slip(config, known, devices):
    """Why a run cannot be trained, "" where it can; `known` keeps the answers for networks that were traced."""
    try:
        resolve_values(config)
    except InputError as error:
        return str(error)
    key = to_json(shared_config(config))
    if key not in known:
        known[key] = ""
        try:
            set_up(config, devices=devices)
        except Exception as error:  # of the user's own network or data too
            known[key] = in_words(error)
    return known[key]


def _cells(runs):
    """ "depth=20", "depth=20 and depth=56", "depth=20, depth=56, depth=110 and 4 other cells"."""
    cells = list(dict.fromkeys(run.cell for run in runs))
    more = len(cells) - SHOWN
    names = cells[:SHOWN] + ([f"{more} other cell{'s' * (more > 1)}"] if more > 0 else [])
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
