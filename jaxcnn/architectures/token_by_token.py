"""Writing token by token: one step of a network, scanned over the tokens that stand before the wanted ones."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax


def behind_each(advance: Callable[..., Any], module: nn.Module, text: jax.Array, state: Any, *fixed: Any) -> Any:
    """What a network gives behind every token of texts, in one pass.

    Args:
      advance: f(module, state, tokens (n,), *fixed) -> (state, outputs), a step with trees of arrays (n, ...).
      module: the bound network.
      text: (n, l), the tokens before.
      state: of the network before the first.
      *fixed: what every step gets as it is.
    Returns:
      The outputs, (n, l, ...).
    """
    axes: dict[str, Any] = {"in_axes": (1, *(nn.broadcast for _ in fixed)), "out_axes": 1}
    scan = nn.scan(advance, variable_broadcast="params", split_rngs={"params": False}, **axes)
    return scan(module, state, text, *fixed)[1]
