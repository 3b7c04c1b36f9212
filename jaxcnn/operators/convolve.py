"""Convolution as a JAX primitive, bilinear in image and kernel, with its two gradients, lowered per backend.

    conv2d          y  = x * k
    conv2d_input    dx, the gradient of <x * k, dy> in x: bilinear in dy and k
    conv2d_kernel   dk, the gradient of <x * k, dy> in k: bilinear in x and dy

Each is the transpose of the other two, so derivatives of any order, forward and reverse, stay among the three. A jaxpr
shows one equation that carries the convolution's own arguments, whatever formulation computes it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxcnn.operators import convolve_cpu


class Window(NamedTuple):
    """What a convolution does besides its arrays, all static; the sizes are what its gradients need."""

    image: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]
    groups: int

    @property
    def output(self):
        """(h, w) of the result."""
        axes = zip(self.image, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return tuple((size + sum(pad) - step * (taps - 1) - 1) // stride + 1 for size, taps, stride, pad, step in axes)


def convolve(x, kernel, *, stride, padding, dilation, groups):
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


def _bind(primitive, a, b, window):
    """Under shard_map's checks both arguments must vary over the same axes: a replicated one is marked as varying."""
    return primitive.bind(_vary(a, like=b), _vary(b, like=a), window=window)


def _vary(x, *, like):
    axes = _varying(like) - _varying(x)
    return lax.pcast(x, tuple(axes), to="varying") if axes else x


def _varying(x):
    kind = getattr(jax.typeof(x), "manual_axis_type", None)
    return frozenset() if kind is None else kind.varying


def _output_shape(x, kernel, window):
    return (x.shape[0], *window.output, kernel.shape[3])


def _input_shape(dy, kernel, window):
    return (dy.shape[0], *window.image, kernel.shape[2] * window.groups)


def _kernel_shape(x, dy, window):
    return (*window.kernel, x.shape[3] // window.groups, dy.shape[3])


def plain_output(x, kernel, *, window):
    """XLA's own convolution."""
    return lax.conv_general_dilated(
        x,
        kernel,
        window.stride,
        window.padding,
        rhs_dilation=window.dilation,
        feature_group_count=window.groups,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def plain_input(dy, kernel, *, window):
    """The gradient in x that XLA's own convolution has."""
    zeros = _vary(jnp.zeros(_input_shape(dy, kernel, window), dy.dtype), like=dy)  # only a shape: nothing reads it
    return jax.vjp(lambda x: plain_output(x, kernel, window=window), zeros)[1](dy)[0]


def plain_kernel(x, dy, *, window):
    """The gradient in the kernel that XLA's own convolution has."""
    zeros = _vary(jnp.zeros(_kernel_shape(x, dy, window), dy.dtype), like=dy)
    return jax.vjp(lambda kernel: plain_output(x, kernel, window=window), zeros)[1](dy)[0]


conv2d_p = Primitive("conv2d")
conv2d_input_p = Primitive("conv2d_input")
conv2d_kernel_p = Primitive("conv2d_kernel")


def _define(primitive, shape, plain, cpu):
    def abstract(a, b, *, window):
        return a.update(shape=shape(a, b, window), weak_type=False)

    def call(a, b, *, window):
        return primitive.bind(a, b, window=window)

    def on_cpu(a, b, *, window):
        return cpu(a, b, window=window, plain=plain)

    primitive.def_abstract_eval(abstract)
    primitive.def_impl(jax.jit(call, static_argnames="window"))
    mlir.register_lowering(primitive, mlir.lower_fun(plain, multiple_results=False))
    mlir.register_lowering(primitive, mlir.lower_fun(on_cpu, multiple_results=False), platform="cpu")


_define(conv2d_p, _output_shape, plain_output, convolve_cpu.output)
_define(conv2d_input_p, _input_shape, plain_input, convolve_cpu.input_gradient)
_define(conv2d_kernel_p, _kernel_shape, plain_kernel, convolve_cpu.kernel_gradient)

ad.defbilinear(
    conv2d_p,
    lambda dy, x, kernel, *, window: _bind(conv2d_input_p, dy, kernel, window),
    lambda dy, x, kernel, *, window: _bind(conv2d_kernel_p, x, dy, window),
)
ad.defbilinear(
    conv2d_input_p,
    lambda dx, dy, kernel, *, window: _bind(conv2d_p, dx, kernel, window),
    lambda dx, dy, kernel, *, window: _bind(conv2d_kernel_p, dx, dy, window),
)
ad.defbilinear(
    conv2d_kernel_p,
    lambda dk, x, dy, *, window: _bind(conv2d_input_p, dy, dk, window),
    lambda dk, x, dy, *, window: _bind(conv2d_p, x, dk, window),
)


def _define_batching(primitive, plain):
    """vmap over images under one kernel is a larger batch; vmap over kernels is left to XLA's convolution."""

    def rule(arguments, axes, *, window):
        (a, b), (first, second) = arguments, axes
        if primitive is conv2d_kernel_p or second is not None:
            return jax.vmap(lambda a, b: plain(a, b, window=window), axes)(a, b), 0
        images = jnp.moveaxis(a, first, 0)
        result = _bind(primitive, images.reshape(-1, *images.shape[2:]), b, window)
        return result.reshape(*images.shape[:2], *result.shape[1:]), 0

    batching.primitive_batchers[primitive] = rule


_define_batching(conv2d_p, plain_output)
_define_batching(conv2d_input_p, plain_input)
_define_batching(conv2d_kernel_p, plain_kernel)
