"""Answers of the network that a run begins with to the training images, recorded once.

They become fields of every batch (Task.before), or the network is changed by them (Task.begin).
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax import lax
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from jaxcnn.errors import InputError
from jaxcnn.files import damage_named, replaced
from jaxcnn.tasks import AXIS
from jaxcnn.tasks.pixels import as_float
from jaxcnn.training.parallel import hold_back
from jaxcnn.training.state import zeros_batch
from jaxcnn.training.step import assemble_batch

if TYPE_CHECKING:
    from jaxcnn.tasks.task import Task
    from jaxcnn.training.feed import Feed
    from jaxcnn.training.setup import Setup
    from jaxcnn.training.state import State


RECORDED = "responses.safetensors"


def recorded_before(
    setup: Setup, task: Task, feed: Feed, state: State, workdir: pathlib.Path, *, resumed: bool
) -> dict[str, Any]:
    """{field: (n, ...)} of task.before for the training images as they are stored: recorded, or read again.

    They lie in the run directory: a run that is resumed learns from those of the network that it began with.

    Args:
      setup: a Setup.
      task: its Task.
      feed: the training Feed, which is resident.
      state: the State before the first step.
      workdir: the run directory.
      resumed: whether the run has begun before.
    Raises:
      InputError: the training images are streamed, or cut at random; what was recorded is damaged or not there.
    """
    name = setup.config.task.name
    if not feed.resident:
        raise InputError(
            f"task {name} records what the network says of images that lie on the device, but these are streamed. "
            "config.data.resident='yes' puts them there."
        )
    _check_whole(setup)
    path = workdir / RECORDED
    if not resumed:
        found = _record(setup, task.before, feed, state)
        if jax.process_index() == 0:
            with replaced(path) as temporary:
                safetensors.save_file(found, temporary)
        return found
    with damage_named(path, "Restore it: the network that it is of has learnt since. Or begin in another workdir."):
        try:
            return safetensors.load_file(path)
        except (OSError, SafetensorError) as error:
            raise ValueError(error) from error


def blank_before(setup: Setup, task: Task, feed: Feed, state: State) -> dict[str, Any]:
    """What `recorded_before` returns, zeros everywhere: for a step that is compiled and not run."""
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    batch = zeros_batch(setup.shape, setup.fields)
    found = jax.eval_shape(lambda v: setup.model.apply(v, batch, method=task.before), variables)
    return {name: np.zeros((len(feed.records), *x.shape[1:]), x.dtype) for name, x in found.items()}


def begun(setup: Setup, task: Task, feed: Feed, state: State) -> State:
    """The State before the first step with the network changed by task.begin.

    A run that is resumed has it in its checkpoint.

    Args:
      setup, task, feed, state: as in `recorded_before`; the images may be streamed.
    Raises:
      InputError: the training images are cut at random, or do not suffice.
    """
    _check_whole(setup)
    recorded = _record(setup, task.begin.record, feed, state)
    variables = jax.device_get({"params": state.params, "batch_stats": state.batch_stats})
    network = setup.replicas.replicate(task.begin.change(variables, recorded))
    average = None if state.ema is None else jax.tree.map(lambda x: x.copy(), network)
    return state.replace(**network, ema=average)  # ty: ignore[missing-attribute]  of flax.struct


def _check_whole(setup):
    if setup.config.augment.crop != "none":
        raise InputError(
            f"task {setup.config.task.name} records what the network says of whole images, once; config.augment.crop "
            "would ask for other ones."
        )


def _record(setup, function, feed, state):
    """{name: (n, ...)} of f(module, batch) on the training images as they are stored."""

    def record(variables, data, inputs):
        batch = assemble_batch(data, jax.tree.map(lambda x: x[0], inputs))
        batch = {name: as_float(x) if x.dtype == np.uint8 else x for name, x in batch.items()}
        found = setup.model.apply(variables, batch, method=function)
        return (), lax.all_gather(found, AXIS, tiled=True)

    program = setup.replicas.map_evaluation(record)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    size = setup.config.evaluation.batch_size
    parts = []
    for inputs in feed.evaluation(batch_size=size):
        parts.append(program(variables, feed.data, inputs)[1])
        hold_back(parts)
    parts = jax.device_get(parts)
    return {name: np.concatenate([part[name] for part in parts])[: len(feed.records)] for name in parts[0]}
