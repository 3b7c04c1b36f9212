"""Convolution on CPU: the formulation of each gradient and shape that was measured to be fast.

XLA's convolution on CPU is slow where a product over pixels says the same (1x1), where it is strided and transposed,
where channels are few or grouped. Inside a loop it is a hundred times slower unless its operands lie as the library
wants them that XLA calls, (n, h, w, c) and (h, w, c, f): XLA brings them there outside loops only. So both gradients
are written as convolutions of that form, their flips and transposes spelled out, and cost the same in a loop.

Merged groups and columns multiply pixels that an output does not see by zero: an infinite pixel is NaN in those
outputs too, here and not on other backends.

`python -m jaxcnn benchmark operators` measures it all; the tables are in experiments/results/operators.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.operators.lowering import convolution_xla as convolve_xla
from jaxcnn.operators.lowering.window import Window, place_tap, tap_views, total
from jaxcnn.operators.precision import wide

# Groups of this many channels and fewer are merged into blocks, with zeros between the groups.
BLOCK = 32
# Strided kernels of this many taps and fewer have their input gradient scattered tap by tap.
SCATTERED = 25


def output(x: jax.Array, kernel: jax.Array, *, window: Window) -> jax.Array:
    """y of x and kernel."""
    if window.groups > 1:
        return _grouped_output(x, kernel, window)
    if _is_dense(window):
        return lax.dot(_rows(x), kernel.reshape(-1, kernel.shape[3])).reshape(x.shape[0], 1, 1, kernel.shape[3])
    if window.kernel == (1, 1):
        return _product(tap_views(x, window)[0], kernel[0, 0])
    return _columns_together(x, kernel, window, _together(*kernel.shape[2:], window))


def input_gradient(dy: jax.Array, kernel: jax.Array, *, window: Window) -> jax.Array:
    """dx of dy and kernel."""
    if window.groups > 1:
        return _grouped_input(dy, kernel, window)
    if _is_dense(window):
        dx = lax.dot_general(_rows(dy), kernel.reshape(-1, kernel.shape[3]), (((1,), (1,)), ((), ())))
        return dx.reshape(dy.shape[0], *window.image, kernel.shape[2])
    if window.kernel == (1, 1) or (max(window.stride) > 1 and len(window.taps) <= SCATTERED):
        return _scattered(dy, kernel, window)
    return _turned(dy, kernel, window)


def kernel_gradient(x: jax.Array, dy: jax.Array, *, window: Window) -> jax.Array:
    """dk of x and dy."""
    if window.groups > 1:
        return _grouped_kernel(x, dy, window)
    if _is_dense(window):
        dk = lax.dot_general(_rows(x), _rows(dy), (((0,), (0,)), ((), ())))
        return dk.reshape(*window.kernel, x.shape[3], dy.shape[3])
    if window.kernel == (1, 1):
        return _product_of_pixels(tap_views(x, window)[0], dy)[None, None]
    count = _together(1, dy.shape[3], window) if x.shape[3] == 1 else 1  # of more channels it does not pay
    return _kernel_of_columns(x, dy, window, count)


def _is_dense(window):
    """Whether the kernel covers the image once: a full connection; LeNet-5's C5 has one useful tap in 25 otherwise."""
    return window.kernel == window.image and window.padding == ((0, 0), (0, 0)) and window.dilation == (1, 1)


def _rows(x):
    return x.reshape(x.shape[0], math.prod(x.shape[1:]))


def _product(x, matrix):
    return lax.dot_general(x, matrix, (((3,), (0,)), ((), ())))


def _product_of_pixels(x, dy):
    """sum over pixels of x dy^T, (c, f); the barrier keeps the transpose a copy, from which the product is faster."""
    x, dy = (a.reshape(-1, a.shape[3]) for a in (x, dy))
    return lax.dot(lax.optimization_barrier(x.T), dy)


def _together(channels, features, window):
    """How many neighbour columns of the output are worth computing as one."""
    few = features <= 16 or channels <= 4
    if not few or window.dilation[1] > 1 or window.kernel[1] == 1:
        return 1
    wanted = 4 if channels == 1 else 2
    return wanted if window.output[1] % wanted == 0 else 1


def _wider(window, count):
    """The window of so many neighbour columns as channels of one: its kernel is wider by their strides."""
    stride = window.stride[1]
    left, width = window.padding[1][0], window.kernel[1] + (count - 1) * stride
    right = (window.output[1] // count - 1) * count * stride + width - window.image[1] - left
    return window._replace(
        kernel=(window.kernel[0], width),
        stride=(window.stride[0], count * stride),
        padding=(window.padding[0], (left, right)),
    )


def _columns_together(x, kernel, window, count):
    """Neighbour columns of the output as channels of one, from a kernel wider by their strides: fewer, larger rows."""
    if count == 1:
        return convolve_xla.output(x, kernel, window=window)
    stride = window.stride[1]
    sides = [(at * stride, (count - 1 - at) * stride) for at in range(count)]
    kernels = jnp.concatenate([jnp.pad(kernel, ((0, 0), side, (0, 0), (0, 0))) for side in sides], axis=3)
    y = convolve_xla.output(x, kernels, window=_wider(window, count))
    return y.reshape(x.shape[0], *window.output, kernel.shape[3])


def _kernel_of_columns(x, dy, window, count):
    """The gradient of `_columns_together`'s kernel: that of the wider kernel, its parts for each column summed."""
    if count == 1:
        return _images_as_channels(x, dy, window)
    stride, taps, features = window.stride[1], window.kernel[1], dy.shape[3]
    together = dy.reshape(dy.shape[0], window.output[0], window.output[1] // count, count * features)
    wider = _images_as_channels(x, together, _wider(window, count))
    parts = (wider[:, at * stride : at * stride + taps] for at in range(count))
    return total(part[..., at * features : (at + 1) * features] for at, part in enumerate(parts))


def _scattered(dy, kernel, window):
    """One product a tap, each laid out at the stride and summed."""
    products = (lax.dot_general(wide(dy), wide(kernel[tap]), (((3,), (1,)), ((), ()))) for tap in window.taps)
    sums = total(place_tap(product, tap, window) for product, tap in zip(products, window.taps, strict=True))
    return sums.astype(dy.dtype)


def _turned(dy, kernel, window):
    """The convolution of dy, zeros between its pixels for a stride, with the kernel turned by 180 degrees."""
    zeros = jnp.zeros((), dy.dtype)
    dy = lax.pad(dy, zeros, ((0, 0, 0), *((0, 0, stride - 1) for stride in window.stride), (0, 0, 0)))
    turned = lax.transpose(lax.rev(kernel, (0, 1)), (0, 1, 3, 2))
    return output(dy, turned, window=_there_and_back(window)._replace(image=dy.shape[1:3]))


def _there_and_back(window):
    """The window at stride 1 that goes over this one's spread output and ends on its image."""
    padding = []
    axes = zip(window.kernel, window.dilation, window.stride, window.padding, window.image, window.output, strict=True)
    for taps, step, stride, (before, _), size, out in axes:
        low = step * (taps - 1) - before
        padding.append((low, size - ((out - 1) * stride + 1) - low + step * (taps - 1)))
    return Window(window.output, window.kernel, (1, 1), tuple(padding), window.dilation)


def _images_as_channels(x, dy, window):
    """The convolution of x with dy as its kernel, channels as images and images as channels; (kh, kw, c, f)."""
    padding = []
    axes = zip(window.kernel, window.dilation, window.stride, window.padding, window.image, window.output, strict=True)
    for taps, step, stride, (before, _), size, out in axes:
        padding.append((before, step * (taps - 1) + (out - 1) * stride + 1 - size - before))
    images, kernel = lax.transpose(x, (3, 1, 2, 0)), lax.transpose(dy, (1, 2, 0, 3))
    # XLA fuses a copy with a convolution that reads the same array where both results have one shape, as of 128 images
    # of 128 channels, and runs the two as a plain loop, 15 times slower (jaxlib 0.10.2): so the shapes have to differ
    if images.shape == dy.shape:
        images = jnp.pad(images, ((0, 1), (0, 0), (0, 0), (0, 0)))
    if kernel.shape == x.shape:
        kernel = jnp.pad(kernel, ((0, 0), (0, 0), (0, 0), (0, 1)))
    swapped = Window(window.image, window.output, window.dilation, tuple(padding), window.stride)
    dk = convolve_xla.output(images, kernel, window=swapped)
    return lax.transpose(dk[: x.shape[3], ..., : dy.shape[3]], (1, 2, 0, 3))


def _repeated(x, times):
    return jnp.repeat(x, times, axis=3) if times > 1 else x


def _blocks(window, channels):
    """(groups of a block, number of blocks): groups of few channels share a block of about BLOCK channels."""
    size = max(1, min(window.groups, BLOCK // (channels // window.groups)))
    while window.groups % size:
        size -= 1
    return size, window.groups // size


def _block_diagonal(kernel, size, blocks):
    """The dense kernels (kh, kw, size * c, size * f) of all blocks, with zeros between groups."""
    kh, kw, c, features = kernel.shape
    f = features // (size * blocks)
    parts = kernel.reshape(kh, kw, c, blocks, size, f)
    eye = jnp.eye(size, dtype=kernel.dtype)
    dense = jnp.einsum("hwcbgf,gk->bhwkcgf", parts, eye)
    return [dense[b].reshape(kh, kw, size * c, size * f) for b in range(blocks)]


def _each_block(function, a, b, blocks):
    parts = [function(x, y) for x, y in zip(jnp.split(a, blocks, axis=3), b, strict=True)]
    return jnp.concatenate(parts, axis=3) if blocks > 1 else parts[0]


def _grouped_output(x, kernel, window):
    if x.shape[3] == window.groups:
        x = _repeated(x, kernel.shape[3] // x.shape[3])
        if window.stride == (1, 1):  # as the input gradient is: the products are shifted, not the image
            return _grouped_input(x, lax.rev(kernel, (0, 1)), _there_and_back(window)._replace(groups=x.shape[3]))
        pixels, weights = tap_views(wide(x), window), wide(kernel[:, :, None])
        sums = total(pixel * weights[tap][None] for pixel, tap in zip(pixels, window.taps, strict=True))
        return sums.astype(x.dtype)
    size, blocks = _blocks(window, x.shape[3])
    dense, one = _block_diagonal(kernel, size, blocks), window._replace(groups=1)
    return _each_block(lambda x, k: output(x, k, window=one), x, dense, blocks)


def _grouped_input(dy, kernel, window):
    if kernel.shape[2] == 1:
        weights, times = wide(kernel[:, :, None]), dy.shape[3] // window.groups
        sums = total(place_tap(wide(dy) * weights[tap][None], tap, window) for tap in window.taps)
        sums = sums if times == 1 else jnp.sum(sums.reshape(*sums.shape[:3], window.groups, times), axis=4)
        return sums.astype(dy.dtype)
    size, blocks = _blocks(window, kernel.shape[2] * window.groups)
    dense, one = _block_diagonal(kernel, size, blocks), window._replace(groups=1)
    return _each_block(lambda dy, k: input_gradient(dy, k, window=one), dy, dense, blocks)


def _grouped_kernel(x, dy, window):
    if x.shape[3] == window.groups:
        pixels = tap_views(_repeated(x, dy.shape[3] // x.shape[3]), window)
        sums = [jnp.sum(pixel * dy, axis=(0, 1, 2)) for pixel in pixels]
        return jnp.stack(sums).reshape(*window.kernel, 1, dy.shape[3])
    size, blocks = _blocks(window, x.shape[3])
    one, c, f = window._replace(groups=1), x.shape[3] // window.groups, dy.shape[3] // window.groups
    parts = []
    for x_block, dy_block in zip(jnp.split(x, blocks, axis=3), jnp.split(dy, blocks, axis=3), strict=True):
        dense = kernel_gradient(x_block, dy_block, window=one).reshape(*window.kernel, size, c, size, f)
        parts.append(jnp.einsum("hwgcgf->hwcgf", dense).reshape(*window.kernel, c, size * f))
    return jnp.concatenate(parts, axis=3)
