"""Convolution and its gradients as XLA has them: the formulation on GPU and TPU."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.operators.lowering.primitive import vary


def output(x, kernel, *, window):
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


def input_gradient(dy, kernel, *, window, output=output):
    """dx of dy and kernel, for a formulation of the output."""
    zeros = vary(jnp.zeros(input_shape(dy, kernel, window), dy.dtype), like=dy)  # only a shape: nothing reads it
    return jax.vjp(lambda x: output(x, kernel, window=window), zeros)[1](dy)[0]


def kernel_gradient(x, dy, *, window, output=output):
    """dk of x and dy, for a formulation of the output."""
    zeros = vary(jnp.zeros(kernel_shape(x, dy, window), dy.dtype), like=dy)
    return jax.vjp(lambda kernel: output(x, kernel, window=window), zeros)[1](dy)[0]


def output_shape(x, kernel, window):
    """That of `output`, (n, oh, ow, f)."""
    return (x.shape[0], *window.output, kernel.shape[3])


def input_shape(dy, kernel, window):
    """That of `input_gradient`, (n, h, w, c)."""
    return (dy.shape[0], *window.image, kernel.shape[2] * window.groups)


def kernel_shape(x, dy, window):
    """That of `kernel_gradient`, (kh, kw, c / groups, f)."""
    return (*window.kernel, x.shape[3] // window.groups, dy.shape[3])
