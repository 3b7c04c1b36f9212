"""Strings of handwritten digits side by side: images with text that need no download."""

from collections.abc import Mapping

import numpy as np

from jaxcnn.data.arrays import Arrays
from jaxcnn.data.digits import digits
from jaxcnn.data.text.tokens import TEXT, rows_of, text_field

SIZE = (12, 56)  # height and width of an image
MOST = 5  # digits of a string
DOWN, GAP = 5, 3  # places from the top, and widths of a gap: 0 to one less
COUNTS = {"train": 4000, "test": 500}


def strings(seed: int = 0, *, counts: Mapping[str, int] | None = None) -> Arrays:
    """Returns the Source of the strings: uint8 (12, 56, 1), one to five digits of 8x8 pixels with their text.

    Digits come from the left, each some pixels further down than the top and 0 to 2 pixels behind the one before; those
    of `train` and `test` are those of the set `digits`. String i of a split depends on (seed, split, i) alone.

    Args:
      seed: of the drawing.
      counts: {split: number of strings}; None for 4,000 of train and 500 of test.
    """
    source, splits = digits(), {}
    for number, (split, count) in enumerate((counts or COUNTS).items()):
        raw = np.random.Philox(key=[seed, number]).random_raw((count, 1 + 3 * MOST))  # raw bits stay between versions
        glyphs, labels = source.images(split)[..., 0], source.labels(split)
        drawn = [_draw(row, glyphs, labels) for row in raw]
        images, texts = zip(*drawn, strict=True)
        splits[split] = np.stack(images), {TEXT: rows_of(texts, MOST)}
    return Arrays("strings", splits, source.classes, fields=text_field(MOST))


def _draw(raw, glyphs, labels):
    """(uint8 (12, 56, 1), tokens)."""
    image, x = np.zeros((*SIZE, 1), np.uint8), 0
    length = 1 + int(raw[0] % MOST)
    which, down, gap = (raw[1:].reshape(3, MOST) % np.array([[len(labels)], [DOWN], [GAP]], np.uint64)).astype(int)
    for digit, y, space in zip(which[:length], down, gap, strict=False):
        x += space
        image[y : y + 8, x : x + 8, 0] = glyphs[digit]
        x += 8
    return image, labels[which[:length]] + 1
