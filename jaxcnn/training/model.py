"""The network of a config, checked by tracing it: what it takes, what it returns, how it drops."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn import architectures, trust
from jaxcnn.data import LABEL
from jaxcnn.errors import InputError, input_errors
from jaxcnn.operators import BatchNorm
from jaxcnn.tasks import AXIS
from jaxcnn.training.learning import make_about, make_task, task_kind
from jaxcnn.training.state import zeros_batch

if TYPE_CHECKING:
    from ml_collections import ConfigDict


def make_model(
    config: ConfigDict, shape: Sequence[int], classes: Sequence[str], fields: Mapping[str, Any] = LABEL
) -> Any:
    """The config's Linen module, checked by tracing it: arguments and errors of `traced_model`."""
    return traced_model(config, shape, classes, fields)[0]


def traced_model(
    config: ConfigDict, shape: Sequence[int], classes: Sequence[str], fields: Mapping[str, Any] = LABEL
) -> tuple[Any, dict[str, Any]]:
    """The config's Linen module, checked by tracing it, and {collection: its variables as ShapeDtypeStructs}.

    Args:
      config: a run's config.
      shape: (h, w, c) of an image.
      classes: their names, in the order of the labels.
      fields: {name: (shape, dtype)} of what an example holds beside its image.
    Raises:
      InputError: the name, an option, the image's shape or the number of classes does not fit.
    """
    settings = config.model
    options = {**_plain(settings.options)}
    with trust.slips_named("config.model", settings.name):
        model = architectures.create_allowed(settings.name, **options)
    if not isinstance(model, nn.Module):
        raise InputError(f"config.model.name: {settings.name} builds {type(model).__name__}; it builds a Linen module.")
    changed: dict[str, Any] = {}
    if hasattr(model, "num_classes") and "num_classes" not in options:
        changed["num_classes"] = len(classes)
    changed["dtype"] = jnp.dtype(settings.dtype)
    if settings.batch_norm == "synchronized":
        changed["norm"] = functools.partial(getattr(model, "norm", BatchNorm), axis_name=AXIS)  # its epsilon stays
    if settings.dropout is not None:
        changed["dropout_rate"] = settings.dropout
    for name, default in (("dtype", jnp.dtype("float32")), ("norm", None), ("dropout_rate", None)):
        if name in changed and not hasattr(model, name):
            if changed.pop(name) != default:
                raise InputError(
                    f"architecture {settings.name} has no attribute '{name}', which "
                    f"config.model.{ {'norm': 'batch_norm', 'dropout_rate': 'dropout'}.get(name, name) } sets."
                )
    with input_errors("config.model"):
        model = model.clone(**changed)
    about = make_about(classes, shape, fields)
    return model, _check_model(settings.name, model, make_task(config, task_kind(config), about), about)


def _plain(options):
    return {k: (v.to_dict() if hasattr(v, "to_dict") else v) for k, v in options.items()}


def _check_model(name, model, task, about):
    """Traces the creation of the model, without compiling, and lets the task check what it returns; its variables."""
    where = f"architecture {name} does not fit images of {about.shape} and {len(about.classes)} classes"
    try:
        with trust.slips_named(where, name):
            result, variables = jax.eval_shape(
                lambda: model.init_with_output(
                    jax.random.key(0), zeros_batch(about.shape, about.fields, count=2), method=task.init
                )
            )
    except TypeError as error:
        raise InputError(f"{where}, or an option of it is of the wrong kind: {error}") from error
    if task.check is not None:
        task.check(name, result, about)
    return variables


@contextlib.contextmanager
def dropout_checked(model: Any, name: str) -> Generator[None, None, None]:
    """Inside, a model is traced as it trains; InputError where its masks would depend on the number of devices."""

    def refuse(call, args, kwargs, context):
        module = context.module
        drops = isinstance(module, nn.Dropout) and context.method_name == "__call__"
        if drops and (module.rate != 0 or hasattr(model, "dropout_rate")):
            raise InputError(
                f"architecture {name}: {'/'.join(module.path)} is flax.linen.Dropout, which draws one mask a device; "
                "jaxcnn.operators.Dropout draws one an image, the same on any number of devices."
            )
        return call(*args, **kwargs)

    with nn.intercept_methods(refuse):
        yield
