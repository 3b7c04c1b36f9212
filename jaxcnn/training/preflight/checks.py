"""The checks that a teacher asks for before a long run (CS231n, "babysitting the learning process")."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcnn.errors import InputError
from jaxcnn.operators import softmax_cross_entropy
from jaxcnn.training.compilation import compiled, use_persistent_cache
from jaxcnn.training.config import default_config
from jaxcnn.training.feed import Feed
from jaxcnn.training.normalise import image_statistics
from jaxcnn.training.setup import set_up
from jaxcnn.training.state import draw_state
from jaxcnn.training.step import DIVISOR, make_chunk, make_train_step

if TYPE_CHECKING:
    from ml_collections import ConfigDict


IMAGES = 20
STEPS = 400
DECAY = 1.0
SHARE = 0.1  # of the loss at the start, that of a task without a measure of right and wrong


def teacher_checks(config: ConfigDict, *, line: Callable[[str], object] = print) -> list[dict[str, Any]]:
    """Runs three checks on a config's own network, task and data, on one device, with the step that trains.

    1. The loss before the first step is that of guessing, ln K within 5 %; for classification by a softmax.
    2. A step with a weight decay of 1 leaves smaller weights than the same step with none.
    3. 20 training images are learned to zero error by 400 steps of Adam at 0.001, without augmentation, weight decay,
       label smoothing or dropout; where the task has no share of right answers, to a tenth of the first loss.

    Args:
      config: a run's config.
      line: called with a line of text per check.
    Returns:
      [{"check", "passed", "detail"}]; passed is None where a check does not apply.
    Raises:
      InputError: the config cannot be trained, or its task learns from what another network says of the images.
    """
    use_persistent_cache()
    setup = set_up(_small(config), devices=jax.local_devices()[:1])
    if setup.bare_task.before is not None:
        raise InputError(
            f"the checks begin with a new network, but task {config.task.name} learns from what the network that a run "
            "begins with says of its images: they do not apply."
        )
    bench = _Bench(setup, Feed(setup.train, setup.replicas, seed=config.seed))
    first, norms = _at_start(bench)
    found = []
    for check in (lambda: _chance(bench, first), lambda: _decay(norms), lambda: _overfit(bench, first)):
        found.append(row := check())
        verdict = {True: "passed", False: "FAILED", None: "does not apply"}[row["passed"]]
        line(f"{row['check']}: {verdict} ({row['detail']})")
    return found


def _small(config):
    config = config.copy_and_resolve_references()
    with config.unlocked():
        config.batch_size, config.evaluation.batch_size, config.optimizer.accumulate = IMAGES, 0, 1
        for section in ("augment", "sampler", "schedule"):
            config[section] = default_config()[section]
        config.loss.label_smoothing, config.model.batch_norm = 0.0, "replica"
    return config


class _Bench:
    """The train step on 20 images of the training slice, from the state before the first step, without dropout."""

    def __init__(self, setup, feed):
        self.setup, self.task, replicas = setup, setup.task(*image_statistics(setup.config, feed)), setup.replicas
        batch = setup.train.read(feed.order.records(0, IMAGES))
        self.data = replicas.replicate({name: np.asarray(values) for name, values in batch.items()})
        self.seen = int(batch["mask"].sum())  # on_error="skip" may have left some out
        record = np.arange(IMAGES, dtype=np.int32)[None]
        self.inputs = replicas.shard({"record": record, "mask": np.ones((1, IMAGES), np.float32)})

    def state(self, optimizers, **numbers):
        """The first state, with these hyperparameters in place of the config's."""
        state = draw_state(self.setup, optimizers)
        changed = {name: jnp.float32(value) for name, value in numbers.items() if name in state.hyperparameters}
        state = dataclasses.replace(state, hyperparameters={**state.hyperparameters, **changed})
        return self.setup.replicas.replicate(state)

    def step(self, optimizers, schedule):
        """f(state) -> (state, metrics) of the step, compiled as a run compiles it."""
        made = make_train_step(self.setup.model, self.task, optimizers, schedule)
        mapped = self.setup.replicas.map(make_chunk(made, steps=1), donate=False)
        arguments = (self.state(optimizers), self.data, self.inputs)
        program = compiled(mapped, *arguments, deterministic=self.setup.config.deterministic)

        def step(state):
            state, metrics = program(state, self.data, self.inputs)
            return state, {name: float(value[0]) for name, value in metrics.items()}

        return step


def _at_start(bench):
    """(Metrics of the first step without weight decay, the norm of the weights after it with and without)."""
    optimizers = bench.setup.optimizers()
    step = bench.step(optimizers, bench.setup.schedule())
    plain, decayed = (step(bench.state(optimizers, dropout=0.0, weight_decay=decay))[1] for decay in (0.0, DECAY))
    return plain, (decayed["parameter_norm"], plain["parameter_norm"])


def _chance(bench, metrics):
    classes = len(bench.setup.classes)
    applies = bench.setup.config.task.name == "classification" and bench.setup.loss is softmax_cross_entropy
    loss, guessing = total_loss(metrics), math.log(classes) if classes else math.nan
    return {
        "check": "loss at chance",
        "passed": abs(loss / guessing - 1) <= 0.05 if applies else None,
        "detail": f"{loss:.4f} before the first step, ln {classes} = {guessing:.4f}",
    }


def _decay(norms):
    decayed, plain = norms
    return {
        "check": "weight decay shrinks the weights",
        "passed": decayed < plain,
        "detail": f"norm {plain:.4f} after a step without weight decay, {decayed:.4f} with {DECAY:g}",
    }


def total_loss(metrics: Mapping[str, float]) -> float:
    """The losses of all players at a step, a mean over the images each, added up, of {metric: float}."""
    names = [name for name in metrics if name.rpartition("/")[2] == "loss"]
    return sum(metrics[name] / (metrics.get(name + DIVISOR, metrics["seen"]) or 1.0) for name in names)


def _overfit(bench, first):
    kind, number = bench.setup.kind, 0
    optimizers = {player.name: lambda _: optax.adam(1e-3) for player in bench.task.players}
    step, state = bench.step(optimizers, optax.constant_schedule(1e-3)), bench.state(optimizers, dropout=0.0)
    shares = [name for name in kind.selects[:1] if name in first and kind.measures[name].unit == "points"]
    learned, detail = False, ""
    while not learned and number < STEPS:
        number += 1
        state, metrics = step(state)
        if shares:
            right = int(metrics[shares[0]])
            learned, detail = right == bench.seen, f"{right} of {bench.seen} right"
        else:
            loss, least = total_loss(metrics), SHARE * total_loss(first)
            learned, detail = loss <= least, f"loss {loss:.4f}, at first {total_loss(first):.4f},"
    return {"check": f"{IMAGES} images are overfitted", "passed": learned, "detail": f"{detail} after {number} steps"}
