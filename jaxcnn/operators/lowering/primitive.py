"""The base of our JAX primitives: a formulation per backend, derivatives, vmap over images, shard_map's axes.

The one file of the operators that imports JAX's insides.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir


def define(
    name: str,
    abstract: Callable[..., Any],
    default: Callable[..., Any],
    cpu: Callable[..., Any],
    *,
    static: str,
    multiple_results: bool = False,
) -> Primitive:
    """A primitive with its formulations, called directly and inside a program.

    Args:
      name: what a jaxpr shows.
      abstract: the abstract results of abstract arrays and the keyword.
      default, cpu: functions of arrays and the keyword: on a CPU the second, elsewhere the first.
      static: the name of the one static keyword.
      multiple_results: whether it gives several arrays.
    """
    made = Primitive(name)
    made.multiple_results = multiple_results

    def call(*arrays, **parameters):
        return made.bind(*arrays, **parameters)

    compiled = jax.jit(call, static_argnames=static)

    def alone(*arrays, **parameters):
        with jax.disable_jit(False):  # its formulations are those of programs: without one `call` would end here again
            return compiled(*arrays, **parameters)

    made.def_abstract_eval(abstract)
    made.def_impl(alone)
    mlir.register_lowering(made, mlir.lower_fun(default, multiple_results=multiple_results))
    mlir.register_lowering(made, mlir.lower_fun(cpu, multiple_results=multiple_results), platform="cpu")
    return made


def bilinear(primitive: Primitive, first: Callable[..., jax.Array], second: Callable[..., jax.Array]) -> None:
    """Makes a primitive of two arrays linear in each; the transposes are functions of (cotangent, a, b, keyword)."""
    ad.defbilinear(primitive, first, second)


def linear(primitive: Primitive, transpose: Callable[..., jax.Array]) -> None:
    """Makes a primitive linear in its last array; the transpose is a function of (cotangent, arrays, keyword).

    The arrays before the last are constants: nothing is differentiated through them.
    """

    def jvp(primals, tangents, **parameters):
        result = primitive.bind(*primals, **parameters)
        if type(tangents[-1]) is ad.Zero:
            return result, _no_tangent(result)
        return result, primitive.bind(*primals[:-1], tangents[-1], **parameters)

    def transposed(cotangent, *arrays, **parameters):
        constants = [None] * (len(arrays) - 1)
        if type(cotangent) is ad.Zero:
            return [*constants, ad.Zero(arrays[-1].aval.to_ct_aval())]
        return [*constants, transpose(cotangent, *arrays, **parameters)]

    ad.primitive_jvps[primitive] = jvp
    ad.primitive_transposes[primitive] = transposed


def differentiable(primitive: Primitive, tangent: Callable[..., jax.Array]) -> None:
    """Gives a primitive of one array and several results a derivative: the first result alone has one.

    Args:
      primitive: of `multiple_results`.
      tangent: of the first result, of (x, the other results, dx, keyword).
    """

    def jvp(primals, tangents, **parameters):
        value, *others = primitive.bind(*primals, **parameters)
        none = [_no_tangent(other) for other in others]
        if type(tangents[0]) is ad.Zero:
            return (value, *others), (_no_tangent(value), *none)
        return (value, *others), (tangent(*primals, *others, tangents[0], **parameters), *none)

    ad.primitive_jvps[primitive] = jvp


def _no_tangent(x):
    return ad.Zero(jax.typeof(x).to_tangent_aval())


def batch(primitive: Primitive, rule: Callable[..., tuple[Any, Any]]) -> None:
    """Gives a primitive its own rule of vmap: of (arrays, axes, keyword), it returns (result, axis)."""
    batching.primitive_batchers[primitive] = rule


def batch_images(primitive: Primitive) -> None:
    """Makes vmap a larger batch for a primitive that takes and gives arrays (n, ...), image by image."""

    def rule(arrays, axes, **parameters):
        size = next(a.shape[axis] for a, axis in zip(arrays, axes, strict=True) if axis is not None)
        moved = [
            jnp.broadcast_to(a[None], (size, *a.shape)) if axis is None else jnp.moveaxis(a, axis, 0)
            for a, axis in zip(arrays, axes, strict=True)
        ]
        result = primitive.bind(*(a.reshape(-1, *a.shape[2:]) for a in moved), **parameters)
        result = jax.tree.map(lambda r: r.reshape(size, -1, *r.shape[1:]), result)
        return (result, [0] * len(result)) if primitive.multiple_results else (result, 0)

    batch(primitive, rule)


def vary(x: jax.Array, *, like: jax.Array) -> jax.Array:
    """Under shard_map's checks both operands must vary over the same axes: a replicated one is marked as varying."""
    axes = _varying(like) - _varying(x)
    return lax.pcast(x, tuple(axes), to="varying") if axes else x


def _varying(x):
    kind = getattr(jax.typeof(x), "manual_axis_type", None)
    return frozenset() if kind is None else kind.varying
