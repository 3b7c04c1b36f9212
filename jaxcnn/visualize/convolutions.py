"""The convolutions of a network: their kernels by module path or stage, and what they read."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.analysis import analyse
from jaxcnn.errors import MANY, nearest


class Convolution(NamedTuple):
    """A convolution of a network.

    Attributes:
      path: of its module.
      kernel: (kh, kw, c_in / groups, c_out) float32.
      groups: number.
      image: whether it is the first one, which reads the image.
    """

    path: str
    kernel: Any
    groups: int
    image: bool


def convolutions(model: Any, variables: Any, shape: Sequence[int]) -> dict[str, Convolution]:
    """The convolutions of a network: every module with a kernel (kh, kw, c_in / groups, c_out) that is called on maps.

    The absent connections of a partially connected convolution (LeCun et al. 1998, table I) are zero in its kernel.

    Args:
      model, variables: the network.
      shape: (h, w, c) of an image.
    Returns:
      {path: Convolution}, in the order of the calls.
    """
    found = {}

    def note(call, arguments, options, context):
        module, x = context.module, arguments[0] if arguments else None
        if context.method_name == "__call__" and getattr(x, "ndim", 0) == 4:
            kernel = module.variables.get("params", {}).get("kernel")
            if kernel is not None and len(kernel.shape) in (3, 4):
                kernel = _kernel_of(variables, module.path)
                if kernel.ndim == 3 and hasattr(module, "table"):
                    kernel = _scattered(kernel, module.table, x.shape[3])
                if kernel.ndim == 4:
                    name = "/".join(module.path)
                    found[name] = Convolution(name, kernel, x.shape[3] // kernel.shape[2], not found)
        return call(*arguments, **options)

    with nn.intercept_methods(note):
        jax.eval_shape(lambda v, x: model.apply(v, x, train=False), variables, jnp.zeros((1, *shape)))
    return found


def _kernel_of(variables, path):
    module = functools.reduce(lambda tree, key: tree[key], path, variables["params"])
    return np.asarray(module["kernel"], np.float32)


def _scattered(kernel, table, channels):
    """(kh, kw, connections) as (kh, kw, channels, maps)."""
    dense, place = np.zeros((*kernel.shape[:2], channels, len(table)), np.float32), 0
    for output, row in enumerate(table):
        for channel in row:
            dense[:, :, channel, output] = kernel[:, :, place]
            place += 1
    return dense


def find_convolution(model: Any, variables: Any, shape: Sequence[int], name: str | None = None) -> Convolution:
    """One convolution of a network, by its module path or by the stage that it makes.

    Args:
      model, variables, shape: as in `convolutions`.
      name: None for the first one.
    Returns:
      A `Convolution`.
    Raises:
      ValueError: there is none of this name; the message lists them.
    """
    found = convolutions(model, variables, shape)
    if not found:
        raise ValueError("this network has no convolution")
    if name is None:
        return next(iter(found.values()))
    if name in found:
        return found[name]
    layers = {layer.name: layer for layer in analyse(model, shape, variables=variables).layers}
    layer = next((layer for layer in layers.values() if layer.stage == name), None)
    while layer and layer.name not in found and layer.kind == "elementwise" and len(layer.inputs) == 1:
        layer = layers[layer.inputs[0]]
    if layer and layer.name in found:
        return found[layer.name]
    listing = nearest(name, found) if len(found) <= MANY else f"known: {len(found)}, such as {', '.join([*found][:3])}"
    if layer:
        maker = f"{layer.name} ({layer.kind})"
        raise ValueError(f"stage {name!r} is made by {maker}, which is no convolution; {listing}")
    raise ValueError(f"there is no convolution {name!r}; {listing}")


def towers(model: Any, variables: Any, shape: Sequence[int], path: str) -> int:
    """Into how many groups the convolutions that read a layer's maps divide them; 1 where they do not (or disagree).

    AlexNet's first layer has no groups itself, but half of its maps go to each of the two towers.
    """
    found = convolutions(model, variables, shape)
    layers = analyse(model, shape, variables=variables).layers
    reached, groups = {path}, set()
    for layer in layers:
        if not reached.isdisjoint(layer.inputs):
            if layer.name in found:
                groups.add(found[layer.name].groups)
            elif layer.kind != "dense":
                reached.add(layer.name)
    return groups.pop() if len(groups) == 1 else 1
