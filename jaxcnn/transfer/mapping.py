"""Weights under other names and in another order: a mapping is data, and is followed in either direction.

A mapping is a tuple of entries (their name, our path, transform). `to_variables` uses every tensor of a file exactly
once and fills every parameter; `to_tensors` is its inverse, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.errors import InputError

SHOWN = 12  # names of each kind in an error


class Transform(NamedTuple):
    """A change of layout.

    Attributes:
      forward: their array and our shape -> our array.
      backward: our array -> their array.
    """

    forward: Callable
    backward: Callable


def flatten(channels: int, height: int, width: int, *, square: bool = False) -> Transform:
    """The first full connection behind a convolution: torch and Caffe flatten (c, h, w), we flatten (h, w, c).

    Ours is (h * w * c, out), or (h, w, c, out) where the layer is a convolution; the shape says which.

    Args:
      channels, height, width: of the map that is flattened.
      square: theirs is kept as (out, c, h, w), as in networks made fully convolutional.
    """

    def forward(array, shape):
        array = array.reshape(-1, channels, height, width).transpose(2, 3, 1, 0)
        return array.reshape(shape if len(shape) == 4 else (-1, array.shape[-1]))

    def backward(array):
        array = array.reshape(height, width, channels, -1).transpose(3, 2, 0, 1)
        return array if square else array.reshape(array.shape[0], -1)

    return Transform(forward, backward)


SAME = Transform(lambda array, shape: array, lambda array: array)
LINEAR = Transform(lambda array, shape: array.T, lambda array: array.T)  # (out, in) -> (in, out)
# a full connection as a 1x1 convolution: (out, in, 1, 1) -> (in, out)
POINTWISE = Transform(lambda array, shape: array.reshape(len(array), -1).T, lambda array: array.T[:, :, None, None])
# (out, in / groups, h, w) -> (h, w, in / groups, out)
KERNEL = Transform(lambda array, shape: array.transpose(2, 3, 1, 0), lambda array: array.transpose(3, 2, 0, 1))
# The first convolution of a network that was trained on BGR: its input channels turn round, ours are RGB.
BGR_KERNEL = Transform(
    lambda array, shape: array.transpose(2, 3, 1, 0)[:, :, ::-1],
    lambda array: array[:, :, ::-1].transpose(3, 2, 0, 1),
)


class Entry(NamedTuple):
    """One tensor.

    Attributes:
      name: theirs, "layer1.0.conv1.weight".
      path: ours, ("params", "stage1_block1", "conv1", "kernel").
      transform: from theirs to ours.
    """

    name: str
    path: tuple
    transform: Transform


def path(text: str | Sequence[str]) -> tuple[str, ...]:
    """ "stage1_block1/conv1" as a tuple; a tuple as it is."""
    return tuple(text.split("/")) if isinstance(text, str) else tuple(text)


def convolution(
    name: str, ours: str | tuple[str, ...], *, bias: bool = False, kernel: Transform = KERNEL
) -> tuple[Entry, ...]:
    """The entries of a convolution."""
    return _layer(name, ours, kernel, bias)


def linear(name: str, ours: str | tuple[str, ...], *, kernel: Transform = LINEAR) -> tuple[Entry, ...]:
    """The entries of a full connection."""
    return _layer(name, ours, kernel, True)


def _layer(name, ours, kernel, bias):
    entries = (Entry(f"{name}.weight", ("params", *path(ours), "kernel"), kernel),)
    return entries + ((Entry(f"{name}.bias", ("params", *path(ours), "bias"), SAME),) if bias else ())


def norm(name: str, ours: str | tuple[str, ...], *, scale: bool = True) -> tuple[Entry, ...]:
    """The entries of a batch normalisation; num_batches_tracked has no counterpart here."""
    pairs = {"bias": ("params", "bias"), "running_mean": ("batch_stats", "mean"), "running_var": ("batch_stats", "var")}
    pairs = {"weight": ("params", "scale"), **pairs} if scale else pairs
    return tuple(Entry(f"{name}.{key}", (kind, *path(ours), leaf), SAME) for key, (kind, leaf) in pairs.items())


def ignored(name: str) -> bool:
    """Whether a tensor of torch holds no weights: the counter of updates of a batch norm."""
    return name.rpartition(".")[2] == "num_batches_tracked"


def renamed(tensors: dict[str, np.ndarray], rename: Callable[[str], str]) -> dict[str, np.ndarray]:
    """The tensors under new names; InputError where two get the same one."""
    found = {}
    for name, array in tensors.items():
        if rename(name) in found:
            raise InputError(f"the file has {rename(name)} twice, under an old and a new name.")
        found[rename(name)] = array
    return found


def to_variables(entries: Sequence[Entry], tensors: dict[str, np.ndarray], like: Any, *, where: str = "") -> Any:
    """Fills a network from the tensors of a file.

    Args:
      entries: the mapping.
      tensors: {their name: array}.
      like: {"params": tree, "batch_stats": tree}, ShapeDtypeStructs of the model.
      where: the name of the file or network, for the error.
    Returns:
      As like, float32 arrays.
    Raises:
      InputError: a tensor is missing, left over, used twice, of another shape, no floating point or not finite, or a
        parameter stays empty; the message lists both sides.
    """
    wanted = {_keys(key): leaf for key, leaf in jax.tree_util.tree_leaves_with_path(like)}
    given = {name: array for name, array in tensors.items() if not ignored(name)}
    problems = {
        "only in the mapping, not in the file": [entry.name for entry in entries if entry.name not in given],
        "only in the file": set(given) - {entry.name for entry in entries},
        "only in the mapping, not in the network": ["/".join(e.path) for e in entries if e.path not in wanted],
        "only in the network": ["/".join(key) for key in set(wanted) - {entry.path for entry in entries}],
        "used twice": _twice(entry.name for entry in entries) + _twice("/".join(entry.path) for entry in entries),
    }
    filled = {}
    problems.update({"other shapes": [], "no floating point": [], "not finite": []})
    for entry in entries:
        if entry.name not in given or entry.path not in wanted:
            continue
        array, shape = np.asarray(given[entry.name]), tuple(wanted[entry.path].shape)
        if not jnp.issubdtype(array.dtype, jnp.floating):  # NumPy does not count bfloat16
            problems["no floating point"].append(f"{entry.name} {array.dtype}")
            continue
        ours = _try(entry.transform, array, shape)
        if ours is None or ours.shape != shape:
            problems["other shapes"].append(f"{entry.name} {array.shape} there, {'/'.join(entry.path)} {shape} here")
            continue
        with np.errstate(over="ignore"):  # a float64 above the largest float32 is infinite, and named
            filled[entry.path] = np.ascontiguousarray(ours, np.float32)
        if not np.isfinite(filled[entry.path]).all():
            problems["not finite"].append(entry.name)
    if any(problems.values()):
        raise InputError(f"{where} does not fit. " + " ".join(_listing(kind, p) for kind, p in problems.items() if p))
    return jax.tree_util.tree_map_with_path(lambda key, _: filled[_keys(key)], like)


def to_tensors(entries: Sequence[Entry], variables: Any) -> dict[str, np.ndarray]:
    """{their name: float32 array} of a network's variables, the inverse of to_variables.

    Raises:
      InputError: the mapping and the network have other parameters.
    """
    found = {_keys(key): leaf for key, leaf in jax.tree_util.tree_leaves_with_path(variables)}
    paths = {entry.path for entry in entries}
    if paths != set(found):
        sides = (("only in the mapping", paths - set(found)), ("only in the network", set(found) - paths))
        listed = " ".join(_listing(kind, ["/".join(key) for key in keys]) for kind, keys in sides if keys)
        raise InputError(f"the network cannot be written under these names. {listed}")
    return {
        entry.name: np.ascontiguousarray(entry.transform.backward(np.asarray(found[entry.path]))) for entry in entries
    }


def _keys(key):
    return tuple(part.key for part in key)


def _try(transform, array, shape):
    """The transformed array, None where its rank or size does not allow that."""
    try:
        return transform.forward(array, shape)
    except (ValueError, IndexError):
        return None


def _twice(names):
    seen, twice = set(), []
    for name in names:
        (twice.append if name in seen else seen.add)(name)
    return twice


def _listing(kind, names):
    names = sorted(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{kind[0].upper()}{kind[1:]}: {', '.join(names[:SHOWN])}{more}."
