"""Convolution as a JAX primitive, bilinear in image and kernel, with its two gradients, lowered per backend.

    conv2d          y  = x * k
    conv2d_input    dx, the gradient of <x * k, dy> in x: bilinear in dy and k
    conv2d_kernel   dk, the gradient of <x * k, dy> in k: bilinear in x and dy

Each is the transpose of the other two, so derivatives of any order, forward and reverse, stay among the three. A jaxpr
shows one equation that carries the convolution's own arguments, whatever formulation computes it.
"""

import jax
import jax.numpy as jnp

from jaxcnn.operators.lowering import convolution_cpu as convolve_cpu
from jaxcnn.operators.lowering import convolution_vmap as convolve_product
from jaxcnn.operators.lowering import convolution_xla as convolve_xla
from jaxcnn.operators.lowering.primitive import batch, bilinear, define, vary
from jaxcnn.operators.lowering.window import Window


def convolve(
    x: jax.Array,
    kernel: jax.Array,
    *,
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> jax.Array:
    """Binds the primitive; conv2d checks the arguments.

    Args:
      x: (n, h, w, c).
      kernel: (kh, kw, c // groups, f), the dtype of x.
      stride, dilation: (vertical, horizontal).
      padding: ((top, bottom), (left, right)).
      groups: of channels.
    Returns:
      (n, oh, ow, f), the dtype of x.
    """
    return _bind(conv2d_p, x, kernel, Window(x.shape[1:3], kernel.shape[:2], stride, padding, dilation, groups))


def convolve_back(
    dy: jax.Array,
    kernel: jax.Array,
    *,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> jax.Array:
    """Binds the gradient of `convolve` in its image; conv2d_transpose checks the arguments.

    Args:
      dy: (n, oh, ow, f).
      kernel: (kh, kw, c // groups, f), the dtype of dy.
      size: (h, w) of the image, of which a convolution with these arguments makes (oh, ow).
      stride, padding, dilation, groups: as in `convolve`.
    Returns:
      (n, h, w, c), the dtype of dy.
    """
    return _bind(conv2d_input_p, dy, kernel, Window(size, kernel.shape[:2], stride, padding, dilation, groups))


def _bind(primitive, a, b, window):
    return primitive.bind(vary(a, like=b), vary(b, like=a), window=window)


def _define(name, shape, default, cpu):
    def abstract(a, b, *, window):
        return a.update(shape=shape(a, b, window), weak_type=False)

    return define(name, abstract, default, cpu, static="window")


conv2d_p = _define("conv2d", convolve_xla.output_shape, convolve_xla.output, convolve_cpu.output)
conv2d_input_p = _define(
    "conv2d_input", convolve_xla.input_shape, convolve_xla.input_gradient, convolve_cpu.input_gradient
)
conv2d_kernel_p = _define(
    "conv2d_kernel", convolve_xla.kernel_shape, convolve_xla.kernel_gradient, convolve_cpu.kernel_gradient
)

bilinear(
    conv2d_p,
    lambda dy, x, kernel, *, window: _bind(conv2d_input_p, dy, kernel, window),
    lambda dy, x, kernel, *, window: _bind(conv2d_kernel_p, x, dy, window),
)
bilinear(
    conv2d_input_p,
    lambda dx, dy, kernel, *, window: _bind(conv2d_p, dx, kernel, window),
    lambda dx, dy, kernel, *, window: _bind(conv2d_kernel_p, dx, dy, window),
)
bilinear(
    conv2d_kernel_p,
    lambda dk, x, dy, *, window: _bind(conv2d_input_p, dy, dk, window),
    lambda dk, x, dy, *, window: _bind(conv2d_p, x, dk, window),
)


def _define_batching(primitive, product):
    """vmap over images under one kernel is a larger batch; vmap over kernels is a batched product."""

    def rule(arguments, axes, *, window):
        (a, b), (first, second) = arguments, axes
        if primitive is conv2d_kernel_p or second is not None:
            return jax.vmap(lambda a, b: product(a, b, window=window), axes)(a, b), 0
        images = jnp.moveaxis(a, first, 0)
        result = _bind(primitive, images.reshape(-1, *images.shape[2:]), b, window)
        return result.reshape(*images.shape[:2], *result.shape[1:]), 0

    batch(primitive, rule)


_define_batching(conv2d_p, convolve_product.output)
_define_batching(conv2d_input_p, convolve_product.input_gradient)
_define_batching(conv2d_kernel_p, convolve_product.kernel_gradient)
