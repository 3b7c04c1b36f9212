"""Learning-rate schedules over steps, and the decay on a plateau that the host decides after an evaluation."""

import collections
import dataclasses

import optax

from jaxcnn.training.validate import duration_in_steps


def make_schedule(config, *, steps_per_epoch, total):
    """A function from the step (counted from 0, may be traced) to the learning rate before its scale.

    constant: the base rate; also under plateau, which acts through the learning-rate scale.
    step: multiplied by `factor` at each boundary: step s has the lower rate for s >= boundary.
    cosine: base * (1 + cos(pi s / total)) / 2 over the steps after the warm-up (Loshchilov and Hutter 2016).
    warmup: base * s / warmup for s < warmup, and lower from a boundary inside it on; boundaries count from the start
      of the run, warm-up included.

    Args:
      config: a run's config.
      steps_per_epoch: records of an epoch over the batch size, a float.
      total: steps of the run.
    """
    base, schedule = config.optimizer.learning_rate, config.schedule

    def steps(text, key):
        return duration_in_steps(text, key=f"schedule.{key}", steps_per_epoch=steps_per_epoch, total=total)

    def lowered(start, boundaries):
        counted = collections.Counter(boundaries)  # of a short run two may fall on one step
        return optax.piecewise_constant_schedule(start, {b: schedule.factor**n for b, n in counted.items()})

    warmup, boundaries = steps(schedule.warmup, "warmup"), []
    if schedule.name == "step":
        boundaries = [steps(b, "boundaries") for b in schedule.boundaries]
        # join_schedules counts each part from its own start.
        after = lowered(base, [b - warmup for b in boundaries])
    elif schedule.name == "cosine":
        after = optax.cosine_decay_schedule(base, max(total - warmup, 1))
    else:
        after = optax.constant_schedule(base)
    if not warmup:
        return after
    before = linear = optax.linear_schedule(0.0, base, warmup)
    if inside := [b for b in boundaries if b < warmup]:
        lower = lowered(1.0, inside)

        def before(step):
            return linear(step) * lower(step)

    return optax.join_schedules([before, after], [warmup])


@dataclasses.dataclass(frozen=True)
class Plateau:
    """The lowest held-out error so far, evaluations since, and the scale it has led to; kept in the checkpoint."""

    best: float = float("inf")
    count: int = 0
    scale: float = 1.0

    def update(self, error, *, patience, factor):
        """After an evaluation: the scale is multiplied by factor once `patience` evaluations brought no lower error."""
        if error < self.best:
            return Plateau(error, 0, self.scale)
        if self.count + 1 < patience:
            return Plateau(self.best, self.count + 1, self.scale)
        return Plateau(self.best, 0, self.scale * factor)
