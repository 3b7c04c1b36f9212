"""Metrics of the user's own, measured beside those of a task: config.metrics."""

import functools
from collections.abc import Sequence

import jax.numpy as jnp

from jaxcnn import trust
from jaxcnn.errors import InputError
from jaxcnn.tasks.task import Kind, Measure

FIELDS = ("unit", "higher_is_better", "log", "label")  # of Measure, as attributes of a metric


def with_metrics(kind: Kind, names: Sequence[str]) -> Kind:
    """A Kind that has a measure more for each metric, on every split that is evaluated.

    A metric is a function f(outputs, batch) of what the task infers and the batch that it is inferred from. It returns
    (n,), whose mean over images is the measure, or (numerators (n,), divisors (n,)), whose sums are divided. Where f
    has an attribute `finish`, it returns (n, ...), and finish(sum over the images of the split) -> float on the host is
    the measure: a confusion matrix, say. Other attributes that are read are those of Measure: unit, higher_is_better,
    log and label. The measure's name is the attribute's behind the colon.

    Args:
      kind: a Kind.
      names: `package.module:attribute` each, which the user has allowed.
    Raises:
      InputError: a name is not allowed, or names something else, or two measures have one name.
    """
    found = {}
    for name in names:
        metric, own = trust.resolve(name, {}, kind="metric"), name.partition(":")[2]
        if own in kind.measures or own in found:
            raise InputError(f"config.metrics: '{name}' would be a second measure '{own}': give it another name.")
        found[own] = name, metric
    if not found:
        return kind
    measures = {own: _measure(own, metric) for own, (_, metric) in found.items()}
    return kind._replace(measures={**kind.measures, **measures}, create=functools.partial(_create, kind, found))


def _measure(name, metric):
    said = {field: getattr(metric, field) for field in FIELDS if hasattr(metric, field)}
    return Measure(**{"label": name.replace("_", " "), **said})


def _create(kind, metrics, about, **options):
    task = kind.create(about, **options)
    return task._replace(
        score=functools.partial(_score, task, metrics), finish=functools.partial(_finish, task, metrics)
    )


def _score(task, metrics, outputs, batch):
    scores = task.score(outputs, batch)
    means, sums = dict(scores.means), dict(scores.sums)
    for own, (name, metric) in metrics.items():
        with trust.slips_named(f"metric {name}", name):
            values = metric(outputs, batch)
        _check_returned(name, values, finishes=hasattr(metric, "finish"))
        if hasattr(metric, "finish"):
            if values.shape[:1] != batch["mask"].shape:
                count = len(batch["mask"])
                raise InputError(
                    f"metric {name} gives {values.shape} for {count} images; it has a row for each, ({count}, ...)."
                )
            there = batch["mask"].reshape(-1, *[1] * (values.ndim - 1)) > 0
            sums[name] = jnp.where(there, values, 0).sum(axis=0)
        else:
            means[own] = values
    return scores._replace(means=means, sums=sums)


def _check_returned(name, values, *, finishes):
    """Raises InputError where a metric returns something else than `with_metrics` says."""
    wanted = "an array" if finishes else "an array, or two in a tuple: numerators and divisors"
    arrays = values if isinstance(values, tuple) else (values,)
    if isinstance(values, tuple) and (finishes or len(values) != 2):
        raise InputError(f"metric {name} returns {len(values)} values in a tuple; it returns {wanted}.")
    if other := [type(x).__name__ for x in arrays if not hasattr(x, "shape")]:
        raise InputError(f"metric {name} returns {other[0]}; it returns {wanted}.")


def _finish(task, metrics, n, means, sums, rows):
    values = {**task.finish(n, {key: mean for key, mean in means.items() if key not in metrics}, sums, rows)}
    for own, (name, metric) in metrics.items():
        if hasattr(metric, "finish"):
            with trust.slips_named(f"metric {name}: finish", name):
                values[own] = float(metric.finish(sums[name]))
        else:
            values[own] = means[own]
    return values
