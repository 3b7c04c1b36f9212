"""Large images through a network of any size, window by window: what it gives is that of one piece, in bounded memory.

Windows overlap by as much as a restored pixel sees, so that each pixel is taken from a window that holds all it sees.
Where an image ends a window ends too: the network pads there as it pads the image. All windows of large images have one
size, which one program computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jaxcnn.analysis import analyse

if TYPE_CHECKING:
    import numpy as np

    from jaxcnn.evaluation.trained import Trained


MULTIPLE = 32  # sides are padded to multiples, and windows begin at them: few programs, and what strided networks take
PROBED = (3 * MULTIPLE, 4 * MULTIPLE)  # a size at which a network of any size is recognised
INSIDE = 512  # pixels along a side of a window that it keeps: DnCNN takes some 0.8 GB and computes a quarter twice


def is_large(image: np.ndarray) -> bool:
    """Whether an image (h, w, c) is worth windows."""
    return max(image.shape[:2]) > INSIDE


def margin_of(trained: Trained) -> int | None:
    """The pixels that a restored one sees to each side, rounded up to a multiple of 32; None where it sees them all.

    Args:
      trained: a Trained, of a network of any size that restores images.
    """
    found = analyse(trained.restored, (*PROBED, trained.shape[2]), variables=trained.variables)
    _, _, field = list(found.stages.values())[-1]
    if field is None or field.whole or field.stride != (1, 1):
        return None
    return -(-max(0, *(reach for axis in field.padding for reach in axis)) // MULTIPLE) * MULTIPLE


def windows(side: int, margin: int) -> list[tuple[int, ...]]:
    """How windows cover a side.

    Args:
      side: pixels, a multiple of 32.
      margin: as `margin_of` gives it.
    Returns:
      [(start, stop, first, last)]: the window is [start, stop) and gives the pixels [first, last); one where it fits.
    """
    size = INSIDE + 2 * margin
    if side <= size:
        return [(0, side, 0, side)]
    starts = [*range(0, side - size, INSIDE), side - size]
    seams = [0, *(start + margin for start in starts[1:]), side]
    return [(start, start + size, *seams[n : n + 2]) for n, start in enumerate(starts)]


def restore_in_tiles(
    trained: Trained, image: np.ndarray, margin: int
) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """What a network makes of a large image.

    Args:
      trained: as in `margin_of`.
      image: uint8 (h, w, c), sides multiples of 32.
      margin: as `margin_of` gives it.
    Yields:
      ((slice, slice) of the image, float (h', w', c) in [0, 1]) of every window.
    """
    rows, columns = (windows(side, margin) for side in image.shape[:2])
    for top, bottom, first_row, last_row in rows:
        for left, right, first_column, last_column in columns:
            window = trained.map(trained.restored, image[None, top:bottom, left:right], batch_size=1)[0]
            inside = window[first_row - top : last_row - top, first_column - left : last_column - left]
            yield (slice(first_row, last_row), slice(first_column, last_column)), inside
