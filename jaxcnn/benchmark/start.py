"""The time from a command to its first training step, by stage: a first start, and a second that finds its programs."""

import json
import tempfile
import time
from collections.abc import Callable

import numpy as np

from jaxcnn.benchmark.child import run_module

NETWORKS = ("lenet5_common", "resnet20", "resnet50", "googlenet", "inception_v3", "densenet121")
STARTS = ("first", "second")


def benchmark_start(*, only: str = "", rounds: int = 3, report: Callable[[dict], None] = print) -> list[dict]:
    """Starts the training of networks in processes of their own, see `start_stages.stages`.

    In every round the compilation cache begins empty; the second start finds what the first one left there.

    Args:
      only: text that the name of the network contains.
      rounds: first and second starts of each.
      report: called with each row as it is done.
    Returns:
      list of dicts, two for a network: network, start ("first" or "second"), stages ({name: median seconds}), total
      (median, (lower, upper quartile)).
    Raises:
      InputError: a start failed; with its last line.
    """
    rows = []
    for name in NETWORKS:
        if only in name:
            pairs = [_pair(name) for _ in range(rounds)]
            for start, found in zip(STARTS, zip(*pairs, strict=True), strict=True):
                rows.append(_row(name, start, found))
                report(rows[-1])
    return rows


def _row(name, start, found):
    totals = [sum(stages.values()) for stages in found]
    low, middle, high = map(float, np.quantile(totals, (0.25, 0.5, 0.75)))
    stages = {stage: float(np.median([one[stage] for one in found])) for stage in found[0]}
    return {"network": name, "start": start, "stages": stages, "total": (middle, (low, high))}


def _pair(name):
    """The stages of a start with an empty cache, and of the next one."""
    with tempfile.TemporaryDirectory() as cache:
        return tuple(_start(name, cache) for _ in STARTS)


def _start(name, cache):
    module = "jaxcnn.benchmark.start_stages"
    said = run_module(module, name, repr(time.time()), JAX_COMPILATION_CACHE_DIR=cache)
    return json.loads(said.splitlines()[-1])
