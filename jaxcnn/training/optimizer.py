"""The update rules: optax transformations whose numbers are traced, so that changing one never recompiles."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import optax

from jaxcnn import trust
from jaxcnn.errors import InputError, input_errors, look_up

if TYPE_CHECKING:
    from ml_collections import ConfigDict


def _sgd(numbers, settings):
    return [optax.trace(numbers["momentum"], nesterov=settings.nesterov)]


def _adam(numbers, settings):
    return [optax.scale_by_adam(numbers["momentum"], settings.second_moment, settings.epsilon)]


def _rmsprop(numbers, settings):
    tensorflow = settings.rmsprop_convention == "tensorflow"
    rms = optax.scale_by_rms(
        settings.second_moment, settings.epsilon, initial_scale=1.0 if tensorflow else 0.0, eps_in_sqrt=tensorflow
    )
    return [rms, *_sgd(numbers, settings)]


OURS = {"adam": _adam, "adamw": _adam, "rmsprop": _rmsprop, "sgd": _sgd}  # f(numbers, settings, **options)
# lbfgs searches along the loss, which an update does not see; fromage is not linear in its rate; noisy_sgd has one key;
# the state of sm3 has not the parameters' tree, which frozen layers need; optimistic_adam is deprecated
LEFT_OUT = ("fromage", "lbfgs", "noisy_sgd", "optimistic_adam", "sm3")
OPTAX = {
    f"optax:{name}": function
    for name, function in inspect.getmembers(optax, inspect.isfunction)
    if next(iter(inspect.signature(function).parameters), "") == "learning_rate"
    and not name.startswith(("_", "scale_by"))
    and name not in LEFT_OUT
}
OPTIMIZERS = {**OURS, **OPTAX}
# The keys of config.optimizer that a player may change; the others are of the whole step.
OF_A_PLAYER = (
    *("name", "options", "momentum", "nesterov", "momentum_convention", "second_moment", "epsilon"),
    *("rmsprop_convention", "clip", "max_norm", "weight_decay", "decay", "decay_mask"),
)


def make_optimizer(
    config: ConfigDict, schedule: Callable[..., Any], *, where: str = "config.optimizer"
) -> Callable[..., optax.GradientTransformation]:
    """A function from the state's hyperparameters to the optax transformation of this config.

    The order is: gradient clipping by global norm, L2 weight decay (w added to the gradient before momentum, as every
    paper of the curriculum has it), the direction of the named optimizer, decoupled weight decay (times the learning
    rate after momentum, Loshchilov and Hutter 2017), the learning rate `schedule(step) * learning_rate_scale`, and
    `max_norm` where config.optimizer.max_norm is not 0.

    sgd, adam, rmsprop: momentum, Adam (Kingma and Ba 2014), RMSProp with momentum.
    adamw: Adam whose weight decay is decoupled, whatever config.optimizer.decay says.
    optax:NAME: optax's, made with the options and a rate of 1, which ours multiplies. A weight decay of its own is off
      unless an option sets it. Of config.optimizer it uses clip, max_norm, weight_decay, decay and decay_mask.
    package.module:attribute: f(numbers, **options) -> optax.GradientTransformation, that gives a direction: what is
      subtracted from the parameters, times the learning rate, as optax.scale_by_adam() gives it. `numbers` are
      traced: "momentum", "weight_decay" and others of the state.

    momentum_convention "torch": v = m v + g, w -= rate v; "caffe" (Krizhevsky et al. 2012): v = m v + rate g, w -= v.
    They differ where the rate changes. Decoupled decay is for the torch convention only.

    Args:
      config: a run's config.
      schedule: as make_schedule returns it.
      where: the key that the optimizer stands under, for messages.
    Raises:
      InputError: there is no such optimizer, or an option does not fit.
    """
    settings = config.optimizer
    direction = _direction(settings, where)
    decoupled = settings.decay == "decoupled" or settings.name == "adamw"

    def optimizer(numbers):
        def rate(count):
            return schedule(count) * numbers["learning_rate_scale"]

        decay = optax.add_decayed_weights(numbers["weight_decay"], mask=_mask(settings.decay_mask))
        learn = optax.scale_by_learning_rate(rate)
        clip = [optax.clip_by_global_norm(settings.clip)] if settings.clip else []
        bound = [max_norm(settings.max_norm)] if settings.max_norm else []
        before, after = ([], [decay]) if decoupled else ([decay], [])
        if settings.name == "sgd" and settings.momentum_convention == "caffe":
            return optax.chain(*clip, *before, learn, *direction(numbers), *bound)
        return optax.chain(*clip, *before, *direction(numbers), *after, learn, *bound)

    return optimizer


def max_norm(limit: float) -> optax.GradientTransformation:
    """Shortens updates so that the weights into a unit stay within a ball (Srivastava et al. 2014, section 5.1).

    w + u becomes (w + u) * min(1, limit / |w + u|), |.| over all axes of a kernel but the last; biases and scales,
    which have one axis, are free. It is the last of a chain. Layers with a rate of their own (config.finetune.rates)
    only go that share of the way.

    Args:
      limit: the radius of the ball, positive.
    """

    def bounded(update, weights):
        if weights.ndim < 2:
            return update
        moved = weights + update
        length = jnp.sqrt(jnp.sum(jnp.square(moved), axis=tuple(range(moved.ndim - 1)), keepdims=True))
        return moved * (limit / jnp.maximum(length, limit)) - weights

    def move(updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None) -> tuple:
        return jax.tree.map(bounded, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), move)


def make_optimizers(
    config: ConfigDict, players: Mapping[str, int], schedule: Callable[..., Any]
) -> dict[str, Callable[..., Any]]:
    """{player: make_optimizer of config.optimizer with the changes of config.optimizers.PLAYER}.

    Among these "rate" is a factor of the learning rate. All updates that a player makes in a step have the step's rate.

    Args:
      config: a run's config.
      players: {name: the updates that it makes in a step}.
      schedule: as make_schedule returns it.
    Raises:
      InputError: there is no such player or key, or a value cannot be.
    """
    for name in config.optimizers:
        with input_errors("config.optimizers"):
            look_up(name, table=dict.fromkeys(players), kind="player")
    return {player: _changed(config, player, _by_step(schedule, turns)) for player, turns in players.items()}


def _by_step(schedule, turns):
    """The schedule of a player: optax counts its updates, of which a step has `turns`."""
    return schedule if turns == 1 else lambda count: schedule(count // turns)


def _changed(config, player, schedule):
    if player not in config.optimizers:
        return make_optimizer(config, schedule)
    rate, changed = config_of_player(config, player)
    own, where = config.optimizers[player], f"config.optimizers.{player}"
    optimizer = make_optimizer(changed, lambda step: rate * schedule(step), where=where)
    fixed = {key: own[key] for key in ("momentum", "weight_decay") if key in own}
    return lambda numbers: optimizer({**numbers, **fixed})


def config_of_player(config: ConfigDict, player: str) -> tuple[float, ConfigDict]:
    """(The factor of its learning rate, the config with the changes of config.optimizers.PLAYER in config.optimizer).

    Raises:
      InputError: there is no such key, a value has another type, or the factor cannot be.
    """
    own, where = config.optimizers[player], f"config.optimizers.{player}"
    if not hasattr(own, "items"):
        raise InputError(f"{where} is {own!r}; it holds changes of config.optimizer, as {{'rate': 0.5}}.")
    own = dict(own)
    rate, config = own.pop("rate", 1.0), config.copy_and_resolve_references()
    if "learning_rate" in own:
        raise InputError(f"{where} has a learning_rate; give rate, a factor of config.optimizer.learning_rate.")
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < math.inf:
        raise InputError(f"{where}.rate is {rate!r}; it is a factor of the learning rate, from 0.")
    for key in own:
        with input_errors(where):
            look_up(key, table=dict.fromkeys(("rate", *OF_A_PLAYER)), kind="key")
    try:
        with config.unlocked():
            if {"name", "options"} & own.keys():  # the options of another optimizer are not its own
                config.optimizer.options = own.pop("options", {})
            config.optimizer.update(own)
    except TypeError as error:
        raise InputError(f"{where}: {error}") from error
    return rate, config


def _direction(settings, where):
    """f(numbers) -> [transformation, ...] that gives what is subtracted, times the learning rate."""
    name, options = settings.name, settings.options.to_dict()
    with input_errors(f"{where}.name"):
        function = trust.resolve(name, OPTIMIZERS, kind="optimizer")
    call = functools.partial(trust.call, function, name=name, where=f"{where}.options")
    if name in OURS:
        with input_errors(f"{where}.options"):
            trust.check_options(name, function, options, given=2)
        return functools.partial(function, settings=settings)
    if name in OPTAX:
        decay = {"weight_decay": 0.0} if "weight_decay" in inspect.signature(function).parameters else {}
        made = call(1.0, options={**decay, **options})
        _check_direction(name, lambda numbers: made, where)
        return lambda numbers: [made, optax.scale(-1.0)]  # optax gives what is added

    _check_direction(name, functools.partial(call, options=options), where)
    return lambda numbers: [call(numbers, options=options)]


def _check_direction(name, make, where):
    """Raises InputError where an optimizer does not give an update like its gradients."""
    params = {"kernel": jnp.zeros((2, 2)), "bias": jnp.zeros(2)}
    numbers = dict.fromkeys(("learning_rate_scale", "momentum", "weight_decay", "dropout"), jnp.float32(0.5))

    def updates(numbers, params):
        made = make(numbers)
        if not isinstance(made, optax.GradientTransformation):
            raise InputError(
                f"{where}: {name} returns {type(made).__name__}; it returns an optax.GradientTransformation."
            )
        return made.update(params, made.init(params), params)[0]

    with trust.slips_named(f"{where}: {name} of gradients", name):
        found = jax.eval_shape(updates, numbers, params)
    shapes = [jax.tree.map(lambda x: (x.shape, x.dtype), tree) for tree in (found, params)]
    if shapes[0] != shapes[1]:
        raise InputError(f"{where}: {name} gives updates of other shapes or types than the gradients.")


def _mask(rule):
    """all: every parameter, as the papers; kernels: only those of rank two and more, no biases, no batch norm."""
    if rule == "all":
        return None
    return lambda params: jax.tree.map(lambda p: p.ndim > 1, params)
