"""The costs and receptive fields of a network, read from its jaxpr: nothing is compiled, run or allocated."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.analysis.equations import Program, size_in_bytes
from jaxcnn.analysis.field import Field, read_field
from jaxcnn.analysis.layers import Walk, attribute
from jaxcnn.analysis.memory import kept_for_training, largest_live


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
      name: the path of its module; else the stage that the network names it; else its module and its kind.
      kind: "conv2d", "dense", "max_pool", "add" or another primitive; "input" for the images.
      stage: the name that the network's features give its result, or None.
      inputs: names of the layers that it reads.
      shape: of its output, with the batch; None for parameters that the forward pass does not read.
      bytes: of its output.
      parameters: trainable ones; a shared parameter counts in the first layer that reads it.
      macs: multiply-adds for one image; 0 in a layer that the main logits do not need.
      auxiliary: the main logits do not need it.
      field: a `Field`, or None.
    """

    name: str
    kind: str
    stage: str | None
    inputs: tuple[str, ...]
    shape: tuple[int, ...] | None
    bytes: int
    parameters: int
    macs: int
    auxiliary: bool
    field: Field | None


@dataclasses.dataclass(frozen=True)
class Analysis:
    """A network on images of one size.

    Attributes:
      input: (n, h, w, c).
      parameters, parameter_bytes: trainable ones, auxiliary heads included.
      macs: multiply-adds for one image on the path to the main logits, of convolutions and of matrix products by a
        parameter or by data; taps that meet padding count.
      values, bytes: the images and the outputs of all layers on that path, each once, summed over the batch.
      forward_bytes: the largest set of them that is alive at once, see `memory.largest_live`.
      training_bytes: what waits for the backward pass, see `memory.kept_for_training`; auxiliary heads included.
      layers: in the order of the network, the images first.
      stages: {name: (shape, bytes, Field)} of the network's features in its order, its result last, see `result_name`.
      notes: what was approximated, a sentence each.
    """

    input: tuple[int, ...]
    parameters: int
    parameter_bytes: int
    macs: int
    values: int
    bytes: int
    forward_bytes: int
    training_bytes: int
    layers: tuple[Layer, ...]
    stages: dict
    notes: tuple[str, ...]


def analyse(model: Any, shape: Sequence[int], *, batch: int = 1, variables: Any = None) -> Analysis:
    """Reads parameters, multiply-adds, memory and receptive fields from the jaxpr of a forward pass.

    >>> analyse(create("vgg_d"), (224, 224, 3)).macs
    15470264320

    Receptive fields follow every branch: where branches meet the field is the box around theirs; where positions are
    gone (global pooling, a flattened full connection) it is what all positions see. Scans are unrolled. Approximated,
    with a note: a scan of more than 2,048 iterations and a cond (one layer each that sees the whole of its operands; a
    cond counts its most expensive branch) and a while loop or unknown call (its products counted once).

    Args:
      model: a Linen module; or a function of images, or of (variables, images) where variables are given. It returns
        its result, or (result, features) with a dict of named stages. Arrays that a function closes over are weights.
      shape: (h, w, c) of an image.
      batch: images in the batch.
      variables: arrays or their shapes; by default a module's own, found by `init`. Trainable is what is under
        "params", or everything where there is no such key.
    Returns:
      An `Analysis`.
    Raises:
      ValueError: the images do not fit the model.
    """
    images = jax.ShapeDtypeStruct((batch, *shape), jnp.float32)
    function, variables, root = _as_function(model, images, variables)
    closed, leaves, names = _trace(function, variables, images, result_name(model))
    program = Program(closed)
    image = len(program.inputs) - 1
    if root:
        _strip(program)
    stages = {}
    for number, name in zip(program.outputs, names, strict=True):
        stages.setdefault(number, name)
    walk = Walk(
        program,
        image=program.inputs[image],
        leaves={program.inputs[i]: path for i, path in leaves.items()},
        stages=stages,
        needed=program.needed(program.outputs),
        main=program.needed(program.outputs[-1:]),
        trained=not leaves,
    )
    return _analysis(program, walk, names)


def result_name(model: Any) -> str:
    """The stage that a network's result is: "logits", or what its attribute `result` says, "image"."""
    return getattr(model, "result", "logits")


def _as_function(model, images, variables):
    """(f(variables, images), abstract variables, whether its name stacks begin with the module's own name)."""
    if not isinstance(model, nn.Module):
        if variables is None:
            return (lambda _, x: model(x)), {}, False
        return model, variables, False
    signature = inspect.signature(type(model).__call__).parameters
    train = {"train": False} if "train" in signature else {}
    if variables is None:
        variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, **train), images)
    return (lambda v, x: model.apply(v, x, **train)), variables, True


def _trace(function, variables, images, last):
    """(jaxpr, {position among its inputs: path of the parameter}, names of its results, the main one last)."""
    names = []

    def run(variables, x):
        found = function(variables, x)
        result, features = found if isinstance(found, tuple) and len(found) == 2 else (found, {})
        features = features if isinstance(features, dict) else {}
        features = {name: value for name, value in features.items() if hasattr(value, "shape")}
        names.extend(features)
        results = jax.tree.leaves(result)
        names.extend(last if n == len(results) - 1 else f"result{n}" for n in range(len(results)))
        return [*features.values(), *results]

    closed = jax.make_jaxpr(run)(variables, images)
    leaves = {}
    for position, (path, _) in enumerate(jax.tree_util.tree_flatten_with_path(variables)[0]):
        keys = tuple(str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in path)
        if keys[0] == "params" or "params" not in variables:
            leaves[position] = keys[1:] if keys[0] == "params" else keys
    return closed, leaves, names


def _strip(program):
    """Takes the name of the outermost module off every path: the tree of variables does not have it."""
    program.equations = [equation._replace(path=equation.path[1:]) for equation in program.equations]


def _analysis(program, walk, names):
    sizes = {row: size_in_bytes(program.values[row.output]) for row in walk.rows}
    main = [row for row in walk.rows if row.main]
    layers = _layers(program, walk, sizes)
    stages, image = {}, program.values[walk.image].shape
    for name, number in zip(names, program.outputs, strict=True):
        aval, view = program.values[number], walk.views.get(number)
        stages[name] = (aval.shape, size_in_bytes(aval), view and read_field(view, image[1:3]))
    leaves = [program.values[number] for number in (walk.leaves or program.constants)]
    leaves = [aval for aval in leaves if jnp.issubdtype(aval.dtype, jnp.inexact)]
    return Analysis(
        input=image,
        parameters=sum(math.prod(aval.shape) for aval in leaves),
        parameter_bytes=sum(map(size_in_bytes, leaves)),
        macs=sum(layer.macs for layer in layers),
        values=sum(math.prod(program.values[row.output].shape) for row in main),
        bytes=sum(sizes[row] for row in main),
        forward_bytes=largest_live(main, sizes),
        training_bytes=kept_for_training(walk.rows, sizes),
        layers=tuple(layers),
        stages=stages,
        notes=tuple(program.notes),
    )


def _layers(program, walk, sizes):
    parameters, unread = attribute(walk.rows, walk.leaves)
    names, image = {}, program.values[walk.image].shape[1:3]
    for row in walk.rows:
        names[row] = _unique(_name(row, [walk.leaves[n] for n in parameters[row]]), set(names.values()))
    found = []
    for row in walk.rows:
        found.append(
            Layer(
                name=names[row],
                kind=row.kind,
                stage=row.stage,
                inputs=tuple(names[r] for r in walk.rows if r in row.inputs),
                shape=program.values[row.output].shape,
                bytes=sizes[row],
                parameters=sum(math.prod(program.values[n].shape) for n in parameters[row]),
                macs=row.macs,
                auxiliary=not row.main,
                field=read_field(walk.view(row), image),
            )
        )
    for number in unread:
        name, size = "/".join(walk.leaves[number]), math.prod(program.values[number].shape)
        found.append(Layer(name, "parameter", None, (), None, 0, size, 0, True, None))
    return found


def _name(row, parameters):
    if row.kind == "input":
        return "input"
    if row.owned:
        return "/".join(row.path)
    if not row.path and row.stage:
        return row.stage
    if not row.path and parameters and len(parameters[0]) > 1:  # a pure function has no modules, its variables do
        return "/".join(parameters[0][:-1])
    return "/".join((*row.path, row.kind))


def _unique(name, taken):
    number = 2
    while (unique := name if number == 2 else f"{name} ({number - 1})") in taken:
        number += 1
    return unique
