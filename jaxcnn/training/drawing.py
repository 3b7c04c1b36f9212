"""Draws by a function that runs once: the random bits of all its arrays come from one program, the rest from another.

JAX computes the bits of each array where they are used, and XLA compiles them anew for every array: two thirds of the
time to compile the program that draws a network's weights. Here one loop computes the bits of all arrays in blocks.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
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

Value = Callable[[], Any]  # computed where somebody asks for it, once


class _Draw(NamedTuple):
    """An array of random words: its key, and its shape."""

    key: Value
    shape: tuple[int, ...]

    @property
    def blocks(self):
        return -(-math.prod(self.shape) // BLOCK)


def draw(function: Any, sharding: Sharding) -> Any:
    """What a jitted function of no arguments returns, bit for bit; its program compiles sooner.

    Where the bits of JAX's keys are not those of a counter (JAX_DEFAULT_PRNG_IMPL, JAX_THREEFRY_PARTITIONABLE), the
    function is compiled as it is.

    Args:
      function: f() -> tree, as jax.jit returns it.
      sharding: where its results lie.
    """
    traced = function.trace()
    draws: list[_Draw] = []

    def note(draw, bits):
        draws.append(draw)
        return bits

    _values(traced.jaxpr, (), note)
    if not draws or not all(_counted(draw.key()) for draw in draws):
        return compiled(function, once=True)()
    words = _words(draws, sharding)

    def rest(words):
        starts = iter(np.cumsum([0] + [draw.blocks for draw in draws]))

        def cut(draw, _):
            start = next(starts)
            return lambda: words[start : start + draw.blocks].ravel()[: math.prod(draw.shape)].reshape(draw.shape)

        return [value() for value in _values(traced.jaxpr, (), cut)]

    leaves = compiled(jax.jit(rest, out_shardings=sharding), words, once=True)(words)
    return jax.tree.unflatten(jax.tree.structure(traced.out_info), leaves)


def _counted(key):
    """Whether word i of a key's bits depends on i alone, not on how many are drawn."""
    return jax.random.key_impl(key) == "threefry2x32" and jax.config.jax_threefry_partitionable  # ty: ignore[missing-attribute]  a flag


def _words(draws, sharding):
    """The random words of all draws, (blocks, BLOCK) uint32: word i of a key is threefry's of the key and i."""
    keys = np.stack([jax.random.key_data(draw.key()) for draw in draws])
    blocks = [draw.blocks for draw in draws]
    owner, first = np.repeat(np.arange(len(draws)), blocks), np.concatenate([np.arange(n) for n in blocks]) * BLOCK
    unit = 2 ** max(4, len(owner).bit_length() - 3)  # few sizes: networks of about one size share the program
    spare = -len(owner) % unit
    arguments = np.pad(keys[owner], ((0, spare), (0, 0))), np.pad(first.astype(np.uint32), (0, spare))
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


def _values(jaxpr: Any, inputs: Sequence[Value], bits: Callable[[_Draw, Value], Value]) -> list[Value]:
    """The results of a jaxpr, of which nothing is computed before it is asked for.

    Args:
      jaxpr: closed over its constants.
      inputs: its arguments.
      bits: f(draw, value) -> value, called for every array of random words that is not within a loop or a vmap, in the
        order of the trace; what it returns stands for them.
    """
    own = body(jaxpr)
    known: dict[Any, Value] = dict(zip(own.invars, inputs, strict=True))
    known |= dict(zip(own.constvars, map(_constant, constants(jaxpr)), strict=True))

    def value(atom):
        return _constant(atom.val) if is_literal(atom) else known[atom]

    for eqn in own.eqns:
        arguments = [value(atom) for atom in eqn.invars]
        if eqn.primitive.name in CALLS:
            results = _values(inner(eqn), arguments, bits)
        else:
            results = list(_results(eqn, arguments))
        if _is_draw(eqn):
            results = [bits(_Draw(arguments[0], eqn.params["shape"]), results[0])]
        known |= dict(zip(eqn.outvars, results, strict=True))
    return [value(atom) for atom in own.outvars]


def _constant(value):
    return lambda: value


def _results(eqn: Any, arguments: Sequence[Value]) -> Iterator[Value]:
    computed = functools.cache(lambda: bind(eqn, [argument() for argument in arguments]))
    for n in range(len(eqn.outvars)):
        yield lambda n=n: computed()[n]


def _is_draw(eqn):
    """Whether an equation is random words of one key; a counter of 32 bits numbers them."""
    if eqn.primitive.name != "random_bits" or eqn.params["bit_width"] != 32:
        return False
    return eqn.invars[0].aval.shape == () and 0 < math.prod(eqn.params["shape"]) < 2**32
