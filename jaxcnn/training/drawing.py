"""Draws by a function that runs once: the random bits of all its arrays come from one program, the rest from another.

JAX computes the bits of each array where they are used, and XLA compiles them anew for every array: two thirds of the
time to compile the program that draws a network's weights. Here one loop computes the bits of all arrays in blocks.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import threefry_2x32

from jaxcnn.analysis.jaxpr import CALLS, bind, body, constants, inner, is_literal
from jaxcnn.training.compilation import compiled

if TYPE_CHECKING:
    from jax.sharding import Sharding

BLOCK = 2**16  # words of a turn of the loop; each array begins a block


class _Equation(NamedTuple):
    """An equation of a jaxpr, and the numbers of the values that it reads and makes."""

    eqn: Any
    inputs: list[int]
    results: list[int]

    @property
    def blocks(self):
        """Of an array of random words, the blocks that hold it."""
        return -(-math.prod(self.eqn.params["shape"]) // BLOCK)


def draw(function: Any, sharding: Sharding) -> Any:
    """What a jitted function of no arguments returns, bit for bit; its program compiles sooner.

    Where the bits of JAX's keys are not those of a counter (JAX_DEFAULT_PRNG_IMPL, JAX_THREEFRY_PARTITIONABLE), the
    function is compiled as it is.

    Args:
      function: f() -> tree, as jax.jit returns it.
      sharding: where its results lie.
    """
    traced = function.trace()
    equations: list[_Equation] = []
    known: dict[int, Any] = {}
    wanted = _inline(traced.jaxpr, (), equations, known, itertools.count())
    draws = [equation for equation in _needed(equations, wanted, known) if _is_draw(equation.eqn)]
    keys = _values(equations, [equation.inputs[0] for equation in draws], known)
    if not draws or not all(map(_counted, keys)):
        return compiled(function, once=True)()
    words = _words(keys, [equation.blocks for equation in draws], sharding)

    def rest(words):
        drawn, first = {}, 0
        for equation in draws:
            shape, own = equation.eqn.params["shape"], words[first : first + equation.blocks]
            drawn[equation.results[0]] = own.ravel()[: math.prod(shape)].reshape(shape)
            first += equation.blocks
        return _values(equations, wanted, {**known, **drawn})

    leaves = compiled(jax.jit(rest, out_shardings=sharding), words, once=True)(words)
    return jax.tree.unflatten(jax.tree.structure(traced.out_info), leaves)


def _counted(key):
    """Whether word i of a key's bits depends on i alone, not on how many are drawn."""
    return jax.random.key_impl(key) == "threefry2x32" and jax.config.jax_threefry_partitionable  # ty: ignore[missing-attribute]  a flag


def _is_draw(eqn):
    """Whether an equation is random words of one key, which a counter of 32 bits numbers."""
    if eqn.primitive.name != "random_bits" or eqn.params["bit_width"] != 32:
        return False
    return eqn.invars[0].aval.shape == () and 0 < math.prod(eqn.params["shape"]) < 2**32


def _words(keys, blocks, sharding):
    """So many blocks of random words of each key, (all blocks, BLOCK) uint32: word i is threefry's of the key and i."""
    owner, first = np.repeat(np.arange(len(keys)), blocks), np.concatenate([np.arange(n) for n in blocks]) * BLOCK
    unit = 2 ** max(4, len(owner).bit_length() - 3)  # few sizes: networks of about one size share the program
    spare = -len(owner) % unit
    numbers = np.stack([jax.random.key_data(key) for key in keys])[owner]
    arguments = np.pad(numbers, ((0, spare), (0, 0))), np.pad(first.astype(np.uint32), (0, spare))
    return _words_program(len(owner) + spare, sharding)(arguments)


@functools.cache
def _words_program(count, sharding):
    def block(of):
        key, first = of
        low = first + jax.lax.iota(np.uint32, BLOCK)
        left, right = jnp.split(threefry_2x32(key, jnp.concatenate([jnp.zeros_like(low), low])), 2)
        return left ^ right

    def words(blocks):
        return jax.lax.map(block, blocks)

    types = jax.ShapeDtypeStruct((count, 2), np.uint32), jax.ShapeDtypeStruct((count,), np.uint32)
    return compiled(jax.jit(words, out_shardings=sharding), types, once=True)


def _inline(
    jaxpr: Any, inputs: Sequence[int], equations: list[_Equation], known: dict[int, Any], new: Iterator[int]
) -> list[int]:
    """Appends the equations of a jaxpr, those of its calls in their place, and returns the numbers of its results.

    Args:
      jaxpr: closed over its constants.
      inputs: the numbers of its arguments.
      equations: gets the equations, in order.
      known: gets {number: value} of constants.
      new: the numbers that no value has yet.
    """
    own = body(jaxpr)
    numbers = dict(zip(own.invars, inputs, strict=True))

    def constant(value):
        number = next(new)
        known[number] = value
        return number

    def number(atom):
        return constant(atom.val) if is_literal(atom) else numbers[atom]

    numbers |= dict(zip(own.constvars, map(constant, constants(jaxpr)), strict=True))
    for eqn in own.eqns:
        read = [number(atom) for atom in eqn.invars]
        if eqn.primitive.name in CALLS:
            made = _inline(inner(eqn), read, equations, known, new)
        else:
            made = [next(new) for _ in eqn.outvars]
            equations.append(_Equation(eqn, read, made))
        numbers |= dict(zip(eqn.outvars, made, strict=True))
    return [number(atom) for atom in own.outvars]


def _needed(equations: Sequence[_Equation], wanted: Sequence[int], known: Mapping[int, Any]) -> list[_Equation]:
    """The equations on which some values depend, in order, given those that are known."""
    needed, found = set(wanted) - known.keys(), []
    for equation in reversed(equations):
        if not needed.isdisjoint(equation.results):
            needed.update(equation.inputs)
            needed -= known.keys()
            found.append(equation)
    return found[::-1]


def _values(equations: Sequence[_Equation], wanted: Sequence[int], known: Mapping[int, Any]) -> list[Any]:
    """The values of these numbers, from what is known; nothing is computed on which they do not depend."""
    values = dict(known)
    for equation in _needed(equations, wanted, known):
        results = bind(equation.eqn, [values[number] for number in equation.inputs])
        values |= dict(zip(equation.results, results, strict=True))
    return [values[number] for number in wanted]
