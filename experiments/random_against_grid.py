"""Does a random search find better hyper-parameters than a grid of the same size?

Claim: Bergstra and Bengio 2012 (JMLR 13), section 2: where few of the hyper-parameters matter, nine random trials try
    nine values of those that do, a grid of 3 x 3 only three.
Protocol: learning rate and weight decay, log-uniform in [1e-4, 1] and [1e-7, 1e-1]; a grid of 3 x 3 at the middles of
    thirds, and nine draws, which differ from seed to seed as the training does. Of each search the trial that is best
    on the held-out slice is tested; n = 8 searches of each kind, paired by seed.
Refuted if: the grid's winners test above those of the random searches beyond what the seeds explain.
Cost: 144 runs of about 5 seconds on 2 CPU cores at the scale digits; --runner population trains them together.
"""

import functools

import numpy as np

from jaxcnn.files import write_json
from jaxcnn.sweeps import Study, scale_config
from jaxcnn.sweeps.results import read_result
from jaxcnn.sweeps.statistics import paired_comparison

TRIAL, TRIALS = "trial", 9
RANGES = {"optimizer.learning_rate": (-4, 0), "optimizer.weight_decay": (-7, -1)}  # powers of ten


def study(scale="digits"):
    """Nine cells of a grid, nine of draws."""
    config = scale_config(scale)
    config.duration = "8 epochs" if scale == "digits" else config.duration
    config.optimizer.clip = 1.0  # so that a rate of 1 trains badly and does not diverge
    levels = {}
    for number in range(TRIALS):
        places = dict(zip(RANGES, divmod(number, 3), strict=True))
        levels[f"grid {number}"] = {key: _power(key, (place + 0.5) / 3) for key, place in places.items()}
        levels[f"random {number}"] = {key: functools.partial(_draw, key, number) for key in RANGES}
    return Study(base=config, factors={TRIAL: levels}, seeds=tuple(range(8)))


def _power(key, fraction):
    low, high = RANGES[key]
    return float(10 ** (low + fraction * (high - low)))


def _draw(key, number, seed):
    return _power(key, np.random.default_rng([seed, number, list(RANGES).index(key)]).random())


def analyse(study, workdir):
    """The test accuracy of the best of every search by the number of its trials; yields the lines of the answer."""
    found = {run.levels[TRIAL]: {} for run in study.runs()}
    for run in study.runs():
        values = read_result(workdir / run.id, study.metrics).values
        found[run.levels[TRIAL]][run.seed] = values["validation_top1"], values["test_top1"]
    best = {kind: {seed: _best(found, kind, seed) for seed in study.seeds} for kind in ("grid", "random")}
    for kind, values in best.items():
        yield f"{kind}: test accuracy of the winner {np.mean(list(values.values())):.2%}, n = {len(values)} searches"
    compared = paired_comparison(best["random"], best["grid"])
    write_json(workdir / "summary.json", {"comparisons": {"random - grid": compared._asdict()}})
    interval = " to ".join(f"{100 * edge:.2f}" for edge in compared.interval) if compared.interval else "none"
    yield (
        f"random minus grid: {100 * compared.difference:.2f} points (95 % interval {interval}, "
        f"n = {compared.n}, p {compared.p:.2g})"
    )


def _best(found, kind, seed):
    trials = [found[f"{kind} {number}"][seed] for number in range(TRIALS)]
    return max(trials, key=lambda trial: trial[0])[1]
