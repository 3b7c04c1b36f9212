"""Convolution under vmap over kernels, as in a population: a batched product, not one convolution with many groups.

XLA makes of it a convolution whose groups are the members, which no library runs well (github.com/jax-ml/jax, issues
15339 and 13800). As a product over the pixels of each window the members are the batch of one product.
"""

import functools

import jax
import jax.numpy as jnp

from jaxcnn.operators.lowering import convolution_xla as convolve_xla
from jaxcnn.operators.lowering.window import Window, tap_views


def output(x: jax.Array, kernel: jax.Array, *, window: Window) -> jax.Array:
    """y (n, oh, ow, f) of x (n, h, w, c) and kernel (kh, kw, c / groups, f); XLA's own where there are groups."""
    if window.groups > 1:
        return convolve_xla.output(x, kernel, window=window)
    seen = jnp.concatenate(tap_views(x, window), axis=3)
    y = jnp.matmul(seen.reshape(-1, seen.shape[3]), kernel.reshape(-1, kernel.shape[3]))
    return y.reshape(x.shape[0], *window.output, kernel.shape[3])


input_gradient = functools.partial(convolve_xla.input_gradient, output=output)
kernel_gradient = functools.partial(convolve_xla.kernel_gradient, output=output)
