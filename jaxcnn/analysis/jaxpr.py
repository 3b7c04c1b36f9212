"""The structure of a traced function: all that analysis knows of how JAX builds a jaxpr, whichever JAX is installed.

JAX promises neither the names nor the parameters of its equations, and from 0.11 a `Jaxpr` is also a `ClosedJaxpr`.
"""

from collections.abc import Sequence
from typing import Any

from jax.extend import core

# Calls that stand for the equations inside them.
CALLS = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr")
OWN_DERIVATIVE = ("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr")
REMAT = ("remat", "remat2", "checkpoint")


def body(jaxpr: Any) -> Any:
    """The jaxpr itself, of one that is closed over its constants or of one that is not."""
    return getattr(jaxpr, "jaxpr", jaxpr)


def constants(jaxpr: Any) -> Sequence[Any]:
    """The values of its `constvars`."""
    return getattr(jaxpr, "consts", ())


def is_literal(atom: Any) -> bool:
    """Whether an argument of an equation is a number that stands in the jaxpr."""
    return isinstance(atom, core.Literal)


def inner(eqn: Any) -> Any:
    """The jaxpr that a call is of."""
    return next(eqn.params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in eqn.params)


def insides(eqn: Any) -> list[Any]:
    """Every jaxpr among the parameters but those of a scalar (the update of a scatter, a reducer)."""
    found = []
    for key, value in eqn.params.items():
        for jaxpr in value if isinstance(value, (tuple, list)) else (value,):
            if hasattr(jaxpr, "eqns") and key not in ("update_jaxpr", "jvp_jaxpr_fun"):
                found.append(body(jaxpr))
    return found


def scan_arity(eqn: Any) -> tuple[int, int]:
    """(constants, carried) of a scan: its first arguments are constants, the next are carried, the rest scanned over.

    Told by rank, for JAX 0.11 took the two parameters away: what is scanned over, or stacked, has one axis more outside
    than inside.
    """
    inside = body(eqn.params["jaxpr"])
    sliced = sum(a.aval.ndim != v.aval.ndim for a, v in zip(eqn.invars, inside.invars, strict=True))
    carried = sum(a.aval.ndim == v.aval.ndim for a, v in zip(eqn.outvars, inside.outvars, strict=True))
    return len(eqn.invars) - carried - sliced, carried


def scopes(eqn: Any) -> tuple[str, ...]:
    """The names of a name stack as Linen leaves them; `Module.method` is the module itself."""
    path, method = [], None
    for scope in eqn.source_info.name_stack.stack:
        if type(scope).__name__ != "Scope":  # the trace of a transformation: jvp, transpose, vmap
            continue
        name, dot, _ = scope.name.partition(".")
        if (dot and path and path[-1] == name) or (not dot and method == name):
            method = None
            continue
        path.append(name)
        method = name if dot else None
    return tuple(path)


def bind(eqn: Any, inputs: Sequence[Any]) -> list[Any]:
    """Does what an equation does, with these values; a list of its results."""
    found = eqn.primitive.bind(*inputs, **eqn.primitive.get_bind_params(eqn.params))
    return found if eqn.primitive.multiple_results else [found]
