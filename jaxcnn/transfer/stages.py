"""The activations of a network by name: the paper's stages, and the output of every layer by its module path."""

import difflib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn.analysis.accounting import result_name
from jaxcnn.errors import MANY


def stage_names(model: Any, variables: Any, shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The stages and layers that `read_stage` can read of a network, found by tracing it.

    Args:
      model: a Linen module that returns (logits, features).
      variables: its variables, or their shapes and dtypes.
      shape: (h, w, c) of an image.
    Returns:
      {name: shape of an image's activations}: the stages in the order of `features`, the result ("logits"), then the
      layers by name, as "stage2_block1/conv1". A layer whose path is a stage's name too has a slash in front: AlexNet's
      stage "conv1" is after the relu, its layer "/conv1" before. Of a layer that is called more than once, each call:
      "conv[0]", "conv[1]".
    """
    found = {}

    def trace(variables, images):  # what eval_shape returns would be in alphabetical order
        for outputs in _outputs(model, variables, images):
            found.update({name: x.shape[1:] for name, x in outputs.items()})

    jax.eval_shape(trace, variables, jax.ShapeDtypeStruct((1, *shape), jnp.float32))
    return found


def read_stage(model: Any, variables: Any, images: jax.Array, stage: str) -> jax.Array:
    """The activations of one stage or layer; under jit, what it does not need is not computed.

    Args:
      model: a Linen module that returns (logits, features).
      variables: its variables.
      images: (n, h, w, c), normalised as the network was trained.
      stage: a name of `stage_names`.
    Returns:
      (n, ...), the dtype that the layer computes in.
    Raises:
      ValueError: there is no such stage or layer; the message has the nearest, and lists the stages.
    """
    stages, layers = _outputs(model, variables, images)
    if stage not in stages and stage not in layers:
        raise ValueError(_unknown(stage, stages, layers))
    return stages[stage] if stage in stages else layers[stage]


def _outputs(model, variables, images):
    """({stage: activations}, {layer: activations}); the stages in the network's order, the layers by name."""
    (result, features), state = model.apply(
        variables, images, train=False, capture_intermediates=True, mutable=["intermediates"]
    )
    name = result_name(model)
    stages = {name: result, **features} if name in features else {**features, name: result}
    calls = jax.tree.flatten_with_path(state["intermediates"], is_leaf=lambda x: isinstance(x, tuple))[0]
    layers = {}
    for path, outputs in calls:
        *module, method = (key.key for key in path)
        if not module or method != "__call__":  # the network's own (logits, features), and what it sows
            continue
        name = "/".join(module)
        name = f"/{name}" if name in stages else name
        for number, output in enumerate(outputs):
            if getattr(output, "shape", ())[:1] == images.shape[:1]:
                layers[name if len(outputs) == 1 else f"{name}[{number}]"] = output
    return stages, layers


def _unknown(stage, stages, layers):
    close = difflib.get_close_matches(stage, [*stages, *layers], n=3)
    question = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    listing = ", ".join(layers) if len(layers) <= MANY else f"{len(layers)}, such as {', '.join([*layers][:3])}"
    return f"there is no stage or layer '{stage}'.{question} Stages: {', '.join(stages)}. Layers: {listing}."
