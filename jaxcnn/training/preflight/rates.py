"""The learning-rate range test: a few steps at rates from too low to too high (Smith 2017, arXiv:1506.01186)."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from scipy import ndimage

from jaxcnn.errors import InputError
from jaxcnn.quantity import compact
from jaxcnn.training.before import begun, recorded_before
from jaxcnn.training.bounds import check_workers
from jaxcnn.training.compilation import compiled, use_persistent_cache
from jaxcnn.training.config import default_config
from jaxcnn.training.finetune.start import begin_from_source
from jaxcnn.training.preflight.checks import total_loss
from jaxcnn.training.setup import set_up
from jaxcnn.training.state import draw_state
from jaxcnn.training.step import make_chunk
from jaxcnn.training.train import statistics_of

if TYPE_CHECKING:
    from ml_collections import ConfigDict


SMOOTHING = 0.02  # of the steps, the deviation of the Gaussian that smooths the loss
DIVERGED = 4.0  # times the lowest smoothed loss, as in fastai's lr_find
LEAST = 20  # steps


@dataclasses.dataclass(frozen=True)
class RateTest:
    """What a range test found.

    Attributes:
      rates: float64 (steps,), the learning rate of each step.
      losses: float64 (steps,), the training loss there, before the update.
      smooth: float64 (steps,), the losses smoothed by a Gaussian of 2 % of all steps, which does not lag.
      diverged: whether it ended because the loss diverged.
      steepest: the rate, up to that of the lowest smoothed loss, at which that falls fastest by the rate's logarithm;
        None where it never falls.
      tenth: a tenth of the rate at which the smoothed loss is lowest; None where it never falls.
    """

    rates: np.ndarray
    losses: np.ndarray
    smooth: np.ndarray
    diverged: bool
    steepest: float | None
    tenth: float | None

    def __repr__(self) -> str:
        found = f"steepest: {compact(self.steepest)}, tenth of the lowest: {compact(self.tenth)}"
        return f"<RateTest of {len(self.rates)} steps; {found}>"


def find_rate(
    config: ConfigDict,
    *,
    lowest: float = 1e-7,
    highest: float = 10.0,
    steps: int = 100,
    devices: Any = None,
    report: Callable[[int, int], object] | None = None,
) -> RateTest:
    """Trains from the run's first state at rates that grow from step to step; no run directory is read or written.

    rate_s = lowest * (highest / lowest) ** (s / (steps - 1)), in place of the config's rate and schedule. All else is
    the run's: step, batches, augmentation, the network of config.finetune.source. It ends where the loss is not finite,
    or the smoothed one above 4 times its lowest.

    Args:
      config: a run's config.
      lowest, highest: the rates of the first and the last step.
      steps: how many, at least 20.
      devices: the devices to use; None takes all.
      report: called with (steps done, steps) after each.
    Returns:
      A RateTest.
    Raises:
      InputError: the config does not fit, it is a game, or the loss is not finite from the beginning.
    """
    if not (0 < lowest < highest < math.inf and steps >= LEAST):
        raise InputError(
            f"rates from {lowest:g} to {highest:g} in {steps} steps; they grow from above 0 in {LEAST} or more."
        )
    use_persistent_cache()
    check_workers(config)
    setup = _growing(set_up(config, devices=devices), lowest, highest, steps)
    if len(setup.bare_task.players) > 1:
        raise InputError(
            f"task {setup.config.task.name} is a game: one player loses what another wins; no loss tells a rate."
        )
    losses, diverged = [], False
    for loss in _losses(setup):
        diverged = not math.isfinite(loss)
        if diverged:
            break
        losses.append(loss)
        if report:
            report(len(losses), steps)
        smooth = _smoothed(losses, steps)
        diverged = smooth[-1] > smooth.min() + (DIVERGED - 1) * abs(smooth.min())
        if diverged:
            break
    rates = lowest * (highest / lowest) ** (np.arange(len(losses)) / (steps - 1))
    return _judged(rates, np.array(losses), steps, bool(diverged))


def _growing(setup, lowest, highest, steps):
    """The Setup with these rates in place of its own, and so many steps."""
    config = setup.config.copy_and_resolve_references()
    with config.unlocked():
        config.schedule = default_config().schedule
        config.schedule.name = "optax:exponential_decay"
        config.schedule.options.update({"transition_steps": steps - 1, "decay_rate": highest / lowest})
        config.optimizer.learning_rate = lowest
    return dataclasses.replace(setup, config=config, total=steps)


def _losses(setup):
    """Yields the training loss of each step."""
    feed, config = setup.feed("train"), setup.config
    with tempfile.TemporaryDirectory() as folder:
        task, data, state = _begin(setup, feed, pathlib.Path(folder))
    inputs = feed.training(start=0, batch_size=config.batch_size)
    try:
        program = None
        for _ in range(setup.total):
            arguments = (state, data, inputs.take(1))
            if program is None:
                chunk = setup.replicas.map(make_chunk(setup.train_step(task), steps=1))
                program = compiled(chunk, *arguments, deterministic=config.deterministic)
            state, metrics = program(*arguments)
            yield total_loss({name: float(value[0]) for name, value in jax.device_get(metrics).items()})
    finally:
        inputs.close()


def _begin(setup, feed, folder):
    """(Task, data, State) as a run begins; what it would keep in its directory goes into this folder."""
    task = setup.task(*statistics_of(setup, feed, folder))
    state, data = draw_state(setup), feed.data
    if setup.config.finetune.source:
        state, _ = begin_from_source(state, setup.config, setup.plan, setup.replicas)
    if task.begin is not None:
        state = begun(setup, task, feed, state)
    if task.before is not None:
        data = {
            **data,
            **setup.replicas.replicate(recorded_before(setup, task, feed, state, folder, resumed=False)),
        }
    return task, data, state


def _smoothed(losses, steps):
    return ndimage.gaussian_filter1d(np.asarray(losses, np.float64), SMOOTHING * steps, mode="nearest")


def _judged(rates, losses, steps, diverged):
    if len(losses) < LEAST // 2:
        raise InputError(
            f"the loss diverged at the {len(losses) + 1}. step already: begin at a lower rate, or look for what is "
            "not finite with --check (in Python: jaxcnn.teacher_checks)."
        )
    smooth = _smoothed(losses, steps)
    lowest = int(smooth.argmin())
    slope = np.gradient(smooth, np.log(rates))[: lowest + 1]
    falls = slope.min() < 0
    steepest, tenth = (float(rates[slope.argmin()]), float(rates[lowest]) / 10) if falls else (None, None)
    return RateTest(rates, losses, smooth, diverged, steepest, tenth)
