"""Which parts of a network are new, which stay as they are and how fast the others learn: config.finetune."""

from __future__ import annotations

import bisect
import dataclasses
import fnmatch
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxcnn.analysis.equations import Program
from jaxcnn.errors import InputError, input_errors, nearest
from jaxcnn.files import local_path
from jaxcnn.tasks.classification import auxiliary_names
from jaxcnn.training.config import default_config
from jaxcnn.training.rundir.about import read_data
from jaxcnn.training.rundir.directory import read_config
from jaxcnn.training.state import abstract_variables

if TYPE_CHECKING:
    from ml_collections import ConfigDict


@dataclasses.dataclass(frozen=True)
class Plan:
    """config.finetune, worked out for one network.

    Names are those of parameters and statistics, as "stage1_block1/norm1/mean".

    Attributes:
      head: names of the layers that are re-initialised; never frozen or slowed.
      boundaries: steps at which something frozen begins to learn, ascending.
      factors: for each phase between boundaries {"params", "batch_stats"}: pytrees of floats, factors of the learning
        rate, 0 for what is frozen (1 for statistics that move); None where everything learns alike.
    """

    head: frozenset = frozenset()
    boundaries: tuple = ()
    factors: tuple = (None,)

    def phase(self, step: int) -> int:
        """The number of the phase that a step belongs to."""
        return bisect.bisect_right(self.boundaries, step)

    def end(self, step: int) -> int | None:
        """The next step at which a phase begins; None in the last one."""
        return next((boundary for boundary in self.boundaries if boundary > step), None)


def inherit(config: ConfigDict) -> None:
    """Fills what config leaves open and its source knows: architecture, options, image size and how images are fitted.

    Raises:
      InputError: config.finetune.source is not a run directory.
    """
    source = config.finetune.source
    if not source:
        return
    given = config.model.name and config.data.image_size
    if given and not (local_path(source) / "config.json").is_file():
        return  # it may be made by then: a study trains its source first
    if not (local_path(source) / "config.json").is_file():
        raise InputError(
            f"config.finetune.source: {source} is not a run directory: it has no config.json. Give one; or fetch one "
            f"that knows photographs, `jaxcnn convert --from timm hf-hub:timm/resnet18.a1_in1k --workdir {source}` "
            "(docs/weights.md; needs the extra hub); or train from scratch: --config=configs/folder.py."
        )
    theirs = read_config(source)
    if not config.model.name:
        options = {key: value for key, value in theirs.model.options.items() if key != "num_classes"}
        config.model.name = theirs.model.name
        config.model.options.update({**options, **config.model.options})
    fitted = ["fit", "interpolation"]
    if tuple(config.data.image_size) in ((), tuple(theirs.data.image_size)):
        fitted.append("resize")
    if not config.data.image_size:
        _, (height, width, channels) = read_data(source)
        config.data.image_size, config.data.channels = (height, width), config.data.channels or channels
    for key in fitted:
        config.data[key] = config.data[key] or theirs.data[key]


def make_plan(config: ConfigDict, model: Any, shape: Sequence[int], steps: Callable[..., int], **made: Any) -> Plan:
    """The Plan of a config.

    Args:
      config: a resolved config.
      model: its Linen module.
      shape: (h, w, c) of an image.
      steps: f(duration, key) -> steps from the start.
      made: init and fields, see `abstract_variables`.
    Raises:
      InputError: a pattern matches nothing, a stage is not there, or the head cannot be found.
    """
    settings = config.finetune
    if settings == default_config().finetune:
        return Plan()
    variables = abstract_variables(model, shape, **made)
    shapes = {key: flatten_dict(tree, sep="/") for key, tree in variables.items()}
    head = _head(settings.head, model, shape, shapes, made)
    kept = [name for tree in shapes.values() for name in tree if name not in head]
    rates = {}
    for pattern, factor in settings.rates:
        rates = {**dict.fromkeys(_matching(pattern, kept, "rates"), float(factor)), **rates}
    if settings.layer_decay < 1:
        rates = {**_decayed(settings.layer_decay, model, shape, variables, head), **rates}
    frozen = {name for pattern in settings.freeze for name in _matching(pattern, kept, "freeze")}
    if settings.freeze_to:
        frozen |= _below(settings.freeze_to, model, shape, variables) - head
    starts = {}
    for pattern, duration in settings.unfreeze:
        for name in _matching(pattern, sorted(frozen), "unfreeze"):
            starts[name] = min(steps(duration, "finetune.unfreeze"), starts.get(name, float("inf")))
    boundaries = sorted(set(starts.values()) - {0})
    factors = []
    for begin in (0, *boundaries):
        still = {name for name in frozen if starts.get(name, float("inf")) > begin}
        now = _factors(shapes, {**rates, **dict.fromkeys(still, 0.0)})
        factors.append({key: by_name(tree, now[key]) for key, tree in variables.items()})
    return Plan(frozenset(head), tuple(boundaries), tuple(factors))


def _factors(shapes, rates):
    """{"params", "batch_stats"} of {name: factor}; statistics stay where they or all parameters of their module do."""
    params = {name: rates.get(name, 1.0) for name in shapes["params"]}
    stats = {}
    for name in shapes["batch_stats"]:
        module = name.rpartition("/")[0]
        own = [factor for other, factor in params.items() if other.rpartition("/")[0] == module]
        stats[name] = float(rates.get(name) != 0 and (not own or any(own)))
    return {"params": params, "batch_stats": stats}


def by_name(tree: Any, values: Any) -> Any:
    """A nested dict like `tree` with the leaves of {name: value}; a key may hold a "/", as those of nn.SpectralNorm."""
    return unflatten_dict({path: values["/".join(path)] for path in flatten_dict(tree)})


def _head(patterns, model, shape, shapes, made):
    """The names that match, or of what changes its shape with the number of classes."""
    if patterns:
        names = [name for tree in shapes.values() for name in tree]
        return {name for pattern in patterns for name in _matching(pattern, names, "head")}
    if not hasattr(model, "num_classes"):
        raise InputError(
            f"{type(model).__name__} has no num_classes, by which its head would be found: name it in "
            "config.finetune.head, as ('fc',)."
        )
    where = "config.finetune.head: it cannot be found by another number of classes, name it, as ('fc',)"
    with input_errors(where):
        return changes_with_classes(model, shape, **made)


def changes_with_classes(model: Any, shape: Sequence[int], **made: Any) -> set[str]:
    """The names of the parameters whose shape depends on the number of classes: the head, auxiliary ones too."""
    one, other = (
        flatten_dict(abstract_variables(model.clone(num_classes=number), shape, **made)["params"], sep="/")
        for number in (model.num_classes, model.num_classes + 1)
    )
    return {name for name, leaf in one.items() if leaf.shape != other[name].shape}


def matches(name: str, pattern: str) -> bool:
    """Whether a pattern matches the name of a parameter, or of a module that it is in."""
    return any(fnmatch.fnmatchcase(name, p) for p in (pattern, f"{pattern}/*"))


def _matching(pattern, names, key):
    """The names that a pattern matches, themselves or a module that they are in."""
    found = {name for name in names if matches(name, pattern)}
    if not found:
        modules = {"/".join(parts[:i]) for parts in (name.split("/") for name in names) for i in range(1, len(parts))}
        among = {"unfreeze": "frozen parameter", "head": "parameter"}.get(key, "kept parameter")
        raise InputError(f"config.finetune.{key}: '{pattern}' matches no {among}; {nearest(pattern, modules)}")
    return found


def _decayed(decay, model, shape, variables, head):
    """{name: decay ** (layers between it and the head, and 1)} of what the stages of a network are computed from.

    A layer is what a stage is computed from and none before it. What no stage needs stands beside the head, as in BEiT,
    and so do auxiliary heads.
    """
    layers, seen, stages = [], set(head), _stages(model, shape, variables)
    for stage in auxiliary_names(stages):
        del stages[stage]
    for names in stages.values():
        if new := names - seen:
            layers.append(new)
            seen |= new
    return {name: decay**depth for depth, layer in enumerate(reversed(layers), 1) for name in layer}


def _below(stage, model, shape, variables):
    """The names of all that a stage is computed from."""
    stages = _stages(model, shape, variables)
    if stage not in stages:
        raise InputError(f"config.finetune.freeze_to: there is no stage '{stage}'; {nearest(stage, stages)}")
    return stages[stage]


def _stages(model, shape, variables):
    """{stage: the names of all that it is computed from}, in the order in which they are computed."""
    image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)

    def features(variables, image):
        return model.apply(variables, image, train=False)[1]

    outputs = jax.tree.leaves_with_path(jax.eval_shape(features, variables, image))
    program = Program(jax.make_jaxpr(features)(variables, image))
    paths = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in jax.tree.leaves_with_path(variables)]
    names = {number: path.partition("/")[2] for number, path in zip(program.inputs, paths, strict=False)}  # no image
    found = {}
    for (path, _), output in zip(outputs, program.outputs, strict=True):
        needed = program.needed([output])
        read = {number for position in needed for number in program.equations[position].inputs}
        found[path[0].key] = max(needed, default=-1), {names[number] for number in read & names.keys()}
    return {stage: read for stage, (_, read) in sorted(found.items(), key=lambda item: item[1][0])}
