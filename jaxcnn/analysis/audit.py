"""Recomputes every number of the ledger that can be recomputed, without compiling or allocating.

A row is "match", "erratum" or "protocol" as the ledger says; "drift" where the recomputed value no longer rounds to
what is printed, or the true value of an erratum is no longer found; "missing" where the architecture, or the layer or
stage that the number is of, does not exist; "absent" where it is recomputed from a data set that is not here.
"""

from __future__ import annotations

import functools
import json
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import rich.box
import rich.console
import rich.markup
import rich.table

from jaxcnn import data
from jaxcnn.analysis.accounting import result_name
from jaxcnn.analysis.ledger import LEDGER, Entry
from jaxcnn.analysis.summary import summarize
from jaxcnn.architectures import CLAIMS, create
from jaxcnn.errors import InputError, nearest

FAULTS = ("drift", "missing")
WIDTH = 200  # columns of a table that goes into a file or a pipe
STYLES = {
    "match": "green",
    "erratum": "yellow",
    "protocol": "dim",
    "absent": "dim",
    "drift": "bold red",
    "missing": "bold red",
}


class Missing(Exception):
    """An architecture, a layer or a stage that a number is of does not exist."""


class Absent(Exception):
    """A data set that a number is recomputed from is not here."""


class Row(NamedTuple):
    """An entry, its recomputed value (None where nothing recomputes it) and the verdict; detail says what lacks."""

    entry: Entry
    recomputed: Any
    verdict: str
    detail: str = ""


class Network:
    """Counts and shapes of a named architecture at its paper's input, each traced when it is first asked for.

    A part is the path of a module, "inception_3a" or "inception_3a/5x5"; what lies below it counts. Asking for a part
    or a stage that does not exist is Missing.

    Attributes:
      name: a key of CLAIMS.
      options: of the architecture.
    """

    def __init__(self, name: str, options: Any = ()) -> None:
        self.name, self.options = name, dict(options)
        self.input = CLAIMS[name].input

    def parameters(self, *parts: str, without: Sequence[str] = (), weights: bool = False) -> int:
        """Number of trainable parameters below the parts, or of all, without some; weights leaves out the biases."""
        return sum(
            size
            for path, size in self._below(self._variables, parts)
            if not _is_below(path, without) and (not weights or path.endswith("/kernel"))
        )

    def macs(self, *parts: str) -> int:
        """Multiply-adds of an image below the parts, or on the whole path to the main logits."""
        if not parts:
            return self._summary["macs"]
        rows = [(row["layer"], row["macs"]) for row in self._summary["layers"]]
        return sum(macs for _, macs in self._below(rows, parts))

    def shape(self, stage: str) -> tuple[int, ...]:
        """(h, w, c) or (c,) that a stage of the features, or the result, "logits", puts out for an image."""
        if stage not in self._stages:
            raise Missing(f"{self.name} has no stage {stage}")
        return self._stages[stage]

    def units(self, *stages: str) -> int:
        """Number of activations of an image in the stages; without any, in the input and all stages."""
        shapes = [self.shape(stage) for stage in stages] or [self.input, *self._stages.values()]
        return sum(map(math.prod, shapes))

    def receptive_field(self, stage: str) -> int:
        """Side in pixels of what a unit of the stage sees."""
        field = self._summary["receptive_field"]
        if not field.get(stage):
            raise Missing(f"{self.name} has no receptive field of a stage {stage}")
        return max(field[stage]["size"])

    def _below(self, rows, parts):
        for part in parts:
            if not any(_is_below(path, (part,)) for path, _ in rows):
                raise Missing(f"{self.name} has no layer {part}")
        return [row for row in rows if not parts or _is_below(row[0], parts)]

    @functools.cached_property
    def _traced(self):
        images = jax.ShapeDtypeStruct((1, *self.input), jnp.float32)
        model = create(self.name, **self.options)

        def run(x):
            (result, features), variables = model.init_with_output(jax.random.key(0), x, train=False)
            return {**features, result_name(model): result}, variables["params"]

        return jax.eval_shape(run, images)

    @property
    def _variables(self):
        leaves = jax.tree_util.tree_leaves_with_path(self._traced[1])
        return [("/".join(key.key for key in path), math.prod(leaf.shape)) for path, leaf in leaves]

    @property
    def _stages(self):
        return {stage: tuple(x.shape[1:]) for stage, x in self._traced[0].items()}

    @functools.cached_property
    def _summary(self):
        return summarize(create(self.name, **self.options), self.input)


def _is_below(path, parts):
    return any(path == part or path.startswith(f"{part}/") for part in parts)


def audit(
    names: Sequence[str] | None = None,
    *,
    ledger: Sequence[Entry] = LEDGER,
    data_dir: str = "",
    report: Callable[[int, int], object] = lambda done, total: None,
) -> list[Row]:
    """Recomputes the ledger.

    Args:
      names: the architectures, or "lectures", whose numbers to recompute; None or empty for all.
      ledger: sequence of Entry.
      data_dir: where sets of tensorflow-datasets lie, from which some numbers are recomputed; empty for TFDS's own.
      report: called with how many of the numbers are recomputed, and of how many.
    Returns:
      A list of Row, in the order of the ledger.
    Raises:
      InputError: nothing in the ledger is of such a name.
    """
    subjects = {entry.subject for entry in ledger}
    for name in names or ():
        if name not in subjects:
            raise InputError(f"no printed numbers of {name!r}; {nearest(name, subjects)}")
    made, rows = {}, []
    chosen = [entry for entry in ledger if not names or entry.subject in names]
    for entry in chosen:
        rows.append(_row(entry, made, data_dir))
        report(len(rows), len(chosen))
    return rows


def _row(entry, made, data_dir):
    """The Row of an entry; `made` keeps the networks and images that several entries are of."""
    if entry.subject != "lectures" and entry.subject not in CLAIMS:
        return Row(entry, None, "missing", f"there is no architecture {entry.subject}")
    try:
        if entry.formula:
            recomputed = entry.formula()
        elif entry.measure:
            key = entry.subject, json.dumps(dict(entry.options), sort_keys=True)
            made[key] = made.get(key) or Network(entry.subject, entry.options)
            recomputed = entry.measure(made[key])
        elif entry.from_images:
            made[entry.data] = made.get(entry.data) or _images(entry.data, data_dir)
            recomputed = entry.from_images(*made[entry.data])
        else:
            return Row(entry, None, entry.status)
    except Missing as error:
        return Row(entry, None, "missing", str(error))
    except Absent as error:
        return Row(entry, None, "absent", str(error))
    return Row(entry, recomputed, entry.verdict(recomputed))


def _images(name, data_dir):
    """The images of train and test of a data set."""
    try:
        return tuple(data.read_all(data.load(name, split, data_dir=data_dir))["image"] for split in ("train", "test"))
    except ValueError as error:
        raise Absent(f"{name} cannot be read: {error}") from error


def show(rows: Sequence[Row], *, as_json: bool = False) -> int:
    """Prints the audit as a table, or as one JSON object; the exit code is 1 where a number drifted or is missing."""
    faults = [row for row in rows if row.verdict in FAULTS]
    if as_json:
        print(json.dumps({"rows": [as_dict(row) for row in rows], "faults": len(faults)}))
        return int(bool(faults))
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    for column in ("number", "source", "quantity", "printed", "recomputed", "status"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(rich.markup.escape, cells(row)), style=STYLES[row.verdict])
    console = rich.console.Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    console.print(table)
    for row in rows:
        if row.verdict in ("erratum", "absent", *FAULTS):
            console.print(rich.markup.escape(explanation(row)), soft_wrap=True)
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in STYLES}
    console.print(", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n or verdict in ("match", "drift")))
    return int(bool(faults))


def cells(row: Row) -> tuple[str, ...]:
    """The texts of a row of the table."""
    entry = row.entry
    source = f"{entry.source} ({entry.data}, {entry.protocol}, {entry.images:,})" if entry.images else entry.source
    return entry.name, source, entry.quantity, entry.printed, _text(row.recomputed), row.verdict


def explanation(row: Row) -> str:
    """The line below the table with the error of a number."""
    entry, found = row.entry, f"recomputed {_text(row.recomputed)}" if row.verdict == "drift" else row.detail
    parts = [f"printed {entry.printed}"]
    if entry.true is not None:
        parts.append(f"right {_text(entry.true)}")
    return f"{row.verdict}: {entry.name}: {', '.join(filter(None, (*parts, found)))}; {entry.reason or entry.source}"


def as_dict(row: Row) -> dict[str, Any]:
    """A row as plain values, for JSON."""
    entry = row.entry
    fields = ("name", "subject", "quantity", "printed", "source", "true", "reason", "data", "protocol", "images")
    values = {field: getattr(entry, field) for field in fields}
    return {**values, "recomputed": row.recomputed, "status": row.verdict, "detail": row.detail}


def _text(value):
    if value is None:
        return ""
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
