"""A traced function as one flat list of equations: calls are opened, loops unrolled."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from jaxcnn.analysis.jaxpr import CALLS, REMAT, body, inner, insides, is_literal, scan_arity, scopes
from jaxcnn.analysis.multiply_adds import multiply_adds

# Operators whose lowering is their own affair: one call by name, read by its arguments and never inside.
NAMED = ("partially_connected_conv2d",)
UNROLL_UP_TO = 2048  # iterations of a scan


class Equation(NamedTuple):
    """One operation.

    Attributes:
      name: of the primitive, or of the operator that is one named call.
      inputs, outputs: numbers of values, see `Program`.
      params: of the primitive.
      path: the names of the modules that it belongs to, outermost first.
      remat: the number of the rematerialised block that it is in, or None.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    params: dict
    path: tuple[str, ...]
    remat: int | None


class Program:
    """A closed jaxpr, flat.

    Attributes:
      equations: in the order of the trace; each value is made once.
      values: what abstract value each number stands for.
      inputs, outputs: numbers.
      constants: numbers of the arrays that the function closes over.
      notes: what was approximated, a sentence each.
    """

    def __init__(self, closed: Any) -> None:
        self.equations: list[Equation] = []
        self.values: list[Any] = []
        self.constants: set[int] = set()
        self.notes: list[str] = []
        self._remats = 0
        self.inputs = [self._new(v.aval) for v in body(closed).invars]
        self.outputs = self._open(closed, self.inputs, (), None)

    def needed(self, outputs: Iterable[int]) -> set[int]:
        """The positions of the equations that the given outputs depend on."""
        wanted, kept = set(outputs), set()
        for position in range(len(self.equations) - 1, -1, -1):
            equation = self.equations[position]
            if not wanted.isdisjoint(equation.outputs):
                kept.add(position)
                wanted.update(equation.inputs)
        return kept

    def shapes(self, numbers: Iterable[int]) -> list[tuple[int, ...]]:
        return [self.values[number].shape for number in numbers]

    def _new(self, aval):
        self.values.append(aval)
        return len(self.values) - 1

    def _constant(self, aval):
        number = self._new(aval)
        self.constants.add(number)
        return number

    def _open(self, jaxpr, arguments, path, remat):
        """Adds the equations of a jaxpr called with these values; returns the numbers of its results."""
        jaxpr = body(jaxpr)
        known = dict(zip(jaxpr.invars, arguments, strict=True))
        known |= {v: self._constant(v.aval) for v in jaxpr.constvars}

        def read(atom):
            return self._new(atom.aval) if is_literal(atom) else known[atom]

        for eqn in jaxpr.eqns:
            inputs = [read(atom) for atom in eqn.invars]
            results = self._step(eqn, inputs, (*path, *scopes(eqn)), remat)
            known |= dict(zip(eqn.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _step(self, eqn, inputs, path, remat):
        name, params = eqn.primitive.name, eqn.params
        if name in CALLS and params.get("name") in NAMED:
            return self._add(params["name"], inputs, eqn.outvars, {"window": _window(inner(eqn))}, path, remat)
        if name in CALLS:
            return self._open(inner(eqn), inputs, path, remat)
        if name in REMAT:
            if remat is None:
                self._remats, remat = self._remats + 1, self._remats
            return self._open(inner(eqn), inputs, path, remat)
        if name == "scan" and params["length"] <= UNROLL_UP_TO:
            return self._unroll(eqn, inputs, path, remat)
        if insides(eqn):
            params = {"macs": self._inside(eqn, path)}
        return self._add(name, inputs, eqn.outvars, params, path, remat)

    def _add(self, name, inputs, outvars, params, path, remat):
        outputs = [self._new(v.aval) for v in outvars]
        self.equations.append(Equation(name, tuple(inputs), tuple(outputs), params, path, remat))
        return outputs

    def _unroll(self, eqn, inputs, path, remat):
        """A scan as its iterations, one after another; what it stacks comes out as one `stack`."""
        iteration = body(eqn.params["jaxpr"])
        constants, carried = scan_arity(eqn)
        fixed, carry = inputs[:constants], inputs[constants : constants + carried]
        stacked, slices = inputs[constants + carried :], iteration.invars[constants + carried :]
        rows = []
        for _ in range(eqn.params["length"]):
            here = [self._add("scan_slice", [x], [v], {}, path, remat)[0] for x, v in zip(stacked, slices, strict=True)]
            results = self._open(iteration, [*fixed, *carry, *here], path, remat)
            carry = results[:carried]
            rows.append(results[carried:])
        ends = zip(eqn.outvars[carried:], zip(*rows, strict=True) if rows else (), strict=True)
        return [*carry, *(self._add("stack", column, [v], {"axis": 0}, path, remat)[0] for v, column in ends)]

    def _inside(self, eqn, path):
        """Multiply-adds of an equation that stays closed: of a loop or a branch, or of a call of an unknown kind."""
        name, params = eqn.primitive.name, eqn.params
        inside = [_products(jaxpr) for jaxpr in insides(eqn)]
        where = f"{name} in {'/'.join(path) or 'the function'}"
        if not any(inside):
            return 0
        if name == "cond":
            self.notes.append(f"{where}: the multiply-adds are those of its most expensive branch")
            return max(inside)
        if name == "scan":
            self.notes.append(f"{where}: {params['length']} iterations are not unrolled, they are one layer")
            return params["length"] * sum(inside)
        self.notes.append(f"{where}: how often it runs is not known, its multiply-adds are counted once")
        return sum(inside)


def _products(jaxpr):
    total = 0
    for eqn in jaxpr.eqns:
        inside = [_products(j) for j in insides(eqn)]
        if eqn.primitive.name == "cond":
            total += max(inside)
        elif inside:
            total += eqn.params.get("length", 1) * sum(inside)
        else:
            shapes = ([v.aval.shape for v in atoms] for atoms in (eqn.invars, eqn.outvars))
            total += multiply_adds(eqn.primitive.name, *shapes, eqn.params)
    return total


def _window(jaxpr):
    """The window of the one convolution inside a named operator."""
    return next(eqn.params["window"] for eqn in body(jaxpr).eqns if "window" in eqn.params)


def size_in_bytes(aval: Any) -> int:
    """The size of an array of this shape and dtype."""
    return math.prod(aval.shape) * aval.dtype.itemsize
