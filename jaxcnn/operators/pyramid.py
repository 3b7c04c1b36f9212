"""Spatial pyramid pooling: any image size in, one vector length out (He et al. 2014, arXiv:1406.4729)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxcnn.operators.padding import check_image
from jaxcnn.operators.pooling import average_pool, global_average_pool, global_max_pool, max_pool

POOLS = {"max": (max_pool, global_max_pool), "average": (average_pool, global_average_pool)}


def spatial_pyramid_pool(
    x: jax.Array, *, levels: Sequence[int] = (6, 3, 2, 1), pool: str = "max", sliding: bool = False
) -> jax.Array:
    """Pools an image in grids of bins from fine to coarse, and joins the bins to one vector.

    Bin i of n covers the pixels floor(i / n * h) to ceil((i + 1) / n * h) - 1   (the paper's appendix A)

    Every pixel is then in a bin, and every size of image works. For training at one size the paper slides a window of
    ceil(h / n) with stride floor(h / n) instead (section 2.3), which may leave out the last pixels and makes n bins
    only where the size suits: sliding=True.

    Args:
      x: (n, h, w, c), any float type.
      levels: the bins along each axis, n, level by level; (6, 3, 2, 1) are the paper's 50 bins.
      pool: "max", as in the paper, or "average".
      sliding: as above.
    Returns:
      (n, sum(levels**2) * c), the dtype of x; level by level, row by row, the channels of a bin together.
    Raises:
      ValueError: a level is not positive, pool is unknown, or sliding and the window does not make n x n bins.
    """
    check_image(x.shape)
    if pool not in POOLS or not levels or min(levels) < 1:
        raise ValueError(f"pool must be one of {', '.join(POOLS)} and levels positive, got {pool!r} and {levels}")
    bins = _sliding_bins if sliding else _bins
    return jnp.concatenate([bins(x, level, *POOLS[pool]).reshape(x.shape[0], -1) for level in levels], axis=-1)


def _bins(x, level, _, pool):
    rows, columns = (
        [slice(i * size // level, -(-(i + 1) * size // level)) for i in range(level)] for size in x.shape[1:3]
    )
    return jnp.stack([pool(x[:, row, column]) for row in rows for column in columns], axis=1)


def _sliding_bins(x, level, pool, _):
    window = tuple(-(-size // level) for size in x.shape[1:3])
    stride = tuple(max(size // level, 1) for size in x.shape[1:3])
    y = pool(x, window=window, stride=stride)
    if y.shape[1:3] != (level, level):
        raise ValueError(f"windows of {window} at stride {stride} make {y.shape[1:3]}, not {level} bins of {x.shape}")
    return y
