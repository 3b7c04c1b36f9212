"""Learning-rate schedules over steps, and the decay on a plateau that the host decides after an evaluation."""

from __future__ import annotations

import collections
import dataclasses
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcnn import trust
from jaxcnn.errors import InputError, input_errors
from jaxcnn.training.duration import DURATION, duration_in_steps

if TYPE_CHECKING:
    from ml_collections import ConfigDict


class Course(NamedTuple):
    """The numbers that a schedule of ours is made of.

    Attributes:
      base: the learning rate.
      length: steps of the run after the warm-up, at whose end a schedule counts from 0.
      boundaries: config.schedule.boundaries, in these steps.
      factor: config.schedule.factor.
    """

    base: float
    length: int
    boundaries: list
    factor: float


def _constant(course):
    return optax.constant_schedule(course.base)


def _step(course):
    counted = collections.Counter(course.boundaries)  # of a short run two may fall on one step
    return optax.piecewise_constant_schedule(course.base, {b: course.factor**n for b, n in counted.items()})


def _cosine(course):
    return optax.cosine_decay_schedule(course.base, max(course.length, 1))


def _inverse_sqrt(course):
    return lambda step: course.base / jnp.sqrt(step + 1.0)


OURS = {
    "constant": _constant,
    "cosine": _cosine,
    "inverse_sqrt": _inverse_sqrt,
    "plateau": _constant,
    "step": _step,
}
OPTAX = {
    f"optax:{name}": function
    for name, function in inspect.getmembers(optax.schedules, inspect.isfunction)
    if not name.startswith(("_", "inject_", "join_"))
}
SCHEDULES = {**OURS, **OPTAX}


def make_schedule(config: ConfigDict, *, steps_per_epoch: float, total: int) -> Callable[..., Any]:
    """A function from the step (counted from 0, may be traced) to the learning rate before its scale.

    constant: the base rate; also under plateau, which acts through the learning-rate scale.
    step: multiplied by `factor` at each boundary: step s has the lower rate for s >= boundary.
    cosine: base * (1 + cos(pi s / total)) / 2 over the steps after the warm-up (Loshchilov and Hutter 2016).
    inverse_sqrt: base / sqrt(s + 1) over the steps after the warm-up (Kingma and Ba 2014, section 6.1).
    optax:NAME, package.module:attribute: base * f(s), s counted after the warm-up, see `_factors`.
    warmup: base * s / warmup for s < warmup, and lower from a boundary inside it on; boundaries count from the start
      of the run, warm-up included.

    Args:
      config: a run's config.
      steps_per_epoch: records of an epoch over the batch size, a float.
      total: steps of the run.
    Raises:
      InputError: there is no such schedule, or an option does not fit.
    """
    base, schedule = config.optimizer.learning_rate, config.schedule

    def steps(text, key):
        return duration_in_steps(text, key=f"schedule.{key}", steps_per_epoch=steps_per_epoch, total=total)

    warmup, boundaries = steps(schedule.warmup, "warmup"), []
    if schedule.name == "step":
        boundaries = [steps(b, "boundaries") for b in schedule.boundaries]
    # join_schedules counts each part from its own start.
    course = Course(base, total - warmup, [b - warmup for b in boundaries], schedule.factor)
    after = _after(schedule, course, steps_per_epoch)
    if not warmup:
        return after
    before = linear = optax.linear_schedule(0.0, base, warmup)
    if inside := [b for b in boundaries if b < warmup]:
        lower = _step(Course(1.0, warmup, inside, schedule.factor))

        def before(step):
            return linear(step) * lower(step)

    return optax.join_schedules([before, after], [warmup])


def _after(schedule, course, steps_per_epoch):
    """The rate by the steps after the warm-up."""
    if schedule.name in OURS:
        return trust.call(OURS[schedule.name], course, **_named(schedule), options=schedule.options)
    factors = _factors(schedule, max(course.length, 1), steps_per_epoch)
    return lambda step: course.base * factors(step)


def _named(schedule):
    return {"name": schedule.name, "where": "config.schedule.options"}


def _factors(schedule, length, steps_per_epoch):
    """f(step) of a schedule of optax or of the user's own: factors of the learning rate.

    Absolute rates would not do: the runs of a population have one schedule and several learning rates. Options that are
    written as durations, and such keys inside them, become steps; "%" is of the steps after the warm-up.

    optax:NAME is made by its options alone; init_value is 1 where it must be given and is not.
    package.module:attribute is f(total, steps_per_epoch, **options) -> f(step); total counts after the warm-up too.
    """
    name = schedule.name
    with input_errors("config.schedule.name"):
        function = trust.resolve(name, SCHEDULES, kind="schedule")
    options = _in_steps(schedule.options.to_dict(), steps_per_epoch=steps_per_epoch, total=length)
    if name in OPTAX:
        first = inspect.signature(function).parameters.get("init_value")
        start = {"init_value": 1.0} if first is not None and first.default is first.empty else {}
        found = trust.call(function, **_named(schedule), options={**start, **options})
    else:
        found = trust.call(function, length, steps_per_epoch, **_named(schedule), options=options)
    _check_factors(name, found, length)
    return found


def _in_steps(value, **run):
    """Options with durations as steps: "50%" of 10 steps is 5."""
    if isinstance(value, dict):
        return {_in_steps(key, **run): _in_steps(inner, **run) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_in_steps(inner, **run) for inner in value]
    if isinstance(value, str) and DURATION.match(value):
        return duration_in_steps(value, key="schedule.options", **run)
    return value


def _check_factors(name, factors, length):
    """Raises InputError where a schedule is no function from a step, traced too, to a number from 0."""
    if not callable(factors):
        raise InputError(f"config.schedule.name: {name} returns {type(factors).__name__}; it returns f(step).")
    with trust.slips_named(f"config.schedule.name: {name} of a step", name):
        with jax.ensure_compile_time_eval():  # a state may be made inside a traced function
            found = [np.asarray(factors(step)) for step in (0, length // 2, length - 1)]
        found.append(jax.eval_shape(factors, jax.ShapeDtypeStruct((), jnp.int32)))
    if any(value.shape for value in found) or not all(0 <= float(value) < np.inf for value in found[:-1]):
        values = ", ".join(str(np.asarray(value).tolist()) for value in found[:-1])
        raise InputError(
            f"config.schedule.name: {name} gives {values} at the first, the middle and the last step; it gives one "
            "number each, 0 or more, a factor of config.optimizer.learning_rate."
        )


@dataclasses.dataclass(frozen=True)
class Plateau:
    """The lowest held-out error so far, evaluations since, and the scale it has led to; kept in the checkpoint."""

    best: float = float("inf")
    count: int = 0
    scale: float = 1.0

    def update(self, error: float, *, patience: float, factor: float) -> Plateau:
        """After an evaluation: the scale is multiplied by factor once `patience` evaluations brought no lower error."""
        if error < self.best:
            return Plateau(error, 0, self.scale)
        if self.count + 1 < patience:
            return Plateau(self.best, self.count + 1, self.scale)
        return Plateau(self.best, 0, self.scale * factor)
