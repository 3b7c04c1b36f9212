"""3x3 convolution at stride 1 by Winograd's F(2x2, 3x3): 16 multiplications for the 36 of every four outputs.

    y = A^T [(G k G^T) * (B^T d B)] A

of every tile d of 4 x 4 pixels, which lie two apart. * is pixel by pixel, and so 16 products of matrices: tiles by
input channels by output channels. The coefficients are 0, 1 and 1/2: rounding is that of the plain sum. Lavin and Gray
2016 (arXiv:1509.09308).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.operators.lowering.window import Window


def output(x: jax.Array, kernel: jax.Array, *, window: Window) -> jax.Array:
    """y (n, oh, ow, f) of x (n, h, w, c) and kernel (3, 3, c, f)."""
    down, right = _tile_counts(window)
    rows = jnp.stack(_kernel_points(*kernel))
    points = jnp.stack(_kernel_points(*jnp.moveaxis(rows, 1, 0)))
    products = lax.dot_general(_tiles(x, window), points.reshape(16, *kernel.shape[2:]), (((2,), (1,)), ((0,), (0,))))
    products = lax.optimization_barrier(products).reshape(4, 4, x.shape[0], down, right, kernel.shape[3])
    columns = lax.optimization_barrier(jnp.stack(_outputs(*products), axis=4))
    y = jnp.stack(_outputs(*columns), axis=2).reshape(x.shape[0], 2 * down, 2 * right, kernel.shape[3])
    return y[:, : window.output[0], : window.output[1]]


def kernel_gradient(x: jax.Array, dy: jax.Array, *, window: Window) -> jax.Array:
    """dk (3, 3, c, f) of x (n, h, w, c) and dy (n, oh, ow, f)."""
    dy = jnp.pad(dy, ((0, 0), *((0, size % 2) for size in window.output), (0, 0)))
    rows = _together(_output_gradients(*(dy[:, i::2] for i in range(2))))
    points = _together(_output_gradients(*(rows[:, :, :, j::2] for j in range(2)))).reshape(16, -1, dy.shape[3])
    products = lax.dot_general(_tiles(x, window), points, (((1,), (1,)), ((0,), (0,))))
    columns = jnp.stack(_kernel_gradients(*products.reshape(4, 4, *products.shape[1:])), axis=1)
    return jnp.stack(_kernel_gradients(*columns))


def _tile_counts(window):
    return tuple((size + 1) // 2 for size in window.output)


def _tiles(x, window):
    """B^T d B of all tiles, (16, tiles, c): its columns' four, of each its rows' four."""
    counts = _tile_counts(window)
    axes = zip(window.padding, counts, window.image, strict=True)
    padding = [(before, 2 * count + 2 - size - before, 0) for (before, _), count, size in axes]
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *padding, (0, 0, 0)))
    down, right = (2 * count - 1 for count in counts)
    rows = _together(_tile_points(*(x[:, i : i + down : 2] for i in range(4))))
    return _together(_tile_points(*(rows[:, :, :, j : j + right : 2] for j in range(4)))).reshape(16, -1, x.shape[3])


def _together(parts):
    """Stacks arrays of one shape. They are made in one loop before: a loop that stacks too is twice as slow."""
    return jnp.stack(lax.optimization_barrier(parts))


def _tile_points(a, b, c, d):
    """B^T of four rows or columns of a tile."""
    return [a - c, b + c, c - b, b - d]


def _kernel_points(a, b, c):
    """G of three rows or columns of a kernel."""
    return [a, (a + b + c) / 2, (a - b + c) / 2, c]


def _kernel_gradients(a, b, c, d):
    """G^T: the gradient of `_kernel_points`."""
    return [a + (b + c) / 2, (b - c) / 2, (b + c) / 2 + d]


def _outputs(a, b, c, d):
    """A^T of four products: two rows or columns of the result."""
    return [a + b + c, b - c - d]


def _output_gradients(a, b):
    """A: the gradient of `_outputs`."""
    return [a, a + b, a - b, -b]
