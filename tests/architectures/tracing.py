"""Readings of a trace for the tests of all architectures: nothing here asks jaxcnn.analysis, which they check too."""

import math

import jax
import jax.numpy as jnp
from jax.extend.core import jaxprs_in_params


def multiply_adds(jaxpr):
    """Multiply-adds of every convolution and matrix product in a jaxpr, also inside calls."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv2d":
            total += equation.outvars[0].aval.size * math.prod(equation.invars[1].aval.shape[:3])
        elif equation.primitive.name == "conv2d_input":  # a transposed convolution
            total += equation.invars[0].aval.size * math.prod(equation.invars[1].aval.shape[:3])
        elif equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            total += equation.outvars[0].aval.size * math.prod(shape[axis] for axis in contracted)
        else:
            total += sum(multiply_adds(inner) for inner in jaxprs_in_params(equation.params))
    return total


def shapes(model, size, *, train=False):
    """((logits, features), variables) of two images of (h, w, c), as ShapeDtypeStructs."""
    keys = {name: jax.random.key(0) for name in ("params", "dropout")}
    return jax.eval_shape(lambda: model.init_with_output(keys, jnp.zeros((2, *size)), train=train))


def macs(model, size):
    """Multiply-adds of one image of (h, w, c), auxiliary heads included."""
    _, variables = shapes(model, size)
    image = jax.ShapeDtypeStruct((1, *size), jnp.float32)
    return multiply_adds(jax.make_jaxpr(lambda v, x: model.apply(v, x, train=False)[0])(variables, image).jaxpr)


def count(tree):
    """Numbers in the arrays of a tree."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def order(model, size):
    """The names of the features as the model gives them; passing through jax sorts them."""
    names = []
    jax.eval_shape(
        lambda: names.extend(model.init_with_output(jax.random.key(0), jnp.zeros((2, *size)), train=False)[0][1])
    )
    return names
