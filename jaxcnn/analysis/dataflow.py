"""A traced function as equations of numbered values, any of which is computed from those that are known."""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxcnn.analysis.jaxpr import bind, body, constants, inner, is_literal


class Equation(NamedTuple):
    """An equation of a jaxpr, and the numbers of the values that it reads and makes."""

    eqn: Any
    inputs: list[int]
    results: list[int]


class Dataflow:
    """The equations of a jaxpr, in order, and the numbers of their values.

    Args:
      jaxpr: closed over its constants.
      inlined: the names of calls in whose place stand the equations that they call.
    Attributes:
      equations: list of Equations.
      constants: {number: value} of what stands in the jaxpr.
      arguments, results: the numbers of what the function takes and returns.
    """

    def __init__(self, jaxpr: Any, *, inlined: Collection[str] = ()) -> None:
        self.equations: list[Equation] = []
        self.constants: dict[int, Any] = {}
        self._numbers, self._inlined = itertools.count(), inlined
        self.arguments = self._new(body(jaxpr).invars)
        self.results = self._add(jaxpr, self.arguments)

    def needed(self, wanted: Iterable[int], known: Collection[int] = ()) -> list[Equation]:
        """The equations on which some values depend, in order, where those of the numbers in `known` are given."""
        given = self.constants.keys() | set(known)
        numbers, found = set(wanted) - given, []
        for equation in reversed(self.equations):
            if not numbers.isdisjoint(equation.results):
                numbers.update(number for number in equation.inputs if number not in given)
                found.append(equation)
        return found[::-1]

    def values(self, wanted: Sequence[int], known: Mapping[int, Any]) -> list[Any]:
        """The values of these numbers from {number: value}; nothing is computed on which they do not depend."""
        values = {**self.constants, **known}
        for equation in self.needed(wanted, known):
            results = bind(equation.eqn, [values[number] for number in equation.inputs])
            for number, value in zip(equation.results, results, strict=True):
                values.setdefault(number, value)
        return [values[number] for number in wanted]

    def _new(self, variables):
        return [next(self._numbers) for _ in variables]

    def _constant(self, value):
        (number,) = self._new([value])
        self.constants[number] = value
        return number

    def _add(self, jaxpr, arguments):
        """Adds the equations of a jaxpr; the numbers of its results."""
        own = body(jaxpr)
        numbers = dict(zip(own.invars, arguments, strict=True))
        numbers |= dict(zip(own.constvars, map(self._constant, constants(jaxpr)), strict=True))

        def read(atoms):
            return [self._constant(atom.val) if is_literal(atom) else numbers[atom] for atom in atoms]

        for eqn in own.eqns:
            inputs = read(eqn.invars)
            if eqn.primitive.name in self._inlined:
                results = self._add(inner(eqn), inputs)
            else:
                results = self._new(eqn.outvars)
                self.equations.append(Equation(eqn, inputs, results))
            numbers |= dict(zip(eqn.outvars, results, strict=True))
        return read(own.outvars)
