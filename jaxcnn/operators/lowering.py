"""What our JAX primitives share: a formulation per backend, images as the batch of vmap, operands under shard_map."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.interpreters import batching, mlir


def lower(primitive, default, cpu, *, static):
    """Gives a primitive its formulations, called directly and inside a program.

    Args:
      primitive: a Primitive of arrays and one static keyword.
      default, cpu: functions of the same arguments: on a CPU the second, elsewhere the first.
      static: the name of the keyword.
    """

    def call(*arrays, **parameters):
        return primitive.bind(*arrays, **parameters)

    several = primitive.multiple_results
    primitive.def_impl(jax.jit(call, static_argnames=static))
    mlir.register_lowering(primitive, mlir.lower_fun(default, multiple_results=several))
    mlir.register_lowering(primitive, mlir.lower_fun(cpu, multiple_results=several), platform="cpu")


def batch_images(primitive):
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

    batching.primitive_batchers[primitive] = rule


def vary(x, *, like):
    """Under shard_map's checks both operands must vary over the same axes: a replicated one is marked as varying."""
    axes = _varying(like) - _varying(x)
    return lax.pcast(x, tuple(axes), to="varying") if axes else x


def _varying(x):
    kind = getattr(jax.typeof(x), "manual_axis_type", None)
    return frozenset() if kind is None else kind.varying
