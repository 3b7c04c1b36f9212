"""From a config to its task: what is learned from the examples of a data set, and how it is measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn import trust
from jaxcnn.data import LABEL
from jaxcnn.errors import InputError, input_errors
from jaxcnn.tasks import About, Player, Task, kind_allowed
from jaxcnn.tasks.metrics import with_metrics

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from jaxcnn.tasks.task import Kind


def make_kind(config: ConfigDict) -> Kind:
    """The Kind of config.task, with the measures of config.metrics.

    Raises:
      InputError: there is no such task or metric, or it is code that the user has not allowed.
    """
    kind = task_kind(config)
    with input_errors("config.metrics"):
        return with_metrics(kind, config.metrics)


def task_kind(config: ConfigDict) -> Kind:
    """The Kind of config.task alone, for whoever does not evaluate; errors as in make_kind."""
    with input_errors("config.task.name"):
        return kind_allowed(config.task.name)


def make_about(
    classes: Iterable[str], shape: Sequence[int], fields: Mapping[str, Any] = LABEL, mean: Any = None, std: Any = None
) -> About:
    """The About of a run's data, without the functions of its config; statistics of None leave images as they are."""
    mean, std = (np.full(shape[2], fill, np.float32) if x is None else x for x, fill in ((mean, 0), (std, 1)))
    return About(tuple(classes), tuple(shape), dict(fields), mean, std)


def make_task(config: ConfigDict, kind: Kind, about: About) -> Task:
    """The Task of a config for these data.

    Raises:
      InputError: an option of config.task.options does not fit.
    """
    name, options = config.task.name, {**config.task.options}
    task = trust.call(kind.create, about, name=name, where="config.task.options", options=options)
    if not isinstance(task, Task):
        raise InputError(f"task {name}: create returns {type(task).__name__}; it returns a jaxcnn.tasks.Task.")
    if not (isinstance(task.players, tuple) and all(type(player) is Player for player in task.players)):
        raise InputError(f"task {name}: players is {task.players!r}; it is a tuple of Players, (Player(...),).")
    return task
