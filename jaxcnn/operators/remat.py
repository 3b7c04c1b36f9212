"""Rematerialisation: blocks whose inside is computed again in the backward pass instead of being kept."""

from collections.abc import Callable
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
