"""Whose names a file of weights has: torchvision's, timm's, Caffe's, or those of a table of one's own."""

import inspect
import os
from typing import Any

from flax.traverse_util import flatten_dict

from jaxcnn.architectures import CLAIMS, create
from jaxcnn.errors import InputError, input_errors, look_up, nearest
from jaxcnn.files import read_json
from jaxcnn.training.finetune.plan import changes_with_classes
from jaxcnn.training.state import abstract_variables
from jaxcnn.transfer import caffe, timm, torchvision
from jaxcnn.transfer.layout import Layout, Preprocessing
from jaxcnn.transfer.mapping import KERNEL, LINEAR, SAME, Entry, flatten

SOURCES = {"torchvision": torchvision.LAYOUTS, "timm": timm.LAYOUTS, "caffe": caffe.LAYOUTS}
NAMES = {"torchvision": torchvision.NAMES, "timm": timm.NAMES, "caffe": caffe.NAMES}

PARTS = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def our_name(source: str, architecture: str) -> tuple[str, dict[str, Any]]:
    """Our name of a library's architecture: ("vgg_d", {"batch_norm": True}) of torchvision's vgg16_bn.

    Returns:
      (a name of ours, options of it); any other name as it is.
    """
    return NAMES.get(source, {}).get(architecture, (architecture, {}))


def check_source(source: str) -> None:
    """Raises InputError where a source is neither the name of a library nor the .json file of a table."""
    if not str(source).endswith(".json"):
        with input_errors(""):
            look_up(source, table=SOURCES, kind="source of weights")


def find_layout(
    source: str, architecture: str, options: dict[str, Any], *, where: str = ""
) -> tuple[Layout, tuple[Entry, ...], dict[str, Any]]:
    """How one source names an architecture: (layout, mapping under these options, the options with the layout's).

    Args:
      source: "torchvision", "timm", "caffe", or the .json file of a table, see `read_table`.
      architecture: a name of ours.
      options: of the architecture.
      where: "FILE: ", where that says which architecture it is, for the error.
    Raises:
      InputError: an unknown source, or one without this architecture.
    """
    if str(source).endswith(".json"):
        found = _layout_of_table(source, architecture, options)
        return found, found.entries(), options
    check_source(source)
    layouts = SOURCES[source]
    found = [layout for name, layout in layouts.items() if architecture in (name, layout.model)]
    if not found:
        raise InputError(
            f"{where}{source} has no layout for {architecture!r} (weights under other names: --from TABLE.json); "
            f"{nearest(architecture, {*layouts, *NAMES[source]})}"
        )
    options = {**found[0].options, **options}
    shaping = inspect.signature(found[0].entries).parameters  # the options that change which parameters there are
    return found[0], found[0].entries(**{key: x for key, x in options.items() if key in shaping}), options


def read_table(file: str | os.PathLike[str]) -> dict[str, Any]:
    """A table of names: {"their layer": "our layer"}, as JSON.

    A layer of theirs has weight and bias, and as a batch norm running_mean and running_var; ours is a module path, as
    `jaxcnn.training.state.abstract_variables` has it. The first full connection behind a map is written with the shape
    of that map, since they flatten (channels, height, width) and we (height, width, channels):

      {"features.0": "conv1", "features.1": "conv1_norm", "classifier.1": {"layer": "fc6", "flatten": [256, 6, 6]}}

    Returns:
      {their layer: (our layer, None or (channels, height, width))}.
    Raises:
      InputError: the file cannot be read or is no such table.
    """
    table = {}
    for theirs, ours in read_json(file).items():
        shape = ours.get("flatten") if isinstance(ours, dict) else None
        layer = ours.get("layer") if isinstance(ours, dict) else ours
        numbers = shape is None or (isinstance(shape, list) and [type(x) for x in shape] == [int] * 3)
        if (
            not isinstance(layer, str)
            or not numbers
            or (isinstance(ours, dict) and not {*ours} <= {"layer", "flatten"})
        ):
            raise InputError(
                f'{file}: {theirs!r} is {ours!r}; it is the name of a layer, as "conv1", or '
                '{"layer": "fc6", "flatten": [channels, height, width]}.'
            )
        table[theirs] = layer, tuple(shape) if shape else None
    return table


def _layout_of_table(file, architecture, options):
    table = read_table(file)
    claim = CLAIMS.get(architecture)
    if claim is None:
        raise InputError(
            f"a table of names is for a named architecture, not for {architecture!r}; {nearest('', CLAIMS)}"
        )
    with input_errors(""):
        model = create(architecture, **options)
    layers = _layers(abstract_variables(model, claim.input))
    for theirs, (ours, _) in table.items():
        if ours not in layers:
            raise InputError(
                f"{file}: {theirs!r} is {ours!r}, which is no layer of {architecture}; {nearest(ours, layers)}"
            )
    heads = {name.rpartition("/")[0] for name in changes_with_classes(model, claim.input)}
    head = next((theirs for theirs, (ours, _) in table.items() if ours in heads), None)
    if head is None:
        raise InputError(f"{file} has no row for {' or '.join(sorted(heads))}, whose length is the number of classes.")
    part = "bias" if any(path[-1] == "bias" for path in layers[table[head][0]]) else "weight"
    entries = tuple(entry for theirs, (ours, shape) in table.items() for entry in _entries(theirs, layers[ours], shape))
    prepared = Preprocessing(claim.input[:2], None, (), (), channels=claim.input[2])
    return Layout(lambda: entries, f"{head}.{part}", prepared)


def _layers(variables):
    """{module path: {path of a tensor: its shape}}."""
    layers = {}
    for path, leaf in flatten_dict(variables).items():
        layers.setdefault("/".join(path[1:-1]), {})[path] = leaf.shape
    return layers


def _entries(theirs, tensors, flat):
    """The entries of one layer; a tensor that has no usual name keeps ours."""
    for path, shape in tensors.items():
        transform = SAME
        if path[-1] == "kernel":
            transform = flatten(*flat) if flat else (KERNEL if len(shape) == 4 else LINEAR)
        yield Entry(f"{theirs}.{PARTS.get(path[-1], path[-1])}", path, transform)
