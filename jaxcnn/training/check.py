"""The checks that a teacher asks for before a long run (CS231n, "babysitting the learning process")."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcnn.operators import softmax_cross_entropy
from jaxcnn.training.compilation import use_persistent_cache
from jaxcnn.training.config import default_config
from jaxcnn.training.feed import Feed
from jaxcnn.training.normalise import image_statistics
from jaxcnn.training.setup import set_up
from jaxcnn.training.state import create_state
from jaxcnn.training.step import as_float, make_chunk, make_train_step

IMAGES = 20
STEPS = 400
DECAY = 1e-2


def teacher_checks(config, *, line=print):
    """Runs three checks on a config's own network and data, on one device.

    1. The loss before the first step is that of guessing, ln K within 5 %; for softmax heads.
    2. The objective, loss + decay / 2 * sum of squared weights, rises when the decay goes from 0 to 0.01.
    3. 20 training images are learned to zero error by 400 steps of Adam at 0.001, without augmentation, weight decay,
       label smoothing or dropout.

    Args:
      config: a run's config.
      line: called with a line of text per check.
    Returns:
      [{"check", "passed", "detail"}]; passed is None where a check does not apply.
    """
    use_persistent_cache()
    setup = set_up(_small(config), devices=jax.local_devices()[:1])
    feed = Feed(setup.train, setup.replicas, seed=config.seed)
    task = setup.task(*image_statistics(setup.config, feed))
    batch = setup.train.read(feed.order.records(0, min(config.batch_size, len(setup.train))))
    state = jax.jit(lambda: create_state(setup.config, setup.model, _adam, setup.shape))()
    loss = _loss_at_start(task, state, batch)
    found = [_chance(loss, task), _regularisation(loss, state), _overfit(setup, task, state, feed)]
    for row in found:
        verdict = {True: "passed", False: "FAILED", None: "does not apply"}[row["passed"]]
        line(f"{row['check']}: {verdict} ({row['detail']})")
    return found


def _small(config):
    config = config.copy_and_resolve_references()
    with config.unlocked():
        config.batch_size, config.evaluation.batch_size, config.optimizer.accumulate = IMAGES, 0, 1
        config.augment, config.sampler = default_config().augment, default_config().sampler
        config.loss.label_smoothing, config.model.batch_norm = 0.0, "replica"
    return config


def _adam(_):
    return optax.adam(1e-3)


def _loss_at_start(task, state, batch):
    """The mean loss with the statistics of the batch, as the first step sees it, without dropout."""
    model = task.model.clone(dropout_rate=0.0) if hasattr(task.model, "dropout_rate") else task.model

    @jax.jit
    def loss(params, stats, images, labels):
        (logits, _), _ = model.apply(
            {"params": params, "batch_stats": stats},
            task.normalise(as_float(images)),
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": state.key},
        )
        return jnp.mean(task.loss(logits, jax.nn.one_hot(labels, task.num_classes)))

    return float(loss(state.params, state.batch_stats, batch["image"], batch["label"]))


def _chance(loss, task):
    guessing = math.log(task.num_classes)
    applies = task.loss is softmax_cross_entropy
    return {
        "check": "loss at chance",
        "passed": abs(loss / guessing - 1) <= 0.05 if applies else None,
        "detail": f"{loss:.4f} before the first step, ln {task.num_classes} = {guessing:.4f}",
    }


def _regularisation(loss, state):
    penalty = DECAY / 2 * float(optax.tree.norm(state.params, squared=True))
    return {
        "check": "regularisation raises the objective",
        "passed": loss + penalty > loss,
        "detail": f"{loss:.4f} without weight decay, {loss + penalty:.4f} with {DECAY:g}",
    }


def _overfit(setup, task, state, feed):
    numbers = {name: jnp.zeros_like(v) if name == "dropout" else v for name, v in state.hyperparameters.items()}
    data = setup.replicas.replicate(
        {k: np.asarray(v) for k, v in setup.train.read(feed.order.records(0, IMAGES)).items()}
    )
    state = setup.replicas.replicate(state.replace(hyperparameters=numbers))
    step = make_train_step(task, _adam, optax.constant_schedule(1e-3))
    program = setup.replicas.map(make_chunk(step, steps=1))
    inputs = setup.replicas.shard(
        {"record": np.arange(IMAGES, dtype=np.int32)[None], "mask": np.ones((1, IMAGES), np.float32)}
    )
    seen = int(data["mask"].sum())  # on_error="skip" may have left some out
    right = 0
    number = 0
    while right < seen and number < STEPS:
        number += 1
        state, metrics = program(state, data, inputs)
        right = int(metrics["top1"][0])
    return {
        "check": f"{IMAGES} images are overfitted",
        "passed": right == seen,
        "detail": f"{right} of {seen} right after {number} steps",
    }
