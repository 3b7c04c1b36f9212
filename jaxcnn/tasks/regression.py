"""Regression: one number of each image, or of a sequence that is laid out as one, by the squared error."""

import functools

import jax.numpy as jnp

from jaxcnn.errors import InputError
from jaxcnn.tasks.task import About, Kind, Measure, Player, Scores, Task, Terms, check_returned

VALUE = "value"  # the field


def create(about: About, *, tolerance: float = 0.04) -> Task:
    """The Task of saying the field `value` of an image, float32.

    Training minimises (output - value)**2; `within` is the share of images whose error is below the tolerance (0.04 is
    where Hochreiter and Schmidhuber 1997 call a sum right).

    Outputs of `infer`: "value" (n,) float32, and the network's "features".

    Args:
      about: an About, whose fields hold `value`.
      tolerance: a positive number.
    Raises:
      InputError: the data have no such field.
      ValueError: the tolerance is not positive.
    """
    if about.fields.get(VALUE, [None])[0] != ():
        raise InputError(
            f"task regression wants a number '{VALUE}' of each image, but these data hold {', '.join(about.fields)}."
        )
    if isinstance(tolerance, bool) or not (isinstance(tolerance, int | float) and tolerance > 0):
        raise ValueError(f"tolerance is {tolerance!r}; it is a positive number")
    return Task(
        players=(Player("regressor", functools.partial(_objective, about)),),
        infer=functools.partial(_infer, about),
        score=functools.partial(_score, tolerance),
        prepare=about.prepare,
        describe=_describe,
        check=_check,
    )


def _objective(about, module, batch, numbers):
    outputs, _ = module(about.normalise(batch["image"]), train=True)
    return Terms(jnp.square(outputs[:, 0] - batch[VALUE]), {})


def _infer(about, module, batch):
    outputs, features = module(about.normalise(batch["image"]), train=False)
    return {VALUE: outputs[:, 0], "features": features}


def _score(tolerance, outputs, batch):
    error = jnp.abs(outputs[VALUE] - batch[VALUE])
    return Scores({"loss": jnp.square(error), "within": (error < tolerance).astype(jnp.float32)})


def _describe(outputs):
    return {VALUE: float(outputs[VALUE])}


def _check(name, result, about):
    """Raises InputError where a network does not return (outputs (n, 1), features)."""
    shape = check_returned(name, result, "outputs")
    if shape != (2, 1):
        raise InputError(
            f"architecture {name} gives outputs of shape {shape} for 2 images, but regression wants one of each, "
            "(2, 1): config.model.options.num_classes of 1, with most."
        )


REGRESSION = Kind(
    measures={
        "loss": Measure(higher_is_better=False, log=True, label="mean squared error"),
        "within": Measure("points", label="within the tolerance"),
    },
    selects=("loss",),
    create=create,
)
