"""Layers that stay as they are: parameters, momentum, average and running statistics, to the bit."""

import contextlib
from collections.abc import Generator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax.traverse_util import flatten_dict
from jax import lax

from jaxcnn.errors import InputError


def select_trained(old: Any, new: Any, factors: Any) -> Any:
    """`new` where the factor is not 0, else `old`; all of `new` where factors is None. Pytrees of one structure."""
    return new if factors is None else jax.tree.map(lambda o, n, factor: n if factor else o, old, new, factors)


def without_gradient(params: Any, factors: Any) -> Any:
    """The parameters, constants for differentiation where their factor is 0: no pass goes back below them."""
    return params if factors is None else select_trained(jax.tree.map(lax.stop_gradient, params), params, factors)


def with_rates(transformation: Any, factors: Any) -> Any:
    """A learning rate for each parameter: its update times its factor, after everything else.

    Where the factor is 0 the transformation's own state of that parameter stays too (momentum, second moment), which
    weight decay would fill. A layer that begins to learn later finds it as it was at the start; Adam's count of steps
    is one for all.

    Args:
      transformation: an optax transformation.
      factors: a pytree of floats like the parameters, or None.
    Returns:
      An optax transformation whose state has the same structure.
    """
    if factors is None:
        return transformation

    def update(grads, state, params):
        updates, new = transformation.update(grads, state, params)
        moves = optax.tree.map_params(
            transformation, lambda _, factor: factor != 0, state, factors, transform_non_params=lambda _: True
        )
        return jax.tree.map(_times, updates, factors), select_trained(state, new, moves)

    return optax.GradientTransformation(transformation.init, update)  # ty: ignore[invalid-argument-type]  params given


def _times(update, factor):
    # not 0.0: added to a parameter of -0.0 it would turn its sign
    return update * factor if factor else jnp.full_like(update, -0.0)


@contextlib.contextmanager
def frozen_statistics(factors: Any) -> Generator[None, None, None]:
    """Inside, modules whose running statistics have the factor 0 normalise by them, as if they did not train.

    Args:
      factors: a pytree of floats like batch_stats, or None.
    Raises:
      InputError: such a module takes neither train nor use_running_average.
    """
    frozen = (
        {} if factors is None else {n.rpartition("/")[0] for n, f in flatten_dict(factors, sep="/").items() if not f}
    )
    if not frozen:
        yield
        return

    def evaluate(call, arguments, options, context):
        name = "/".join(context.module.path)
        if name in frozen and context.method_name == "__call__":
            if "train" in options:
                options = {**options, "train": False}
            elif isinstance(context.module, nn.BatchNorm) and context.module.use_running_average is None:
                options = {**options, "use_running_average": True}
            else:
                raise InputError(
                    f"config.finetune.freeze: the statistics of {name} cannot be frozen: "
                    f"{type(context.module).__name__} is called with neither train=... nor use_running_average=..."
                )
        return call(*arguments, **options)

    with nn.intercept_methods(evaluate):
        yield
