"""Draws by a function that runs once: the random bits of all its arrays come from one program, the rest from another.

JAX computes the bits of each array where they are used, and XLA compiles them anew for every array: two thirds of the
time to compile the program that draws a network's weights. Here one loop computes the bits of all arrays in blocks.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import threefry_2x32

from jaxcnn.analysis.dataflow import Dataflow
from jaxcnn.analysis.jaxpr import CALLS
from jaxcnn.training.compilation import compiled

if TYPE_CHECKING:
    from jax.sharding import Sharding

BLOCK = 2**16  # words of a turn of the loop; each array begins a block


def draw(function: Any, sharding: Sharding) -> Any:
    """What a jitted function of no arguments returns, bit for bit; its program compiles sooner.

    Where the bits of JAX's keys are not those of a counter (JAX_DEFAULT_PRNG_IMPL, JAX_THREEFRY_PARTITIONABLE), the
    function is compiled as it is.

    Args:
      function: f() -> tree, as jax.jit returns it.
      sharding: where its results lie.
    """
    traced = function.trace()
    flow = Dataflow(traced.jaxpr, inlined=CALLS)
    draws = [equation for equation in flow.needed(flow.results) if _is_draw(equation.eqn)]
    keys = flow.values([equation.inputs[0] for equation in draws], {})
    if not draws or not all(map(_counted, keys)):
        return compiled(function, once=True)()
    shapes = [equation.eqn.params["shape"] for equation in draws]
    blocks = [-(-math.prod(shape) // BLOCK) for shape in shapes]
    words = _words(keys, blocks, sharding)

    def rest(words):
        parts = jnp.split(words, np.cumsum(blocks))  # the last is spare
        drawn = [part.ravel()[: math.prod(shape)].reshape(shape) for part, shape in zip(parts, shapes, strict=False)]
        return flow.values(flow.results, {equation.results[0]: own for equation, own in zip(draws, drawn, strict=True)})

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
