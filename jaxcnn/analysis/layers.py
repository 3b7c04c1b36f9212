"""The layers of a program: its equations gathered by module, pooling, merge of branches or named stage.

A layer begins where a module with parameters of its own begins, and at every convolution, matrix product, pooling,
reduction over the image, concatenation, and elementwise operation that joins two layers. Other operations (an
activation, a dropout, a reshape) are done in place: they belong to the layer whose result they take. They are a layer
of their own where the network names their result as a stage (a normalisation without parameters).
"""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxcnn.analysis.field import View, image_view
from jaxcnn.analysis.multiply_adds import CONVOLUTIONS, multiply_adds
from jaxcnn.analysis.propagate import ELEMENTWISE, propagate

WINDOWS = frozenset((*CONVOLUTIONS, "max_pool", "window_sum", "select_and_scatter_add"))
NAMES = {  # kinds as a reader knows them; a primitive that is not here keeps its name
    "add_any": "add",
    "conv2d_input": "transposed_conv",
    "conv_general_dilated": "conv2d",
    "dot_general": "dense",
    "partially_connected_conv2d": "conv2d",
    "reduce_max": "global_max_pool",
    "reduce_sum": "global_pool",
    "reduce_window_max": "max_pool",
    "reduce_window_sum": "average_pool",
    "window_sum": "average_pool",
}


@dataclasses.dataclass(eq=False)
class Row:
    """One layer while it is gathered."""

    path: tuple[str, ...]
    kind: str
    output: int
    owned: bool = False  # it is a module with parameters
    inputs: set = dataclasses.field(default_factory=set)
    macs: int = 0
    main: bool = False  # on the path to the main result
    in_place: bool = True
    remat: int | None = None
    stage: str | None = None
    leaves: set = dataclasses.field(default_factory=set)  # numbers of its parameters
    origin: Any = None  # the row it is part of, unless a stage is found in it
    after: Any = None  # what follows its stage

    @property
    def real(self) -> Row:
        """Itself, or the row that it is a part of."""
        return self if self.origin is None or self.stage else self.origin.real


class Walk:
    """Gathers the rows of a program.

    Args:
      program: a `Program`.
      image: number of the images among its values.
      leaves: {number: path} of the parameters.
      stages: {number: name} of results that the network names.
      needed, main: positions of the equations that any result, and that the main result needs.
      trained: whether the arrays that the function closes over are weights.

    Attributes:
      rows: in the order of the network, the images first.
      views: {number: View}.
      row_of: {number: Row}.
    """

    def __init__(
        self, program: Any, *, image: int, leaves: Any, stages: Any, needed: Any, main: Any, trained: Any
    ) -> None:
        self.program, self.image, self.leaves, self.stages = program, image, leaves, stages
        self.views = {image: image_view(program.values[image].shape)}
        self.batch = program.values[image].shape[0]
        first = Row((), "input", image, main=True, in_place=False)
        self.rows, self.row_of = [first], {image: first}
        self._weights = set(leaves) | (program.constants if trained else set())
        self._from = {number: {number} for number in self._weights}  # the weights that a value without image is made of
        self._modules = _leaf_modules(leaves.values())
        self._open = None
        for position, equation in enumerate(program.equations):
            if position in needed:
                self._step(equation, position in main)
        self.rows = [row for row in self.rows if row.real is row]
        for row in self.rows:
            row.inputs = {r.real for r in row.inputs} - {row}

    def _step(self, equation, main):
        module = self._module(equation.path)
        if self._open and self._open[0] != module:
            self._open = None
        seen = [n for n in equation.inputs if n in self.views]
        weights = set().union(*(self._from.get(n, ()) for n in equation.inputs))
        if not seen:
            self._from |= dict.fromkeys(equation.outputs, weights)
            return
        shapes = self.program.shapes(equation.inputs), self.program.shapes(equation.outputs)
        views = propagate(equation.name, [self.views.get(n) for n in equation.inputs], *shapes, equation.params)
        self.views |= dict(zip(equation.outputs, views, strict=True))
        macs = self._macs(equation, shapes)
        row = self._row(equation, module, self._sources(seen), macs)
        row.macs += macs if main else 0
        row.main |= main
        row.real.leaves |= weights
        self.row_of |= dict.fromkeys(equation.outputs, row)
        self._extend(row, equation)

    def _macs(self, equation, shapes):
        """Of one image; a product counts by a parameter or by data, not by a fixed matrix (a blur, a resize)."""
        if equation.name == "dot_general":
            if not all(n in self.views or self._from.get(n) for n in equation.inputs):
                return 0
        return multiply_adds(equation.name, *shapes, equation.params) // self.batch

    def _sources(self, seen):
        """The rows that an equation reads, without those that another of them only continues."""
        rows = list(dict.fromkeys(self.row_of[n] for n in seen))
        origins = {row.origin for row in rows}
        return [row for row in rows if row not in origins]

    def _row(self, equation, module, sources, macs):
        begins = macs > 0 or self._begins(equation)
        if self._open:
            row = self._open[1]
            row.inputs.update(s for s in sources if s is not row)
            row.in_place &= not begins
            return row
        if module is None and not begins and len(sources) == 1:
            return self._continued(sources[0], equation)
        path = equation.path if module is None else module
        kind = NAMES.get(equation.name, equation.name) if begins or module is None else "elementwise"
        row = Row(path, kind, equation.outputs[0], owned=module is not None)
        row.inputs.update(sources)
        row.in_place, row.remat = not begins, equation.remat
        self.rows.append(row)
        if module is not None:
            self._open = module, row
        return row

    def _begins(self, equation):
        if equation.name in WINDOWS or equation.name.startswith("reduce_window"):
            return True
        seen = [n for n in equation.inputs if n in self.views]
        if equation.name in ("concatenate", "stack"):
            return len(seen) > 1
        if equation.name.startswith("reduce_") and "axes" in equation.params:
            factors = (f for axis in equation.params["axes"] for f in self.views[seen[0]].axes[axis])
            return any(f.length > 1 and f.steps != (0, 0) for f in factors)
        return False

    def _continued(self, row, equation):
        """The row of an operation in place: the row itself, or what follows it once its stage is complete."""
        if row.stage is None and row.kind != "input":
            return row
        if row.after is None:
            row.after = Row(equation.path, equation.name, equation.outputs[0], remat=equation.remat, origin=row)
            row.after.inputs.add(row)
            self.rows.append(row.after)
        return self._continued(row.after, equation) if row.after.stage else row.after

    def _extend(self, row, equation):
        """Moves the end of the row to this equation, where it is one, and names it where the network names it."""
        out = equation.outputs[0]
        alike = self.program.values[out].shape == self.program.values[row.output].shape
        if self._open or (equation.name in ELEMENTWISE and alike):
            row.output = out
        named = next((n for n in equation.outputs if n in self.stages), None)
        if named is not None:
            row.stage, row.output = self.stages[named], named
            if row.origin is not None:
                row.kind = NAMES.get(equation.name, equation.name)

    def _module(self, path):
        """The longest beginning of a path that is a module with parameters and without children."""
        return next((path[:n] for n in range(len(path), 0, -1) if path[:n] in self._modules), None)

    def view(self, row: Row) -> View:
        return self.views[row.output]


def _leaf_modules(paths):
    owners = {path[:-1] for path in paths} - {()}
    parents = {owner[:n] for owner in owners for n in range(len(owner))}
    return owners - parents


def attribute(rows: Any, leaves: Any) -> tuple[dict[Row, list[int]], list[int]]:
    """Gives each parameter to the first layer that reads it; returns ({row: numbers}, numbers that none reads)."""
    owner, left = {row: [] for row in rows}, set(leaves)
    for row in rows:
        found = sorted(row.leaves & left)
        owner[row] = found
        left -= set(found)
    return owner, sorted(left)
