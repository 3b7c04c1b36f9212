"""Digits drawn on textured ground: the material of composed scenes."""

import math
from typing import Any

import cv2
import numpy as np

INK = 0.35  # a pixel with more of it belongs to the box


class Canvas:
    """The random numbers and strokes of one scene.

    Args:
      bits: a NumPy bit generator, whose raw bits stay the same between versions.
      size: pixels of a side.
    """

    def __init__(self, bits: np.random.BitGenerator, size: int) -> None:
        self.bits, self.size = bits, size

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Any:
        """Numbers of this shape, or one."""
        if not shape:
            return low + (high - low) * ((self.bits.random_raw() >> 11) * 2.0**-53)
        raw = self.bits.random_raw(math.prod(shape))
        return (low + (high - low) * ((raw >> np.uint64(11)) * 2.0**-53)).reshape(shape)

    def ground(self, *, texture: float = 1.0) -> np.ndarray:
        """(size, size, 3): coarse and fine spots of colour, times `texture`, and grain."""
        image = np.full((self.size, self.size, 3), self.uniform(3, low=0.25, high=0.75))
        for cells, strength in ((3, 0.3), (8, 0.2), (24, 0.12)):
            strength *= texture
            spots = self.uniform(cells, cells, 3, low=-strength, high=strength).astype(np.float32)
            image += cv2.resize(spots, (self.size, self.size), interpolation=cv2.INTER_CUBIC)
        return image + self.uniform(self.size, self.size, 1, low=-0.04, high=0.04)

    def paint(self, part: Any, ink: np.ndarray) -> None:
        """Lays ink over a part of the image, of a colour that is clearly darker or brighter."""
        ground = part.mean(axis=(0, 1))
        bright = self.uniform() < 0.5 if 0.35 < ground.mean() < 0.65 else ground.mean() < 0.5
        colour = self.uniform(3, low=0.75, high=1.0) if bright else self.uniform(3, low=0.0, high=0.2)
        part[:] = part * (1 - ink[..., None]) + colour * ink[..., None]


def stroke(glyph: np.ndarray, side: int) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """(the ink of a digit, (side, side) from 0 to 1, (x1, y1, x2, y2) around it)."""
    ink = cv2.resize(glyph[..., 0].astype(np.float32) / 255, (side, side), interpolation=cv2.INTER_CUBIC)
    ink = np.clip(ink * 1.5 - 0.15, 0, 1)
    rows, columns = (np.flatnonzero((ink > INK).any(axis=axis)) for axis in (1, 0))
    return ink, (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def pixels(image: np.ndarray) -> np.ndarray:
    """The image as uint8."""
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
