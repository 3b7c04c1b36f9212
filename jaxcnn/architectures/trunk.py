"""The trunk of a larger network: any architecture up to a stage, a map of features."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.errors import look_up
from jaxcnn.operators.dense import Dense


def make_trunk(name: str, options: Mapping[str, Any] | None, **changed: Any) -> nn.Module:
    """The module of an architecture, to be a submodule.

    Args:
      name: of the architecture.
      options: its keyword arguments, or None.
      **changed: attributes that it gets where it has them: dtype, norm.
    """
    from jaxcnn.architectures import create_allowed  # which holds the larger networks too

    trunk = create_allowed(name, **(options or {}))
    attributes: dict[str, Any] = {**changed, "map_size": None}  # images of any size
    return trunk.clone(**{name: value for name, value in attributes.items() if hasattr(trunk, name)})


def maps_of(trunk: nn.Module, x: jax.Array, stage: str, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The map of a stage, and the stages up to it; full connections have no parameters, since they lie behind it.

    Args:
      trunk: as `make_trunk` makes it.
      x: (n, h, w, c), normalised images.
      stage: the name of one of its features.
      train: as the trunk takes it.
    Returns:
      ((n, h', w', c'), {stage: activations}).
    Raises:
      ValueError: there is no such stage, or it is no map.
    """
    with nn.intercept_methods(_without_full_connections):
        _, features = trunk(x, train=train)
    maps = look_up(stage, table=features, kind="stage")
    if maps.ndim != 4:
        raise ValueError(f"stage '{stage}' is of shape {maps.shape[1:]}, no map: one before it fits")
    names = list(features)  # in the order in which they are computed
    return maps, {name: features[name] for name in names[: names.index(stage) + 1]}


def _without_full_connections(call, args, kwargs, context):
    """Zeros in place of a full connection of the trunk: it lies behind the map, and would have parameters."""
    module = context.module
    if context.method_name != "__call__" or not isinstance(module, Dense):
        return call(*args, **kwargs)
    return jnp.zeros((*args[0].shape[:-1], module.features), args[0].dtype)
