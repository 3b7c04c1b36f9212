"""Totals of a model: its stages, parameters and the bytes they take."""

import math

import jax
import jax.numpy as jnp


def summarize(model, shape, *, batch=1):
    """Traces a model on images of a shape, without compiling or allocating.

    Args:
      model: a Linen module that returns (logits, features).
      shape: (h, w, c) of an image.
      batch: images in the batch.
    Returns:
      {"input": (n, h, w, c), "parameters": int, "parameter_bytes": int, "stages": [{"stage", "shape", "bytes"}]}, the
      stages in the order in which the network names them, the logits last.
    Raises:
      ValueError: the images do not fit the model.
    """
    images = jax.ShapeDtypeStruct((batch, *shape), jnp.float32)
    order = []

    def trace(x):
        (logits, features), variables = model.init_with_output(jax.random.key(0), x, train=False)
        order.extend(features)  # a dict that leaves a trace comes back sorted
        return logits, features, variables

    logits, features, variables = jax.eval_shape(trace, images)
    leaves = jax.tree.leaves(variables["params"])
    stages = [
        {"stage": name, "shape": tuple(x.shape), "bytes": _bytes(x)}
        for name, x in [*((name, features[name]) for name in order), ("logits", logits)]
    ]
    return {
        "input": tuple(images.shape),
        "parameters": sum(math.prod(p.shape) for p in leaves),
        "parameter_bytes": sum(map(_bytes, leaves)),
        "stages": stages,
    }


def _bytes(x):
    return math.prod(x.shape) * x.dtype.itemsize
