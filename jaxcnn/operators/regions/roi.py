"""Features of a region at a fixed size: RoI pooling (Fast R-CNN) and RoI align (Mask R-CNN)."""

import functools
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.operators.padding import check_image, pair
from jaxcnn.operators.regions.boxes import sides

# Cells that a region may reach over the map: those of a box in the image, after rounding, and one to spare.
OVERHANG = 2


def check_regions(x: jax.Array, boxes: jax.Array) -> None:
    """Raises ValueError for what is no features (n, h, w, c) with boxes (n, m, 4)."""
    check_image(x.shape)
    if boxes.ndim != 3 or boxes.shape[0] != x.shape[0] or boxes.shape[2] != 4:
        raise ValueError(f"expected features (n, h, w, c) and boxes (n, m, 4), got {x.shape} and {boxes.shape}")


def roi_pool(x: jax.Array, boxes: jax.Array, *, size: int | Sequence[int], stride: float) -> jax.Array:
    """The largest value of each bin of a region, after rounding region and bins to cells (Girshick 2015, section 2.1).

    As the authors' Caffe layer: the first and last pixel of a box, over `stride`, are rounded (halves away from zero)
    to the first and last cell; the h cells between, one at least, are cut into bins, bin i from floor(i h / size) to
    ceil((i + 1) h / size), which overlap; bins are clipped to the map, and an empty one gives 0. Their first and last
    pixels are x1 and x2 - 1 of our boxes. Where floating point makes Caffe's i * (h / size) a hair larger than a whole
    number, its bin has one row more than ours, which divides whole numbers. A box that reaches farther than OVERHANG
    cells over the map is cut there: the papers clip boxes to the image.

    The gradient goes to the first of the largest cells; boxes get none. Besides the result it takes 8 bytes a cell and
    channel for each pair of powers of two that are sides of a bin, 12 pairs for VGG at 600x1000.

    Args:
      x: features (n, h, w, c), any float type.
      boxes: (n, m, 4), in pixels of the image.
      size: bins, int or (vertical, horizontal); 7 for VGG, 6 for AlexNet.
      stride: pixels of the image between cells, 16 of VGG's conv5.
    Returns:
      (n, m, size, size, c), the dtype of x.
    Raises:
      ValueError: the shapes are not as above.
    """
    check_regions(x, boxes)
    bins = pair(size)
    spans = [
        _spans(boxes[..., 1 - axis], boxes[..., 3 - axis], x.shape[1 + axis], bins[axis], stride) for axis in (0, 1)
    ]
    return jax.vmap(_pool)(x, *spans)


def _spans(start, stop, length, bins, stride):
    """The cells of each bin along one side, from begin to before end: int32 (n, m, bins) each; none where they meet."""
    start, stop = (lax.stop_gradient(edge.astype(jnp.float32))[..., None] for edge in (start, stop))
    # cut before int32 may overflow
    first = _round(jnp.clip(start / stride, -OVERHANG, length + OVERHANG))
    last = _round(jnp.clip((stop - 1) / stride, -OVERHANG, length + OVERHANG - 1))
    cells = jnp.maximum(last - first + 1, 1)
    numbers = jnp.arange(bins).reshape(1, 1, -1)
    begin = jnp.clip(first + numbers * cells // bins, 0, length)
    return begin, jnp.clip(first - (-(numbers + 1) * cells // bins), 0, length)


def _pool(x, rows, columns):
    """The bins (m, r, c, channels) of a map, of the spans of m regions: the larger of few stretches looked up.

    Each bin is covered by stretches of 2^i x 2^j cells that begin at its corners; what is largest in those is found
    once for all regions.
    """
    height, width, channels = x.shape
    flat = x.reshape(-1, channels)
    own = jnp.broadcast_to(jnp.arange(height * width).reshape(height, width, 1), x.shape)
    levels = [
        _levels(length, begin.shape[-1]) for length, (begin, _) in zip((height, width), (rows, columns), strict=True)
    ]
    tables = [
        table
        for down in _doubled((lax.stop_gradient(x), own), levels[0], axis=0)
        for table in _doubled(down, levels[1], axis=1)
    ]
    values, places = (
        jnp.concatenate([part.reshape(-1, channels) for part in parts]) for parts in zip(*tables, strict=True)
    )
    (row_level, first_rows), (column_level, first_columns) = (
        _covers(*span, length) for span, length in ((rows, height), (columns, width))
    )
    table = row_level[:, :, None] * levels[1] + column_level[:, None, :]
    cells = [
        (table * height + row[:, :, None]) * width + column[:, None, :]
        for row, column in itertools.product(first_rows, first_columns)
    ]
    _, place = functools.reduce(_larger, [(values[cell], places[cell]) for cell in cells])
    # looked up again by its place: its gradient needs no tables
    found = jnp.take_along_axis(flat, place.reshape(-1, channels), axis=0).reshape(place.shape)
    there = (rows[0] < rows[1])[:, :, None] & (columns[0] < columns[1])[:, None, :]
    return jnp.where(there[..., None], found, 0)


def _levels(length, bins):
    """How many powers of two are cells of a bin, 1 at least."""
    most = min(length, -(-(length + 2 * OVERHANG) // bins) + 1)
    return most.bit_length()


def _doubled(table, levels, axis):
    """Tables of (the largest of the 1, 2, 4, ... cells of `table` from each along an axis, its place).

    Those that reach over the end are never looked up: a span is covered from within.
    """
    tables = [table]
    for level in range(levels - 1):
        values, places = tables[-1]
        shift = min(2**level, values.shape[axis])
        after = [(0, shift if own == axis else 0) for own in range(3)]
        values, places = (
            lax.slice_in_dim(jnp.pad(part, after, constant_values=fill), shift, None, axis=axis)
            for part, fill in ((values, -jnp.inf), (places, 0))
        )
        tables.append(_larger(tables[-1], (values, places)))
    return tables


def _larger(one, other):
    """Of two (values, places) the larger ones, of equals those of the first place; a NaN is larger than all."""
    (value, place), (other_value, other_place) = one, other
    first = (other_value == value) & (other_place < place)
    better = ~jnp.isnan(value) & ((other_value > value) | jnp.isnan(other_value) | first)
    return jnp.where(better, other_value, value), jnp.where(better, other_place, place)


def _covers(begin, end, length):
    """(The level, the beginnings) of the two stretches of 2^level cells that cover each span; any of an empty one."""
    level = 31 - lax.clz(jnp.maximum(end - begin, 1))
    return level, [jnp.clip(first, 0, length - 1) for first in (begin, end - 2**level)]


def _round(x):
    return (jnp.sign(x) * jnp.floor(jnp.abs(x) + 0.5)).astype(jnp.int32)


def roi_align(
    x: jax.Array, boxes: jax.Array, *, size: int | Sequence[int], stride: float, samples: int = 2, aligned: bool = True
) -> jax.Array:
    """The mean of bilinear samples in each bin of a region; nothing is rounded (He et al. 2017, arXiv:1703.06870).

    A bin has samples x samples points at even distances. Cell i holds the value at its centre, (i + 0.5) * stride
    pixels: a point at pixel p is at p / stride - 0.5 cells (torchvision's aligned=True). The older form, aligned=False,
    lacks the half and stretches regions to one cell at least. A point up to one cell outside the map takes the value at
    its border, one farther off is 0.

    Args:
      x: features (n, h, w, c), any float type.
      boxes: (n, m, 4), in pixels of the image; sides under 0 count as 0.
      size: bins, int or (vertical, horizontal).
      stride: pixels of the image between cells.
      samples: points of a bin along each side.
      aligned: as above.
    Returns:
      (n, m, size, size, c), the dtype of x.
    Raises:
      ValueError: the shapes are not as above.
    """
    check_regions(x, boxes)
    bins, offset = pair(size), 0.5 if aligned else 0.0
    boxes = boxes.astype(jnp.float32)
    starts = boxes[..., :2] / stride - offset
    lengths = sides(boxes) / stride
    if not aligned:
        lengths = jnp.maximum(lengths, 1)
    across, down = (
        _weights(starts[..., axis], lengths[..., axis], x.shape[2 - axis], bins[1 - axis], samples) for axis in (0, 1)
    )
    pooled = jnp.einsum("nmyh,nhwc->nmywc", down.astype(x.dtype), x, precision="highest")
    return jnp.einsum("nmywc,nmxw->nmyxc", pooled, across.astype(x.dtype), precision="highest")


def _weights(start, length, cells, bins, samples):
    """(n, m, bins, cells) of the weight of each cell in the mean of each bin along one side."""
    steps = ((jnp.arange(bins * samples) + 0.5) / (bins * samples)).reshape(1, 1, -1)
    points = start[..., None] + steps * length[..., None]
    there = (points >= -1) & (points <= cells)
    points = jnp.clip(points, 0, cells - 1)
    distance = jnp.abs(points[..., None] - jnp.arange(cells).reshape(1, 1, 1, -1))
    weights = jnp.where(there[..., None], jnp.maximum(1 - distance, 0), 0)
    return weights.reshape(*start.shape, bins, samples, cells).mean(axis=-2)
