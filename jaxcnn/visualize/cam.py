"""Where in an image a network sees a class: class activation maps and grad-CAM."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.analysis import analyse
from jaxcnn.analysis.dataflow import Dataflow
from jaxcnn.errors import look_up

if TYPE_CHECKING:
    from jaxcnn.evaluation.trained import Trained


POOLED = "global_pool"  # what jaxcnn.analysis calls a mean over the image


def class_activation_map(maps: jax.Array, weights: jax.Array) -> jax.Array:
    """M(y, x) = sum_k w_k f_k(y, x), the class score before the mean over the image (Zhou et al. 2016, eq. 2).

    Args:
      maps: (n, h, w, k), the last maps, whose mean the linear layer takes.
      weights: (n, k), of the linear layer for the class of each image.
    Returns:
      (n, h, w), the dtype of maps; its mean is the logit without its bias.
    """
    return jnp.einsum("nhwk,nk->nhw", maps, weights)


def grad_cam(maps: jax.Array, gradients: jax.Array) -> jax.Array:
    """L(y, x) = relu(sum_k a_k A_k(y, x)), a_k = mean of dy / dA_k over (y, x)  (Selvaraju et al. 2017, eq. 1 and 2).

    Args:
      maps: (n, h, w, k), the maps of a stage.
      gradients: (n, h, w, k), of the logit of a class.
    Returns:
      (n, h, w), not negative, the dtype of maps.
    """
    return jnp.maximum(class_activation_map(maps, gradients.mean(axis=(1, 2))), 0)


def class_gradients(
    model: Any, variables: Any, images: jax.Array, stage: str, classes: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The maps of a stage and the gradients of one logit an image with respect to them.

    Args:
      model: a Linen module that returns (logits, features).
      variables: its variables.
      images: (n, h, w, c), normalised as the network was trained.
      stage: a name in features.
      classes: (n,) int32.
    Returns:
      (maps, gradients), both (n, ...).
    Raises:
      ValueError: there is no such stage, or the logits do not depend on it.
    """
    found = {}

    def outputs(variables, images):
        logits, features = model.apply(variables, images, train=False)
        found["maps"] = look_up(stage, table=features, kind="stage")
        return logits, found["maps"]

    flow = Dataflow(jax.make_jaxpr(outputs)(variables, images))
    logits, place = flow.results
    given = dict(zip(flow.arguments, jax.tree.leaves((variables, images)), strict=True))
    if place != logits and not any(place in equation.inputs for equation in flow.needed([logits], given)):
        raise ValueError(f"the logits do not depend on stage {stage!r}")
    (maps,) = flow.values([place], given)

    def score(maps):
        (result,) = flow.values([logits], {**given, place: maps})
        return jnp.take_along_axis(result.astype(jnp.float32), classes[:, None], axis=1).sum()

    return maps, jax.grad(score)(maps)


def last_convolution(model: Any, variables: Any, shape: Sequence[int]) -> str:
    """The name of the last stage that is a map of more than one place and no pooling: grad-CAM's usual one.

    Raises:
      ValueError: there is none.
    """
    layers: Any = analyse(model, shape, variables=variables).layers
    for layer in reversed(layers):
        named = layer.stage and not layer.auxiliary
        if named and is_map(layer.shape[1:]) and not layer.kind.endswith("_pool"):
            return layer.stage
    raise ValueError("this network has no stage that is a map over the image")


def is_map(shape: Sequence[int]) -> bool:
    """Whether the activations of an image are (h, w, c) with more than one place."""
    return len(shape) == 3 and shape[0] * shape[1] > 1


def pooled_head(model: Any, variables: Any, shape: Sequence[int]) -> tuple[str, jax.Array, jax.Array]:
    """The stage and the class weights of a network that ends in global average pooling and a linear layer.

    A network that ends in the pooling, a map for each class (Lin et al. 2014), has the identity as weights.

    Args:
      model, variables: the network.
      shape: (h, w, c) of an image.
    Returns:
      (stage, weights (k, K), bias (K,)), float32.
    Raises:
      ValueError: it ends otherwise, or its last map is no named stage.
    """
    layers = {layer.name: layer for layer in analyse(model, shape, variables=variables).layers if not layer.auxiliary}
    head: Any = [*layers.values()][-1]
    pool: Any = head
    if head.kind == "dense" and len(head.inputs) == 1:
        pool = layers[head.inputs[0]]
    if pool.kind != POOLED or len(pool.inputs) != 1:
        raise ValueError(
            "class activation maps need a head of global average pooling and one linear layer, and this network ends "
            f"in {pool.name} ({pool.kind}), {head.name} ({head.kind}); grad-CAM takes any network"
        )
    source: Any = layers[pool.inputs[0]]
    if source.stage is None:
        raise ValueError(
            f"the maps that are averaged, of {source.name}, are not among the stages of this network; grad-CAM takes "
            "any stage"
        )
    if pool is head:
        return source.stage, jnp.eye(source.shape[-1]), jnp.zeros(source.shape[-1])
    module = functools.reduce(lambda tree, key: tree[key], head.name.split("/"), variables["params"])
    return source.stage, module["kernel"], module.get("bias", jnp.zeros(head.shape[-1]))


def map_stages(trained: Trained) -> dict[str, tuple[int, ...]]:
    """{name: (h, w, c)} of the stages of a trained network that are maps over the image."""
    images = jax.ShapeDtypeStruct((1, *trained.shape), jnp.float32)
    apply = functools.partial(trained.model.apply, train=False)
    _, features = jax.eval_shape(apply, trained.variables, images)
    return {name: value.shape[1:] for name, value in features.items() if is_map(value.shape[1:])}


def class_maps(
    trained: Trained,
    images: np.ndarray | jax.Array,
    classes: Sequence[int] | np.ndarray | jax.Array,
    *,
    method: str = "grad_cam",
    stage: str | None = None,
) -> np.ndarray:
    """Maps of where a trained network sees classes in images.

    Args:
      trained: a Trained.
      images: uint8 (n, h, w, c).
      classes: (n,), the class of each.
      method: "cam" or "grad_cam".
      stage: of grad-CAM, one of `map_stages`; by default `last_convolution`.
    Returns:
      (n, h', w') float32, of the size of the stage.
    Raises:
      ValueError: the network does not fit, or the stage; the message says which would.
    """
    model, variables = trained.model, trained.variables
    classes = jnp.asarray(classes, jnp.int32)
    images = trained.normalise(jnp.asarray(images))
    if method == "cam":
        return _class_activation_maps(model, variables, images, classes)
    stage = stage or last_convolution(model, variables, trained.shape)
    look_up(stage, table=map_stages(trained), kind="map")
    found = jax.jit(lambda v, x, k: grad_cam(*class_gradients(model, v, x, stage, k)))(variables, images, classes)
    return np.asarray(found, np.float32)


def _class_activation_maps(model, variables, images, classes):
    stage, weights, bias = pooled_head(model, variables, images.shape[1:])

    @jax.jit
    def run(variables, images, classes):
        logits, features = model.apply(variables, images, train=False)
        maps = class_activation_map(features[stage], weights.T[classes])
        return maps, jnp.take_along_axis(logits, classes[:, None], axis=1)[:, 0]

    maps, logits = jax.device_get(run(variables, images, classes))
    summed = maps.mean(axis=(1, 2)) + np.asarray(bias)[np.asarray(classes)]
    tolerance = 1e-3 if maps.dtype == np.float32 else 0.02  # bfloat16 has 8 bits
    if not np.allclose(summed, logits, rtol=tolerance, atol=tolerance * np.abs(logits).max()):
        raise ValueError("between its average and its linear layer this network does more; grad-CAM takes any network")
    return np.asarray(maps, np.float32)
