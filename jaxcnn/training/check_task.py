"""The check of a task on its network, by tracing: what its functions return, before anything is compiled."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxcnn import trust
from jaxcnn.errors import InputError
from jaxcnn.operators.remat import batch_rows
from jaxcnn.tasks import AXIS, Scores, Terms, means_alone
from jaxcnn.training.config import default_config, flatten
from jaxcnn.training.evaluate import check_measures
from jaxcnn.training.learning import make_task
from jaxcnn.training.model import dropout_checked
from jaxcnn.training.state import hyperparameters, zeros_batch

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from jaxcnn.tasks.task import About, Kind


COUNT = 2  # images of the traced batch

# Functions of an About, the keys of the config that make them, and what is true of a task that never calls one.
USES = {
    "mix": (r"augment\.(mixup|cutmix)$", "does not mix images"),
    "augment": (r"augment\.(?!mixup$|cutmix$)", "does not augment images by config.augment"),
    "loss": (r"loss\.(?!auxiliary_weight$)", "has a loss of its own"),
}


def check_task(config: ConfigDict, kind: Kind, model: Any, about: About, variables: Mapping[str, Any]) -> None:
    """Raises InputError for the first function of a task that fails on its network or returns something else.

    So does a value of config.loss or config.augment that is not the default, where the task never uses them.

    Args:
      config, kind, about: of the run.
      model: the Linen module.
      variables: {collection: its ShapeDtypeStructs}, see `traced_model`.
    """
    name = config.task.name
    about, called = _noting(about)
    task = make_task(config, kind, about)
    if not kind.selects and (config.evaluation.patience or config.schedule.name == "plateau"):
        raise InputError(
            f"task {name} names no measure that chooses the best checkpoint (its selects are empty): "
            "config.evaluation.patience and config.schedule.name 'plateau', which wait for a better one, cannot be set."
        )
    if task.whole_batch and config.optimizer.accumulate > 1:
        raise InputError(
            f"config.optimizer.accumulate is {config.optimizer.accumulate}, but the loss of task {name} compares the "
            "images of a whole batch, which cannot be cut into parts: 1 is right."
        )
    numbers = hyperparameters(config, kind, model)
    batch = zeros_batch(about.shape, about.fields, count=COUNT)
    _check_players(name, task, variables["params"])
    for player in task.players:
        with _slips_of(config, f"the objective of {player.name}"):
            own = trust.is_code(config.model.name)
            with dropout_checked(model, config.model.name) if own else contextlib.nullcontext():
                terms = _on_an_axis(lambda v: _objective(task, player, model, numbers, batch, v), variables)  # noqa: B023
        _check_terms(name, kind, player.name, terms, game=len(task.players) > 1)
    if task.begin is not None:
        with _slips_of(config, "record of begin"):
            jax.eval_shape(lambda v: model.apply(v, batch, method=task.begin.record), variables)
    with _slips_of(config, "score of infer"):
        scores = _on_an_axis(lambda v: _scores(task, model, batch, v), variables)
    if not isinstance(scores, Scores):
        raise InputError(f"task {name}: score returns {type(scores).__name__}; it returns Scores(means, sums, rows).")
    for key, values in scores.means.items():
        _check_shapes(name, f"mean '{key}' of score", values)
    if task.finish is means_alone:
        check_measures(kind, (*scores.means, *task.undefined))
    if task.describe is not None:
        with _slips_of(config, "infer, of images alone, as predict calls it"):
            images = {name: batch[name] for name in ("image", *task.reads)}
            jax.eval_shape(lambda v: model.apply(v, images, method=task.infer), variables)
    _check_used(config, kind, called)
    for key, values in scores.rows.items():
        if values.shape[:1] != (COUNT,):
            raise InputError(f"task {name}: row {key!r} of score has shape {values.shape}, not ({COUNT}, ...).")


def _noting(about):
    """(The About, the set of those of its functions, by name, that have been called since)."""
    called = set()

    def noting(name, function):
        def noted(*args):
            called.add(name)
            return function(*args)

        return noted

    there = {name: getattr(about, name) for name in USES}
    return about._replace(**{name: noting(name, own) for name, own in there.items() if own is not None}), called


def _check_used(config, kind, called):
    given, defaults = flatten(config), flatten(default_config())
    for function, (pattern, what) in USES.items():
        changed = [key for key in given if re.match(pattern, key) and given[key] != defaults.get(key)]
        unused = [f"config.{key}" for key in changed if key not in kind.numbers.values()]
        if unused and function not in called:
            raise InputError(
                f"task {config.task.name} {what}: {', '.join(unused)} would do nothing, and must be left at the "
                "default. What this task can change is in config.task.options."
            )


def _slips_of(config, function):
    """Names the errors of the user's own code, under the name of their task or else of their network."""
    task, network = config.task.name, config.model.name
    if trust.is_code(task) or not trust.is_code(network):
        return trust.slips_named(f"task {task}: {function}", task)
    return trust.slips_named(f"architecture {network} in training", network)


def _on_an_axis(function, variables):
    """The shapes that a function of one replica returns."""
    mapped = jax.vmap(function, in_axes=None, axis_name=AXIS, axis_size=1, out_axes=None)
    return jax.eval_shape(mapped, variables)


def _objective(task, player, model, numbers, batch, variables):
    keys, position = jax.random.split(jax.random.key(0), COUNT), jnp.arange(COUNT)
    if task.before is not None:
        batch = {**batch, **model.apply(variables, batch, method=task.before)}
    given = {**batch, "position": position}
    batch = jax.vmap(task.prepare, (0, 0, None))(keys, given, numbers)
    if lost := [name for name in ("image", "mask", "index") if name not in batch]:
        raise ValueError(f"prepare drops {', '.join(lost)} of its example; return {{**example, ...}}")
    batch = batch | {"key": keys}
    batch = batch if task.mix is None else task.mix(keys[0], batch, numbers)
    rows = batch_rows({"position": position, "mask": batch["mask"]}, variables["params"])
    state = {**variables, "batch": rows}
    options = {"mutable": ["batch_stats"], "rngs": {"dropout": keys[0]}}
    # traced here at every rate, as in a population
    cloned = model.clone(dropout_rate=numbers["dropout"]) if "dropout" in numbers else model
    return cloned.apply(state, batch, numbers, method=player.objective, **options)[0]


def _scores(task, model, batch, variables):
    batch = task.inputs(batch)
    return task.score(model.apply(variables, batch, method=task.infer), batch)


def _check_terms(name, kind, player, terms, *, game):
    where = f"the objective of {player}"
    if not isinstance(terms, Terms):
        raise InputError(f"task {name}: {where} returns {type(terms).__name__}; it returns Terms(loss (n,), means).")
    _check_shapes(name, f"loss of {where}", terms.loss if terms.weight is None else (terms.loss, terms.weight))
    prefix = f"{player}/" if game else ""
    for key, values in {"loss": terms.loss, **terms.means}.items():
        _check_shapes(name, f"mean '{key}' of {where}", values)
        if prefix + key not in kind.measures:
            raise InputError(
                f"task {name}: {where} gives a mean '{key}', but the measures of its Kind are "
                f"{', '.join(kind.measures)}: add '{prefix + key}' to them."
            )


def _check_shapes(name, what, values):
    for value in values if isinstance(values, tuple) else (values,):
        if value.shape != (COUNT,):
            raise InputError(
                f"task {name}: {what} has shape {value.shape} for {COUNT} images; it has a value for each, ({COUNT},)."
            )


def _check_players(name, task, params):
    for player in task.players:
        if missing := [part for part in player.parts if part not in params]:
            raise InputError(
                f"task {name}: player {player.name} moves {', '.join(missing)}, but the network has the parameters "
                f"{', '.join(params)} at its top."
            )
