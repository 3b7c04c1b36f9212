"""The update rules: optax transformations whose numbers are traced, so that changing one never recompiles."""

import jax
import optax

from jaxcnn.errors import InputError, input_errors, look_up


def make_optimizer(config, schedule):
    """A function from the state's hyperparameters to the optax transformation of this config.

    The order is: gradient clipping by global norm, L2 weight decay (w added to the gradient before momentum, as every
    paper of the curriculum has it), momentum or Adam or RMSProp, decoupled weight decay (times the learning rate after
    momentum, Loshchilov and Hutter 2017), the learning rate `schedule(step) * learning_rate_scale`.

    momentum_convention "torch": v = m v + g, w -= rate v; "caffe" (Krizhevsky et al. 2012): v = m v + rate g, w -= v.
    They differ where the rate changes. Decoupled decay is for the torch convention only.
    """
    settings = config.optimizer

    def optimizer(numbers):
        def rate(count):
            return schedule(count) * numbers["learning_rate_scale"]

        decay = optax.add_decayed_weights(numbers["weight_decay"], mask=_mask(settings.decay_mask))
        learn = optax.scale_by_learning_rate(rate)
        clip = [optax.clip_by_global_norm(settings.clip)] if settings.clip else []
        before = [decay] if settings.decay == "l2" else []
        after = [decay] if settings.decay == "decoupled" else []
        if settings.name == "sgd" and settings.momentum_convention == "caffe":
            momentum = optax.trace(numbers["momentum"], nesterov=settings.nesterov)
            return optax.chain(*clip, *before, learn, momentum)
        return optax.chain(*clip, *before, *_direction(settings, numbers), *after, learn)

    return optimizer


def make_optimizers(config, players, schedule):
    """{player: make_optimizer of config.optimizer with the changes of config.optimizers.PLAYER}.

    Among these "rate" is a factor of the learning rate.

    Args:
      config: a run's config.
      players: their names.
      schedule: as make_schedule returns it.
    Raises:
      InputError: there is no such player or key, or a value has another type.
    """
    for name in config.optimizers:
        with input_errors("config.optimizers"):
            look_up(name, table=dict.fromkeys(players), kind="player")
    return {player: _changed(config, player, schedule) for player in players}


def _changed(config, player, schedule):
    own = {**config.optimizers.get(player, {})}
    if not own:
        return make_optimizer(config, schedule)
    rate, config = own.pop("rate", 1.0), config.copy_and_resolve_references()
    for key in own:
        with input_errors(f"config.optimizers.{player}"):
            look_up(key, table=config.optimizer.to_dict(), kind="key")
    try:
        config.optimizer.update(own)
    except TypeError as error:
        raise InputError(f"config.optimizers.{player}: {error}") from error
    optimizer = make_optimizer(config, lambda step: rate * schedule(step))
    fixed = {key: own[key] for key in ("momentum", "weight_decay") if key in own}
    return lambda numbers: optimizer({**numbers, **fixed})


def _direction(settings, numbers):
    if settings.name == "adam":
        return [optax.scale_by_adam(numbers["momentum"], settings.second_moment, settings.epsilon)]
    momentum = optax.trace(numbers["momentum"], nesterov=settings.nesterov)
    if settings.name == "sgd":
        return [momentum]
    tensorflow = settings.rmsprop_convention == "tensorflow"
    rms = optax.scale_by_rms(
        settings.second_moment, settings.epsilon, initial_scale=1.0 if tensorflow else 0.0, eps_in_sqrt=tensorflow
    )
    return [rms, momentum]


def _mask(rule):
    """all: every parameter, as the papers; kernels: only those of rank two and more, no biases, no batch norm."""
    if rule == "all":
        return None
    return lambda params: jax.tree.map(lambda p: p.ndim > 1, params)
