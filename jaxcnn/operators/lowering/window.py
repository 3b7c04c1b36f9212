"""The view of an image that each tap of a sliding window reads, and its transpose: pooling, convolution by slices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Window(NamedTuple):
    """A sliding window over images of one size, all static.

    Attributes:
      image, kernel, stride: (vertical, horizontal).
      padding: ((top, bottom), (left, right)); a negative end cuts off.
      dilation: (vertical, horizontal).
      groups: of channels, for a convolution.
    """

    image: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1

    @property
    def output(self) -> tuple[int, ...]:
        """(h, w) of the result."""
        axes = zip(self.image, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return tuple((size + sum(pad) - step * (taps - 1) - 1) // stride + 1 for size, taps, stride, pad, step in axes)

    @property
    def taps(self) -> list[tuple[int, ...]]:
        """(row, column) of the kernel's pixels, row by row."""
        return [(i, j) for i in range(self.kernel[0]) for j in range(self.kernel[1])]


def tap_views(x: jax.Array, window: Window, fill: float = 0) -> list[jax.Array]:
    """For each kernel tap, the pixels that it reads at every position of the window: arrays (n, *window.output, c).

    Args:
      x: images (n, h, w, c).
      window: a Window.
      fill: the value of padding.
    """
    if window.stride == (1, 1):  # a shift, which XLA reads from the image itself and not from a padded copy
        return [_shifted(x, tap, window, fill) for tap in window.taps]
    if window.padding != ((0, 0), (0, 0)):
        x = lax.pad(x, jnp.array(fill, x.dtype), ((0, 0, 0), *((*pad, 0) for pad in window.padding), (0, 0, 0)))
    return [_strided(x, tap, window) for tap in window.taps]


def _shifted(x, tap, window, fill):
    config = [(0, 0, 0)]
    axes = zip(tap, window.kernel, window.dilation, window.padding, strict=True)
    for at, taps, step, (before, after) in axes:
        config.append((before - at * step, after - (taps - 1 - at) * step, 0))
    return lax.pad(x, jnp.array(fill, x.dtype), (*config, (0, 0, 0)))


def _strided(x, tap, window):
    start = [at * step for at, step in zip(tap, window.dilation, strict=True)]
    stop = [a + (size - 1) * stride + 1 for a, size, stride in zip(start, window.output, window.stride, strict=True)]
    n, _, _, c = x.shape
    return lax.slice(x, (0, *start, 0), (n, *stop, c), (1, *window.stride, 1))


def place_tap(y: jax.Array, tap: tuple[int, ...], window: Window) -> jax.Array:
    """The transpose of `tap_views`: puts a tap's values (n, *window.output, c) back on the image, zeros elsewhere."""
    config = [(0, 0, 0)]
    axes = zip(tap, window.dilation, window.stride, window.padding, window.image, window.output, strict=True)
    for at, step, stride, (before, _), size, out in axes:
        low = at * step - before
        config.append((low, size - low - ((out - 1) * stride + 1), stride - 1))
    return lax.pad(y, jnp.zeros((), y.dtype), (*config, (0, 0, 0)))


def total(terms: Iterable[jax.Array]) -> Any:
    """The sum of an iterable of arrays, in its order."""
    sum_ = None
    for term in terms:
        sum_ = term if sum_ is None else sum_ + term
    return sum_
