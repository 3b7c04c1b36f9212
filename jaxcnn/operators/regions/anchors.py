"""Anchors: boxes of a few scales and ratios around every cell of a feature map (Ren et al. 2015, arXiv:1506.01497)."""

from collections.abc import Sequence

import numpy as np

SCALES, RATIOS = (128, 256, 512), (0.5, 1.0, 2.0)  # of section 3.1.1, and in the order of the authors' code
BASE = 16  # pixels at which that code rounds the sides


def anchors(
    shape: Sequence[int],
    *,
    stride: float | Sequence[float],
    scales: Sequence[float] = SCALES,
    ratios: Sequence[float] = RATIOS,
    rounded: bool = False,
) -> np.ndarray:
    """The anchors of a feature map, those of a cell together: ratio by ratio, in each scale by scale.

    Of scale s and ratio r = height / width: w = s / sqrt(r), h = s * sqrt(r), around the centre of the cell's stride x
    stride pixels. They do not depend on an image: constants of a compiled program.

    Args:
      shape: (height, width) of the feature map.
      stride: pixels of the image between cells, a number or (vertical, horizontal).
      scales: roots of the areas, in pixels.
      ratios: heights over widths.
      rounded: as the authors' code, which rounds the sides of each ratio to whole pixels at a scale of 16 and
        multiplies them: 184 x 96 for 181.0 x 90.5. For weights that were trained so.
    Returns:
      (h * w * len(scales) * len(ratios), 4) float32, a NumPy array, row by row: what a convolution of 4 outputs an
      anchor gives, reshaped to (-1, 4).
    Raises:
      ValueError: a scale or a ratio is not positive.
    """
    if not scales or not ratios or min(*scales, *ratios) <= 0:
        raise ValueError(f"scales {scales} and ratios {ratios} must be positive")
    down, across = np.broadcast_to(np.asarray(stride, np.float64), (2,))
    sides = np.array([_sides(scale, ratio, rounded) for ratio in ratios for scale in scales]) / 2
    y, x = np.meshgrid((np.arange(shape[0]) + 0.5) * down, (np.arange(shape[1]) + 0.5) * across, indexing="ij")
    centres = np.stack([x, y], axis=-1)[:, :, None]
    return np.concatenate([centres - sides, centres + sides], axis=-1).reshape(-1, 4).astype(np.float32)


def _sides(scale, ratio, rounded):
    """(width, height) of an anchor."""
    if not rounded:
        return scale / np.sqrt(ratio), scale * np.sqrt(ratio)
    width = np.round(BASE / np.sqrt(ratio))
    return width * scale / BASE, np.round(width * ratio) * scale / BASE
