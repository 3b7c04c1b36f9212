"""The network that a run begins with: that of another run, under a new head."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from jaxcnn.errors import InputError, nearest
from jaxcnn.training.finetune.plan import Plan, by_name, matches
from jaxcnn.training.rundir.about import read_statistics
from jaxcnn.training.rundir.code import warn_of_changed_code
from jaxcnn.training.rundir.named_arrays import compare
from jaxcnn.training.rundir.network import read_network

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from jaxcnn.training.parallel import Replicas
    from jaxcnn.training.state import State


def begin_from_source(state: State, config: ConfigDict, plan: Plan, replicas: Replicas) -> tuple[State, int]:
    """The State with the source's network in place of what was drawn, but for the head.

    Args:
      state: the State before the first step; parameters, statistics and average are replaced.
      config: of the run.
      plan: its Plan.
      replicas: the devices.
    Returns:
      The State, and the step of the source's checkpoint.
    Raises:
      InputError: no such run or checkpoint, or its network has other tensors (lists both sides).
    """
    settings = config.finetune
    source = read_network(settings.source, settings.checkpoint)
    warn_of_changed_code(settings.source, source.config, set())
    ours, given = {}, {}
    names = {name for tree in source.variables.values() for name in flatten_dict(tree, sep="/")}
    for pattern in settings.drop:
        _check_found("drop", pattern, [name for name in names if matches(name, pattern)], names)
    for pattern, new in settings.rename:
        renames = [name for name in names if _new_name(name, ((pattern, new),)) != name]
        _check_found("rename", pattern, renames or pattern == new, names)
    for key in ("params", "batch_stats"):
        tensors = renamed(flatten_dict(source.variables[key], sep="/"), settings.rename, settings.drop).items()
        given |= {f"{key}/{name}": tensor for name, tensor in tensors if name not in plan.head}
        tensors = flatten_dict(getattr(state, key), sep="/").items()
        ours |= {f"{key}/{name}": tensor for name, tensor in tensors}
    kept = {name: tensor for name, tensor in ours.items() if name.partition("/")[2] not in plan.head}
    compare(given, kept, f"{settings.source}, checkpoint {source.step}, under the new head {', '.join(plan.head)},")
    made = {**ours, **replicas.replicate(jax.tree.map(np.asarray, given))}
    network = by_name({"params": state.params, "batch_stats": state.batch_stats}, made)
    network = {"batch_stats": {}, **network}
    average = None if state.ema is None else jax.tree.map(lambda x: x.copy(), network)
    return state.replace(**network, ema=average), source.step  # ty: ignore[missing-attribute]  of flax.struct


def _check_found(key, pattern, found, names):
    if not found:
        modules = {name.rpartition("/")[0] for name in names}
        raise InputError(
            f"config.finetune.{key}: '{pattern}' matches no parameter of the source; {nearest(pattern, modules)}"
        )


def renamed(tensors: Mapping[str, Any], rename: Sequence[Sequence[str]], drop: Sequence[str]) -> dict[str, Any]:
    """The tensors of a source under the names that they have in this network.

    Args:
      tensors: {name: array}.
      rename: ((pattern, new name), ...): the first pattern that matches counts, and the text that its * stands for
        takes the place of the * of the new name.
      drop: patterns of names that are left out, as the source has them.
    """
    kept = {name: x for name, x in tensors.items() if not any(matches(name, pattern) for pattern in drop)}
    return {_new_name(name, rename): x for name, x in kept.items()}


def _new_name(name, rename):
    for pattern, new in rename:
        start, star, end = pattern.partition("*")
        if name == pattern:
            return new
        if star and len(name) >= len(start) + len(end) and name.startswith(start) and name.endswith(end):
            return new.replace("*", name[len(start) : len(name) - len(end)], 1)
    return name


def source_statistics(config: ConfigDict, shape: Sequence[int]) -> tuple[Any, Any] | None:
    """(mean, std) that the source's images are normalised by: its features were learned under them.

    Returns:
      None without a source, or where config.data.mean or std says something else than "channel".
    Raises:
      InputError: the source has none, or a mean image of another shape.
    """
    source = config.finetune.source
    if not source or (config.data.mean, config.data.std) != ("channel", "channel"):
        return None
    found = read_statistics(source)
    if found is None:
        raise InputError(f"config.finetune.source: {pathlib.Path(source)} is not a run directory that was trained in.")
    mean, _ = found
    if mean.ndim == 3 and mean.shape != shape:
        raise InputError(
            f"config.finetune.source: {source} subtracts a mean image of {mean.shape}, but the images have {shape}. "
            "Give config.data.image_size that size, or config.data.mean numbers."
        )
    return found
