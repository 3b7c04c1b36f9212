"""The marks of watermarks: letters, digits and a few signs as bitmaps of one size."""

import numpy as np

from jaxcnn.architectures.digit_bitmaps import DIGIT_BITMAPS

HEIGHT, WIDTH = 28, 20  # pixels of a bitmap
_SCALE = 4  # of the letters, 7x5

# A to Z in 7x5 pixels: five columns each, the lowest bit on top, as character displays have them.
_LETTERS = """
7c1211127c 7f49494936 3e41414122 7f4141413e 7f49494941 7f09090901 3e41415173 7f0808087f 00417f4100 2040413f01 7f08142241
7f40404040 7f021c027f 7f0408107f 3e4141413e 7f09090906 3e4151215e 7f09192946 2649494932 03017f0103 3f4040403f 1f2040201f
3f4038403f 6314081463 0304780403 6159494d43
"""


def _letter(columns):
    bits = [[column >> row & 1 for column in bytes.fromhex(columns)] for row in range(7)]
    return np.kron(np.array(bits), np.ones((_SCALE, _SCALE)))


def _digit(bitmap):
    rows, columns = (np.arange(size) * side // size for size, side in zip((HEIGHT, WIDTH), bitmap.shape, strict=True))
    return bitmap[rows][:, columns] > 0


def _signs():
    """A disc, a ring, a frame, a diamond, a triangle, a cross, a saltire and a half of the cell."""
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    distance, far, near = np.hypot(x, y), np.maximum(abs(x), abs(y)), np.minimum(abs(x), abs(y))
    ring, frame = (distance < 1) & (distance > 0.6), far > 0.6
    triangle, saltire = abs(x) < (y + 1) / 2, abs(abs(x) - abs(y)) < 0.3
    return [distance < 1, ring, frame, abs(x) + abs(y) < 1, triangle, near < 0.25, saltire, x < y]


GLYPHS = np.stack([*map(_letter, _LETTERS.split()), *map(_digit, DIGIT_BITMAPS), *_signs()]).astype(np.float32)
