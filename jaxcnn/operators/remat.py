"""Rematerialisation: blocks whose inside is computed again in the backward pass instead of being kept."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn


def rematerialised(block: Callable[..., Any], wanted: bool, *, static: tuple[int, ...] = (2,)) -> Callable[..., Any]:
    """A module class, or a method, under `nn.remat` where that is wanted; its parameters keep their names.

    Args:
      block: a module class whose __call__ takes (x, train), or a method.
      wanted: False returns the block itself.
      static: places of the arguments that are no arrays, counted with the module at 0; 2 is train.
    """
    return nn.remat(block, static_argnums=static) if wanted else block


def batch_rows(rows: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """The collection "batch", which `Dropout` and `BatchNorm` look up at the root, with its variables in every module.

    Flax makes a module under a lifted transform, such as `nn.remat`, a root of its own. `nn.scan` and `nn.vmap` lift
    the collections that they are told: give variable_broadcast="batch" to the one, variable_axes={"batch": None} to the
    other.

    Args:
      rows: {"position": (n,), "mask": (n,)}, or one of these.
      params: the parameters of the model, nested dicts by module.
    """
    inside = {name: batch_rows(rows, child) for name, child in params.items() if isinstance(child, Mapping)}
    return {**inside, **rows}
