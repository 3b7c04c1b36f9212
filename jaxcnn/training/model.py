"""The network of a config, checked by tracing it: what it takes, what it returns, how it drops."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn import architectures, trust
from jaxcnn.errors import InputError, input_errors
from jaxcnn.operators import BatchNorm
from jaxcnn.training.parallel import AXIS
from jaxcnn.training.state import abstract_variables


def make_model(config, shape, classes):
    """The config's Linen module for images of `shape` and a number of classes, checked by tracing it.

    Raises:
      InputError: the name, an option, the image's shape or the number of classes does not fit.
    """
    settings = config.model
    options = {**_plain(settings.options)}
    with trust.slips_named("config.model", settings.name):
        model = architectures.create_allowed(settings.name, **options)
    if not isinstance(model, nn.Module):
        raise InputError(f"config.model.name: {settings.name} builds {type(model).__name__}; it builds a Linen module.")
    fields = {}
    if hasattr(model, "num_classes") and "num_classes" not in options:
        fields["num_classes"] = classes
    fields["dtype"] = jnp.dtype(settings.dtype)
    if settings.batch_norm == "synchronized":
        fields["norm"] = functools.partial(getattr(model, "norm", BatchNorm), axis_name=AXIS)  # its epsilon stays
    if settings.dropout is not None:
        fields["dropout_rate"] = settings.dropout
    for name, default in (("dtype", jnp.dtype("float32")), ("norm", None), ("dropout_rate", None)):
        if name in fields and not hasattr(model, name):
            if fields.pop(name) != default:
                raise InputError(
                    f"architecture {settings.name} has no attribute '{name}', which "
                    f"config.model.{ {'norm': 'batch_norm', 'dropout_rate': 'dropout'}.get(name, name) } sets."
                )
    with input_errors("config.model"):
        model = model.clone(**fields)
    _check_model(settings.name, model, shape, classes)
    if trust.is_code(settings.name):
        with trust.slips_named(f"architecture {settings.name} in training", settings.name):
            _check_dropout(settings.name, model, shape)
    return model


def _plain(options):
    return {k: (v.to_dict() if hasattr(v, "to_dict") else v) for k, v in options.items()}


def _check_model(name, model, shape, classes):
    """Traces the model on one batch, without compiling, and checks what it returns."""
    image = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    where = f"architecture {name} does not fit images of {shape} and {classes} classes"
    try:
        with trust.slips_named(where, name):
            result, _ = jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x, train=False), image)
    except TypeError as error:
        raise InputError(f"{where}, or an option of it is of the wrong kind: {error}") from error
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], dict):
        raise InputError(
            f"architecture {name} returns {type(result).__name__}; a model returns (logits, features), "
            "features a dict from stage names to arrays."
        )
    if result[0].shape != (2, classes):
        raise InputError(
            f"architecture {name} gives logits of shape {result[0].shape} for 2 images, but the data set has "
            f"{classes} classes: (2, {classes}) would be right. Give its head {classes} classes, for example "
            f"by config.model.options.num_classes."
        )


def _check_dropout(name, model, shape):
    """Traces the model as it trains; raises InputError where its masks would depend on the number of devices."""

    def refuse(call, args, kwargs, context):
        module = context.module
        drops = isinstance(module, nn.Dropout) and context.method_name == "__call__"
        if drops and (module.rate != 0 or hasattr(model, "dropout_rate")):
            raise InputError(
                f"architecture {name}: {'/'.join(module.path)} is flax.linen.Dropout, which draws one mask a device; "
                "jaxcnn.operators.Dropout draws one an image, the same on any number of devices."
            )
        return call(*args, **kwargs)

    def trained(variables, images):
        keys = {"dropout": jax.random.key(0)}
        return model.apply(variables, images, train=True, mutable=["batch_stats"], rngs=keys)

    images = jax.ShapeDtypeStruct((1, 2, *shape), jnp.float32)
    with nn.intercept_methods(refuse):
        jax.eval_shape(jax.vmap(trained, (None, 0), axis_name=AXIS), abstract_variables(model, shape), images)
