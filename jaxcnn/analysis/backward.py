"""Backward passes with another rule at every relu, read from the jaxpr of any function.

Saliency, the deconvnet and guided backpropagation bring a unit back to the image through the same transposed filters
and the same switches of the max pooling. They differ in what passes a relu y = max(x, 0) on the way down:

    gradient    dx = dy where x > 0               Simonyan et al. 2013, arXiv:1312.6034, section 4
    deconvnet   dx = dy where dy > 0              Zeiler and Fergus 2013, arXiv:1311.2901, section 2.1
    guided      dx = dy where x > 0 and dy > 0    Springenberg et al. 2014, arXiv:1412.6806, section 4

Only the deconvnet passes a contrast normalisation by as if it were not there, as Zeiler and Fergus do on the way down
(section 2.1). Everything else goes back by its gradient: the switches are those of the image, batch normalisation that
does not train is a fixed scale, branches that were added are both followed.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.analysis.jaxpr import CALLS, OWN_DERIVATIVE, REMAT, bind, body, constants, inner, is_literal, scan_arity
from jaxcnn.errors import look_up

RULES = {
    "gradient": lambda x, dy: x > 0,
    "deconvnet": lambda x, dy: dy > 0,
    "guided": lambda x, dy: (x > 0) & (dy > 0),
}
CONTRAST = ("_local_response_norm", "local_contrast_norm")  # of operators/response.py, one call by name each
FILLS = ("broadcast_in_dim", "convert_element_type", "copy", "reshape")  # zeros of zeros
RECTIFIER = frozenset((*FILLS, "max", "min"))  # what relu and relu6 are made of


def with_rule(function: Callable[..., Any], rule: str) -> Callable[..., Any]:
    """The same function with another backward pass.

    A relu is the maximum of anything and the constant 0, alone (`jnp.maximum(x, 0)`) or inside `jax.nn.relu`, also in
    jit, remat, scan and cond. A function that brings its own derivative keeps it, except a relu.

    >>> jax.vjp(with_rule(jax.nn.relu, "deconvnet"), jnp.array([-1.0, 2.0]))[1](jnp.array([3.0, -4.0]))[0]
    Array([3., 0.], dtype=float32)

    Args:
      function: of arrays, or trees of them, that JAX can trace.
      rule: a key of RULES.
    Returns:
      A function of the same arguments and results.
    Raises:
      ValueError: the rule is unknown.
    """
    passes = look_up(rule, table=RULES, kind="rule of a relu")
    walk = _Walk(_relu(passes), CONTRAST if rule == "deconvnet" else ())

    @functools.wraps(function)
    def run(*arguments):
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        results = walk(closed, jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return run


def _relu(passes):
    @jax.custom_vjp
    def relu(x):
        return jnp.maximum(x, 0)

    relu.defvjp(lambda x: (relu(x), x), lambda x, dy: (jnp.where(passes(x, dy), dy, 0),))
    return relu


@jax.custom_vjp
def _passed_by(x, y):
    """y, whose gradient is that of x."""
    return y


_passed_by.defvjp(lambda x, y: (y, y), lambda y, dy: (dy, jnp.zeros_like(y)))


class _Walk:
    """Evaluates a closed jaxpr with this relu; calls of the names in `passed_by` have the gradient of their input."""

    def __init__(self, relu, passed_by):
        self.relu, self.passed_by = relu, passed_by

    def __call__(self, closed, arguments, zero=()):
        """zero: for each argument whether it is the constant 0."""
        jaxpr = body(closed)
        known = dict(zip(jaxpr.invars, arguments, strict=True))
        known |= dict(zip(jaxpr.constvars, constants(closed), strict=True))
        zeros = {variable for variable, z in zip(jaxpr.invars, zero, strict=False) if z}
        for eqn in jaxpr.eqns:
            inputs = [a.val if is_literal(a) else known[a] for a in eqn.invars]
            zero = [_is_zero(a) if is_literal(a) else a in zeros for a in eqn.invars]
            known |= dict(zip(eqn.outvars, self._step(eqn, inputs, zero), strict=True))
            if eqn.primitive.name in FILLS and zero[0]:
                zeros.update(eqn.outvars)
        return [a.val if is_literal(a) else known[a] for a in jaxpr.outvars]

    def _step(self, eqn, inputs, zero):
        name, params = eqn.primitive.name, eqn.params
        if name == "max" and any(zero) and jnp.issubdtype(eqn.outvars[0].aval.dtype, jnp.inexact):
            return [self.relu(inputs[1 if zero[0] else 0])]
        if name in OWN_DERIVATIVE and not _rectifies(inner(eqn)):
            return bind(eqn, inputs)
        if name in CALLS or name in REMAT:
            results = self(inner(eqn), inputs, zero)
            return [_passed_by(inputs[0], results[0])] if params.get("name") in self.passed_by else results
        if name == "scan":
            return self._scan(eqn, inputs)
        if name == "cond":
            branches = [functools.partial(self._branch, closed) for closed in params["branches"]]
            return lax.switch(inputs[0], branches, *inputs[1:])
        return bind(eqn, inputs)

    def _branch(self, closed, *arguments):
        return self(closed, arguments)

    def _scan(self, eqn, inputs):
        fixed, carried = scan_arity(eqn)
        shared, carry = inputs[:fixed], inputs[fixed : fixed + carried]

        def iteration(carry, slices):
            results = self(eqn.params["jaxpr"], [*shared, *carry, *slices])
            return results[:carried], results[carried:]

        options = {name: eqn.params[name] for name in ("length", "reverse", "unroll")}
        carry, stacked = lax.scan(iteration, carry, inputs[fixed + carried :], **options)
        return [*carry, *stacked]


def _is_zero(literal):
    return jnp.ndim(literal.val) == 0 and literal.val == 0


def _rectifies(jaxpr):
    """Whether nothing is inside but a relu, perhaps cut off above."""
    names = _names(jaxpr)
    return "max" in names and names <= RECTIFIER


def _names(jaxpr):
    eqns = body(jaxpr).eqns
    return set().union(*(_names(inner(e)) if e.primitive.name in CALLS else {e.primitive.name} for e in eqns))
