"""The network that a run directory holds at one of its checkpoints."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import jax

from jaxcnn.errors import InputError
from jaxcnn.files import local_path
from jaxcnn.progress import waiting
from jaxcnn.training.learning import task_kind
from jaxcnn.training.model import traced_model
from jaxcnn.training.rundir.about import read_data, read_fields
from jaxcnn.training.rundir.checkpoint import Checkpoints
from jaxcnn.training.rundir.directory import read_config
from jaxcnn.training.rundir.named_arrays import named, not_finite


class SavedNetwork(NamedTuple):
    """A network as a checkpoint holds it.

    Attributes:
      config: of its run.
      step: of the checkpoint.
      classes: names, in the order of the labels.
      shape: (h, w, c) of an image.
      fields: {name: (shape, dtype)} of what an example holds beside its image.
      kind: the Kind of its task.
      model: the Linen module.
      variables: {"params", "batch_stats"} on the first device here; averaged weights where the run keeps them.
    """

    config: Any
    step: int
    classes: tuple
    shape: tuple
    fields: dict
    kind: Any
    model: Any
    variables: dict


def read_network(workdir: str | os.PathLike[str], checkpoint: str | int) -> SavedNetwork:
    """The SavedNetwork of a run, whose data set need not be there; code that the user has not allowed is not imported.

    Args:
      workdir: the run directory.
      checkpoint: "best" on the held-out slice, "latest" or a step.
    Raises:
      InputError: no run, no such checkpoint, or one of another architecture, damaged, or with numbers that are not
        finite; or a network of code that is not allowed.
    """
    config = read_config(workdir)
    checkpoints = Checkpoints(local_path(workdir) / "checkpoints", read_only=True)
    with waiting(f"restoring {workdir}"), checkpoints:
        step = checkpoints.resolve(checkpoint)
        classes, shape = read_data(workdir)
        kind, fields = task_kind(config), read_fields(workdir)
        model, made = traced_model(config, shape, classes, fields)
        device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        like = {name: made.get(name, {}) for name in ("params", "batch_stats")}
        like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), like)
        variables = checkpoints.load_network(step, like)
    if bad := not_finite(named(variables)):
        raise InputError(f"checkpoint {step} of {workdir} holds numbers that are not finite: {bad}.")
    return SavedNetwork(config, step, classes, shape, fields, kind, model, variables)
