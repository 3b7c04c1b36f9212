"""Convolution on CPU: the formulation of each gradient and shape that was measured to be fast.

XLA's convolution on CPU is slow where a product over pixels says the same (1x1), where it is strided and transposed,
where channels are grouped, and in weight gradients whose inputs it recomputes inside the loop: hence the barriers.
Measured on 2 cores of an AMD EPYC with jaxlib 0.10.2, XLA's YNN fusions off (training/compilation.py): a 1x1 product
takes 0.9 to 1.1 of PyTorch's time, the input gradient of a 3x3 at stride 2 1.25 instead of 3.4; for 3x3 at stride 1
im2col and products by tap were 1.5 to 8 times slower than XLA's own.
"""

import jax.numpy as jnp
from jax import lax

# Groups of this many channels and fewer are merged into blocks, with zeros between the groups.
BLOCK = 32


def output(x, kernel, *, window, plain):
    """y of x and kernel; plain is XLA's formulation."""
    if window.groups > 1:
        return _grouped_output(x, kernel, window, plain)
    if window.kernel == (1, 1) and _unpadded(window):
        return _product(_strided(x, window), kernel[0, 0])
    x, kernel = lax.optimization_barrier((x, kernel))
    return plain(x, kernel, window=window)


def input_gradient(dy, kernel, *, window, plain):
    """dx of dy and kernel."""
    if window.groups > 1:
        return _grouped_input(dy, kernel, window, plain)
    if (window.kernel == (1, 1) and _unpadded(window)) or max(window.stride) > 1:
        return _scattered(dy, kernel, window)
    dy, kernel = lax.optimization_barrier((dy, kernel))
    return plain(dy, kernel, window=window)


def kernel_gradient(x, dy, *, window, plain):
    """dk of x and dy."""
    if window.groups > 1:
        return _grouped_kernel(x, dy, window, plain)
    if window.kernel == (1, 1) and _unpadded(window):
        return _product_of_images(_strided(x, window), dy)[None, None]
    x, dy = lax.optimization_barrier((x, dy))
    return plain(x, dy, window=window)


def _unpadded(window):
    return window.padding == ((0, 0), (0, 0))


def _taps(window):
    return [(i, j) for i in range(window.kernel[0]) for j in range(window.kernel[1])]


def _padded(x, window):
    if _unpadded(window):
        return x
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *((*pad, 0) for pad in window.padding), (0, 0, 0)))


def _seen_by(tap, padded, window):
    """The pixels of the padded image that a tap of the kernel meets, (n, oh, ow, c)."""
    start = [at * step for at, step in zip(tap, window.dilation, strict=True)]
    stop = [a + (size - 1) * stride + 1 for a, size, stride in zip(start, window.output, window.stride, strict=True)]
    n, _, _, c = padded.shape
    return lax.slice(padded, (0, *start, 0), (n, *stop, c), (1, *window.stride, 1))


def _strided(x, window):
    return _seen_by((0, 0), x, window)


def _laid_out(y, tap, window):
    """The transpose of _seen_by and the padding: (n, oh, ow, c) put on the image (n, h, w, c), zeros elsewhere.

    Negative padding cuts off what falls outside the image.
    """
    config = [(0, 0, 0)]
    axes = zip(tap, window.dilation, window.stride, window.padding, window.image, window.output, strict=True)
    for at, step, stride, (before, _), size, out in axes:
        low = at * step - before
        config.append((low, size - low - ((out - 1) * stride + 1), stride - 1))
    return lax.pad(y, jnp.zeros((), y.dtype), (*config, (0, 0, 0)))


def _sum(terms):
    total = None
    for term in terms:
        total = term if total is None else total + term
    return total


def _product(x, matrix):
    return lax.dot_general(x, matrix, (((3,), (0,)), ((), ())))


def _product_of_images(x, dy):
    """sum over pixels of x dy^T, (c, f): one product an image, then their sum."""
    x, dy = (a.reshape(a.shape[0], -1, a.shape[3]) for a in (x, dy))
    return jnp.sum(lax.dot_general(x, dy, (((1,), (1,)), ((0,), (0,)))), axis=0)


def _scattered(dy, kernel, window):
    """One product a tap, each laid out at the stride and summed."""
    return _sum(
        _laid_out(lax.dot_general(dy, kernel[tap], (((3,), (1,)), ((), ()))), tap, window) for tap in _taps(window)
    )


def _is_depthwise(window, channels):
    return channels == window.groups


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


def _grouped_output(x, kernel, window, plain):
    if _is_depthwise(window, x.shape[3]):
        wide, weights = _repeated(_padded(x, window), kernel.shape[3] // x.shape[3]), kernel[:, :, None]
        return _sum(_seen_by(tap, wide, window) * weights[tap][None] for tap in _taps(window))
    size, blocks = _blocks(window, x.shape[3])
    dense, one = _block_diagonal(kernel, size, blocks), window._replace(groups=1)
    return _each_block(lambda x, k: output(x, k, window=one, plain=plain), x, dense, blocks)


def _grouped_input(dy, kernel, window, plain):
    if kernel.shape[2] == 1:
        weights = kernel[:, :, None]
        wide = _sum(_laid_out(dy * weights[tap][None], tap, window) for tap in _taps(window))
        times = dy.shape[3] // window.groups
        return wide if times == 1 else jnp.sum(wide.reshape(*wide.shape[:3], window.groups, times), axis=4)
    size, blocks = _blocks(window, kernel.shape[2] * window.groups)
    dense, one = _block_diagonal(kernel, size, blocks), window._replace(groups=1)
    return _each_block(lambda dy, k: input_gradient(dy, k, window=one, plain=plain), dy, dense, blocks)


def _grouped_kernel(x, dy, window, plain):
    if _is_depthwise(window, x.shape[3]):
        wide = _repeated(_padded(x, window), dy.shape[3] // x.shape[3])
        sums = [jnp.sum(_seen_by(tap, wide, window) * dy, axis=(0, 1, 2)) for tap in _taps(window)]
        return jnp.stack(sums).reshape(*window.kernel, 1, dy.shape[3])
    size, blocks = _blocks(window, x.shape[3])
    one, c, f = window._replace(groups=1), x.shape[3] // window.groups, dy.shape[3] // window.groups
    parts = []
    for x_block, dy_block in zip(jnp.split(x, blocks, axis=3), jnp.split(dy, blocks, axis=3), strict=True):
        dense = kernel_gradient(x_block, dy_block, window=one, plain=plain).reshape(*window.kernel, size, c, size, f)
        parts.append(jnp.einsum("hwgcgf->hwcgf", dense).reshape(*window.kernel, c, size * f))
    return jnp.concatenate(parts, axis=3)
