"""The costs and receptive fields of a network, as numbers for a program and as the lecture's table for a person."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxcnn.analysis.accounting import analyse
from jaxcnn.architectures import CLAIMS, create


def summarize(model: Any, shape: Sequence[int] | None = None, *, batch: int = 1) -> dict[str, Any]:
    """Traces a model on images of a shape, without compiling or allocating.

    Args:
      model: a Linen module that returns (logits, features) or (image, features), or what else `analyse` takes; or the
        name of an architecture.
      shape: (h, w, c) of an image; None for that of the paper, of an architecture that is given by its name.
      batch: images in the batch.
    Returns:
      A dict that JSON can hold; pairs are (vertical, horizontal):
        input: (n, h, w, c).
        parameters, parameter_bytes: trainable ones, auxiliary heads included.
        macs: multiply-adds of one image on the path to the main logits.
        activations: {"values", "bytes"} of the images and every layer's output on that path, summed; "forward_bytes",
          the most that is alive at once; "training_bytes", what waits for the backward pass. All for the batch.
        receptive_field: {stage: {"size", "stride", "padding", "offset", "whole_image"}}, see `field.Field`.
        stages: [{"stage", "shape", "bytes"}] in the order in which the network names them, its result last.
        layers: [{"layer", "kind", "stage", "inputs", "shape", "bytes", "parameters", "macs", "auxiliary",
          "receptive_field"}], the images first.
        notes: what was approximated, a sentence each; mostly none.
    Raises:
      ValueError: the images do not fit the model, or there is no shape.
    """
    if shape is None:
        shape = paper_input(model)
    if isinstance(model, str):
        model = create(model)
    found = analyse(model, shape, batch=batch)
    return {
        "input": tuple(found.input),
        "parameters": found.parameters,
        "parameter_bytes": found.parameter_bytes,
        "macs": found.macs,
        "activations": {
            "values": found.values,
            "bytes": found.bytes,
            "forward_bytes": found.forward_bytes,
            "training_bytes": found.training_bytes,
        },
        "receptive_field": {name: _field(field) for name, (_, _, field) in found.stages.items()},
        "stages": [
            {"stage": name, "shape": tuple(shape), "bytes": size} for name, (shape, size, _) in found.stages.items()
        ],
        "layers": [_layer(layer) for layer in found.layers],
        "notes": list(found.notes),
    }


def paper_input(name: str) -> tuple[int, int, int]:
    """(h, w, c) of the images that an architecture was published for; ValueError where no paper states it."""
    if not isinstance(name, str):
        raise ValueError("shape is None; the (h, w, c) of the images of a module has to be given")
    if name not in CLAIMS:
        create(name)  # of an unknown name the nearest is said
        raise ValueError(f"no paper states the input of {name}: give its (h, w, c)")
    return CLAIMS[name].input


def _layer(layer):
    return {
        "layer": layer.name,
        "kind": layer.kind,
        "stage": layer.stage,
        "inputs": list(layer.inputs),
        "shape": layer.shape and tuple(layer.shape),
        "bytes": layer.bytes,
        "parameters": layer.parameters,
        "macs": layer.macs,
        "auxiliary": layer.auxiliary,
        "receptive_field": _field(layer.field),
    }


def _field(field):
    if field is None:
        return None
    found = {"size": field.size, "stride": field.stride, "padding": field.padding, "offset": field.offset}
    return {**found, "whole_image": field.whole}


def layer_table(totals: Mapping[str, Any], *, flops: bool = False) -> list[str]:
    """Lines of a table: layer, output, memory, parameters, multiply-adds, receptive field; then the totals.

    Args:
      totals: what `summarize` returns.
      flops: writes 2 x MAC instead.
    """
    header = ("layer", "output", "memory", "parameters", _unit(flops), "field", "stride", "padding")
    rows = []
    for layer in totals["layers"]:
        name = layer["layer"] + (f" = {layer['stage']}" if layer["stage"] not in (None, layer["layer"]) else "")
        shape = "not read" if layer["shape"] is None else times(layer["shape"])
        macs = "auxiliary" if layer["auxiliary"] else f"{layer['macs'] * (1 + flops):,}"
        rows.append((name, shape, size(layer["bytes"]), f"{layer['parameters']:,}", macs, *_view(layer)))
    return [*aligned(header, rows, left=2), "", *totals_lines(totals, flops=flops)]


def totals_lines(totals: Mapping[str, Any], *, flops: bool = False) -> list[str]:
    """The totals, a line each."""
    memory, per = totals["activations"], f"a batch of {totals['input'][0]}" if totals["input"][0] > 1 else "an image"
    return [
        f"input {times(totals['input'])}: {totals['parameters']:,} parameters, {size(totals['parameter_bytes'])}",
        f"{totals['macs'] * (1 + flops):,} {_unit(flops)} for an image, to the {_result(totals)}",
        f"activations of {per}: {memory['values']:,} values, {size(memory['bytes'])}; at most "
        f"{size(memory['forward_bytes'])} at once in a forward pass, {size(memory['training_bytes'])} kept to train",
        *(f"note: {note}" for note in totals["notes"]),
    ]


def _result(totals):
    name = totals["stages"][-1]["stage"]
    return "main logits" if name == "logits" else f"output '{name}'"


def comparison_table(several: Mapping[str, Mapping[str, Any]], *, flops: bool = False) -> list[str]:
    """Lines of a table with a column for each network; several: {name: what `summarize` returns}."""
    rows = {
        "input": lambda t: times(t["input"]),
        "parameters": lambda t: f"{t['parameters']:,}",
        _unit(flops): lambda t: f"{t['macs'] * (1 + flops):,}",
        "layers with parameters": lambda t: sum(layer["parameters"] > 0 for layer in t["layers"]),
        "parameter memory": lambda t: size(t["parameter_bytes"]),
        "activations": lambda t: size(t["activations"]["bytes"]),
        "forward, at once": lambda t: size(t["activations"]["forward_bytes"]),
        "kept for training": lambda t: size(t["activations"]["training_bytes"]),
        "last image stage": lambda t: _last(t)[0],
        "its output": lambda t: times(_last(t)[1]),
        "its receptive field": lambda t: _pair(_last(t)[2]["size"]),
        "its stride": lambda t: _pair(_last(t)[2]["stride"]),
    }
    body = [(label, *(str(read(totals)) for totals in several.values())) for label, read in rows.items()]
    return aligned(("", *several), body, left=1)


def _last(totals):
    """The last stage that still has positions: (name, shape, field); the logits where there is none."""
    stages = [(s["stage"], s["shape"], totals["receptive_field"][s["stage"]]) for s in totals["stages"]]
    return next((s for s in reversed(stages) if s[2] and max(s[2]["stride"]) > 0), stages[-1])


def _view(layer):
    field = layer["receptive_field"]
    if field is None:
        return "-", "-", "-"
    if field["whole_image"] and max(field["stride"]) == 0:
        return "image", "-", "-"
    (top, bottom), (left, right) = field["padding"]
    padding = f"{top},{bottom}" if (top, bottom) == (left, right) else f"{top},{bottom} {left},{right}"
    return _pair(field["size"]), _pair(field["stride"]), padding


def _pair(pair):
    return str(pair[0]) if pair[0] == pair[1] else times(pair)


def _unit(flops):
    return "FLOPs (2 x MAC)" if flops else "MACs"


def times(shape: Sequence[int]) -> str:
    """A shape for a reader, 1x28x28x6."""
    return "x".join(map(str, shape))


def size(number: float) -> str:
    """Bytes for a reader."""
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if number >= 2**power:
            return f"{number / 2**power:.2f} {unit}"
    return f"{number} B"


def aligned(header: Sequence[Any], rows: Iterable[Sequence[Any]], *, left: int) -> list[str]:
    """Lines with the columns under each other, the first `left` of them flush left, the others right."""
    rows = [header, *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]
