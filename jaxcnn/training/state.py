"""The state of a run: everything a step reads and writes, one pytree."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct


@struct.dataclass
class State:
    """What `train_step(state, batch) -> (state, metrics)` maps.

    Attributes:
      step: int32 scalar, optimizer updates done.
      params: float32 parameters of the model.
      batch_stats: running statistics of batch norm ({} without it), averaged over replicas.
      opt_state: the state of the optax transformation.
      ema: {"params", "batch_stats"}, the averages of both, or None where config.optimizer.ema is 0.
      key: the run's typed PRNG key; a step folds its number into it and never replaces it.
      hyperparameters: float32 scalars that the step reads as traced values: learning_rate_scale, momentum,
        weight_decay, label_smoothing; dropout where the model has it, augment_magnitude where there are operations.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    ema: Any
    key: jax.Array
    hyperparameters: dict


def hyperparameters(config, model):
    """The numbers of a config that change without recompilation, as float32 scalars."""
    values = {
        "learning_rate_scale": 1.0,
        "momentum": config.optimizer.momentum,
        "weight_decay": config.optimizer.weight_decay,
        "label_smoothing": config.loss.label_smoothing,
    }
    if config.augment.operations:
        values["augment_magnitude"] = config.augment.magnitude
    if hasattr(model, "dropout_rate"):
        values["dropout"] = model.dropout_rate if config.model.dropout is None else config.model.dropout
    return {name: jnp.float32(value) for name, value in values.items()}


def abstract_variables(model, shape):
    """{"params", "batch_stats"} of a model for images of `shape` as ShapeDtypeStructs; nothing is computed."""
    made = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *shape)), train=False))
    return {name: made.get(name, {}) for name in ("params", "batch_stats")}


def create_state(config, model, optimizer, shape):
    """The state before the first step: parameters drawn from the run's key.

    Args:
      config: a run's config.
      model: a Linen module that returns (logits, features).
      optimizer: as make_optimizer returns it.
      shape: (h, w, c) of an image.
    """
    numbers = hyperparameters(config, model)
    return initial_state(jax.random.key(config.seed), numbers, model, optimizer, shape, ema=config.optimizer.ema > 0)


def initial_state(key, numbers, model, optimizer, shape, *, ema):
    """`create_state` from traced values: a run's key and its hyperparameters; ema says whether an average is kept."""
    variables = model.init(jax.random.fold_in(key, 0), jnp.zeros((1, *shape), jnp.float32), train=False)
    network = {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}
    return State(
        step=jnp.int32(0),
        **network,
        opt_state=optimizer(numbers).init(network["params"]),
        ema=jax.tree.map(jnp.copy, network) if ema else None,
        key=jax.random.fold_in(key, 1),
        hyperparameters=numbers,
    )
