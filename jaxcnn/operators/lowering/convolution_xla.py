"""Convolution and its gradients as XLA has them: the formulation on GPU and TPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.operators.lowering.primitive import vary

if TYPE_CHECKING:
    from jaxcnn.operators.lowering.window import Window


def output(x: jax.Array, kernel: jax.Array, *, window: Window) -> jax.Array:
    """y (n, oh, ow, f) of x (n, h, w, c) and kernel (kh, kw, c / groups, f)."""
    return lax.conv_general_dilated(
        x,
        kernel,
        window.stride,
        window.padding,
        rhs_dilation=window.dilation,
        feature_group_count=window.groups,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def input_gradient(
    dy: jax.Array, kernel: jax.Array, *, window: Window, output: Callable[..., jax.Array] = output
) -> jax.Array:
    """dx of dy and kernel, for a formulation of the output."""
    zeros = vary(jnp.zeros(input_shape(dy, kernel, window), dy.dtype), like=dy)  # only a shape: nothing reads it
    return jax.vjp(lambda x: output(x, kernel, window=window), zeros)[1](dy)[0]


def kernel_gradient(
    x: jax.Array, dy: jax.Array, *, window: Window, output: Callable[..., jax.Array] = output
) -> jax.Array:
    """dk of x and dy, for a formulation of the output."""
    zeros = vary(jnp.zeros(kernel_shape(x, dy, window), dy.dtype), like=dy)
    return jax.vjp(lambda kernel: output(x, kernel, window=window), zeros)[1](dy)[0]


def output_shape(x: Any, kernel: Any, window: Window) -> tuple[int, ...]:
    """That of `output`, (n, oh, ow, f), of arrays or abstract ones."""
    return (x.shape[0], *window.output, kernel.shape[3])


def input_shape(dy: Any, kernel: Any, window: Window) -> tuple[int, ...]:
    """That of `input_gradient`, (n, h, w, c)."""
    return (dy.shape[0], *window.image, kernel.shape[2] * window.groups)


def kernel_shape(x: Any, dy: Any, window: Window) -> tuple[int, ...]:
    """That of `kernel_gradient`, (kh, kw, c / groups, f)."""
    return (*window.kernel, x.shape[3] // window.groups, dy.shape[3])
