"""The state of a run: everything a step reads and writes, one pytree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxcnn.data import LABEL
from jaxcnn.tasks import init_by_image, own_parts
from jaxcnn.training.config import flatten
from jaxcnn.training.drawing import draw

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from jaxcnn.tasks.task import Kind
    from jaxcnn.training.setup import Setup


@struct.dataclass
class State:
    """All that `train_step(state, batch) -> (state, metrics)` reads and writes.

    Attributes:
      step: int32 scalar, optimizer updates done.
      params: float32 parameters of the model.
      batch_stats: running statistics of batch norm ({} without it), averaged over replicas.
      opt_state: the state of the optax transformation; of a game {player: its state}.
      ema: {"params", "batch_stats"}, the averages of config.optimizer.ema or swa, or None without one.
      key: the run's typed PRNG key; a step folds its number into it and never replaces it.
      hyperparameters: float32 scalars that the step reads as traced values: learning_rate_scale, momentum,
        weight_decay and the numbers of the task's Kind (label_smoothing of classification); dropout where the model has
        it, which is read where the model was not made with the rate 0 (`with_dropout`); augment_magnitude where there
        are operations.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    ema: Any
    key: jax.Array
    hyperparameters: dict


def hyperparameters(config: ConfigDict, kind: Kind, model: Any) -> dict[str, Any]:
    """The numbers of a config that change without recompilation, as float32 scalars."""
    flat = flatten(config)
    values = {
        "learning_rate_scale": 1.0,
        "momentum": config.optimizer.momentum,
        "weight_decay": config.optimizer.weight_decay,
        **{name: flat[key] for name, key in kind.numbers.items()},
    }
    if config.augment.operations:
        values["augment_magnitude"] = config.augment.magnitude
    if hasattr(model, "dropout_rate"):
        values["dropout"] = model.dropout_rate if config.model.dropout is None else config.model.dropout
    return {name: jnp.float32(value) for name, value in values.items()}


def with_dropout(model: Any, numbers: Mapping[str, Any]) -> Any:
    """The model with the dropout rate of `numbers`, a traced value; a model that is made with the rate 0 drops nothing.

    Masks at a traced rate that is always 0 took a quarter of a DenseNet's step.
    """
    if "dropout" not in numbers or (isinstance(model.dropout_rate, (int, float)) and model.dropout_rate == 0):
        return model
    return model.clone(dropout_rate=numbers["dropout"])


def zeros_batch(shape: Sequence[int], fields: Mapping[str, Any], *, count: int = 1) -> dict[str, Any]:
    """A batch of images of zeros, by which a network's parameters are created and its functions traced.

    Args:
      shape: (h, w, c) of an image.
      fields: {name: (shape, dtype)} of what an example holds beside it; uint8 are pixels, which are float32 here.
      count: the number of images.
    """
    types = {name: (own, jnp.float32 if dtype == jnp.uint8 else dtype) for name, (own, dtype) in fields.items()}
    batch = {name: jnp.zeros((count, *own), dtype) for name, (own, dtype) in types.items()}
    batch["image"] = jnp.zeros((count, *shape), jnp.float32)
    return {**batch, "mask": jnp.ones(count, jnp.float32), "index": jnp.arange(count, dtype=jnp.int32)}


def abstract_variables(
    model: Any, shape: Sequence[int], *, init: Callable[..., Any] = init_by_image, fields: Mapping[str, Any] = LABEL
) -> dict[str, Any]:
    """{"params", "batch_stats"} of a model for images of `shape` as ShapeDtypeStructs; nothing is computed.

    Args:
      model: a Linen module.
      shape: (h, w, c) of an image.
      init: of its Task.
      fields: {name: (shape, dtype)} of what an example holds beside its image.
    """
    made = jax.eval_shape(lambda: model.init(jax.random.key(0), zeros_batch(shape, fields), method=init))
    return {name: made.get(name, {}) for name in ("params", "batch_stats")}


def create_state(setup: Setup, optimizers: Mapping[str, Any] | None = None) -> State:
    """The state of a Setup before the first step: parameters drawn from the run's key.

    Args:
      setup: a Setup.
      optimizers: {player: as make_optimizer returns it}; None takes the config's.
    """
    numbers = hyperparameters(setup.config, setup.kind, setup.model)
    return initial_state(jax.random.key(setup.config.seed), numbers, setup, optimizers)


def initial_state(key: jax.Array, numbers: Any, setup: Setup, optimizers: Mapping[str, Any] | None = None) -> State:
    """`create_state` from traced values: a run's key and its hyperparameters."""
    task, optimizers = setup.bare_task, optimizers or setup.optimizers()
    batch = zeros_batch(setup.shape, setup.fields)
    variables = setup.model.init(jax.random.fold_in(key, 0), batch, method=task.init)
    network = {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}
    states = {
        player.name: optimizers[player.name](numbers).init(own_parts(network["params"], player.parts))
        for player in task.players
    }
    return State(
        step=jnp.int32(0),
        **network,
        opt_state=states if len(states) > 1 else next(iter(states.values())),
        ema=jax.tree.map(jnp.copy, network) if setup.averages else None,
        key=jax.random.fold_in(key, 1),
        hyperparameters=numbers,
    )


def state_function(setup: Setup, optimizers: Mapping[str, Any] | None = None) -> Callable[[], State]:
    """`create_state` as a jitted function, whose result lies on all devices of the Setup."""
    return jax.jit(lambda: create_state(setup, optimizers), out_shardings=setup.replicas.replicated)


def draw_state(setup: Setup, optimizers: Mapping[str, Any] | None = None) -> State:
    """`create_state`, computed by programs of its own; on all devices of the Setup."""
    return draw(state_function(setup, optimizers), setup.replicas.replicated)


def state_of_network(config: ConfigDict, kind: Kind, model: Any, variables: Any) -> State:
    """The State of a network that no optimizer has seen.

    Args:
      config: of its run.
      kind: the Kind of the task.
      model: the Linen module.
      variables: {"params", "batch_stats"}.
    """
    return State(
        step=jnp.int32(0),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=(),
        ema=None,
        key=jax.random.key(config.seed),
        hyperparameters=hyperparameters(config, kind, model),
    )
