"""Features of a region at a fixed size: RoI pooling (Fast R-CNN) and RoI align (Mask R-CNN)."""

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

    The gradient goes to the first of the largest cells; boxes get none.

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
    of_image = jax.vmap(lambda x, box: _pool_box(x, box, bins, stride), in_axes=(None, 0))
    return jax.vmap(of_image)(x, lax.stop_gradient(boxes.astype(jnp.float32)))


def _pool_box(x, box, bins, stride):
    rows, row_there = _cells(box[1], box[3], x.shape[0], bins[0], stride)  # (bins, most cells of a bin)
    columns, column_there = _cells(box[0], box[2], x.shape[1], bins[1], stride)
    cells = rows[:, None, :, None] * x.shape[1] + columns[None, :, None, :]
    there = row_there[:, None, :, None] & column_there[None, :, None, :]
    cells, there = (array.reshape(*bins, -1) for array in (cells, there))
    flat = x.reshape(-1, x.shape[2])
    values = jnp.where(there[..., None], lax.stop_gradient(flat)[cells], -jnp.inf)
    # the largest is looked up again by its place: its gradient needs no copy of the bins
    largest = jnp.take_along_axis(cells[..., None], jnp.argmax(values, axis=2)[:, :, None], axis=2)[:, :, 0]
    found = jnp.take_along_axis(flat, largest.reshape(-1, x.shape[2]), axis=0).reshape(*bins, x.shape[2])
    return jnp.where(there.any(axis=2)[..., None], found, 0)


def _cells(start, stop, length, bins, stride):
    """The cells of each bin along one side: (indices (bins, most), whether they are in the bin)."""
    # cut before int32 may overflow
    first = _round(jnp.clip(start / stride, -OVERHANG, length + OVERHANG))
    last = _round(jnp.clip((stop - 1) / stride, -OVERHANG, length + OVERHANG - 1))
    cells = jnp.maximum(last - first + 1, 1)
    numbers = jnp.arange(bins)
    begin = jnp.clip(first + numbers * cells // bins, 0, length)
    end = jnp.clip(first - (-(numbers + 1) * cells // bins), 0, length)
    most = min(length, -(-(length + 2 * OVERHANG) // bins) + 1)
    indices = begin[:, None] + jnp.arange(most)[None]
    return jnp.minimum(indices, length - 1), indices < end[:, None]


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
