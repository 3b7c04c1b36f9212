"""Toy sequences: to be copied, turned round, or added up. They need no download and are a function of the seed."""

from collections.abc import Mapping

import numpy as np

from jaxcnn.data.arrays import Arrays
from jaxcnn.data.text.tokens import END, FRAMING, TEXT, text_field

SYMBOLS = "abcdefgh"
MOST = 10  # symbols of a sequence
COUNTS = {"train": 5000, "test": 500}
ADDING_COUNTS = {"train": 20000, "test": 2000}


def copy(seed: int = 0, *, counts: Mapping[str, int] | None = None) -> Arrays:
    """Returns the Source of sequences whose text is themselves, see `_symbols`."""
    return _symbols("copy", seed, counts, lambda tokens: tokens)


def reverse(seed: int = 0, *, counts: Mapping[str, int] | None = None) -> Arrays:
    """Returns the Source of sequences whose text is themselves from the end, see `_symbols`."""
    return _symbols("reverse", seed, counts, lambda tokens: tokens[::-1])


def _symbols(name, seed, counts, change):
    """Sequences of 1 to 10 of 8 symbols as images uint8 (10, 8, 1): 255 in a step's row at the place of its symbol.

    The text ends with `<end>`. Short sequences occur in both splits.
    """
    splits = {}
    for number, (split, count) in enumerate((counts or COUNTS).items()):
        raw = np.random.Philox(key=[seed, number]).random_raw((count, 1 + MOST))  # raw bits stay between versions
        lengths = (1 + raw[:, 0] % np.uint64(MOST)).astype(np.int32)
        which = (raw[:, 1:] % np.uint64(len(SYMBOLS))).astype(np.int32)
        there = np.arange(MOST)[None] < lengths[:, None]
        images = (255 * np.eye(len(SYMBOLS))[which] * there[..., None]).astype(np.uint8)[..., None]
        text = np.zeros((count, MOST + 1), np.int32)
        for row, symbols, length in zip(text, which, lengths, strict=True):
            row[:length], row[length] = change(symbols[:length] + 1 + len(FRAMING)), END
        splits[split] = images, {TEXT: text}
    return Arrays(name, splits, (*FRAMING, *SYMBOLS), fields=text_field(MOST + 1))


def add(length: int = 100, seed: int = 0, *, counts: Mapping[str, int] | None = None) -> Arrays:
    """Returns the Source of the adding problem (Hochreiter and Schmidhuber 1997, experiment 4): (length, 2, 1).

    A step is a number from 0 to 1 and a mark, which two steps have: one of the first and one of the second half, as
    Le, Jaitly and Hinton 2015 have it. The field `value`, float32, is the sum of the two marked numbers. Numbers are
    k / 255, as pixels are; always saying 1 costs a squared error of 1 / 6.

    Args:
      length: steps, at least 2.
      seed: of the drawing.
      counts: {split: number of sequences}; None for 20,000 of train and 2,000 of test.
    """
    splits = {}
    for number, (split, count) in enumerate((counts or ADDING_COUNTS).items()):
        raw = np.random.Philox(key=[seed, number << 32 | length]).random_raw((count, length + 2))
        images = np.zeros((count, length, 2, 1), np.uint8)
        images[:, :, 0, 0] = (raw[:, 2:] >> np.uint64(56)).astype(np.uint8)
        half, rows = length // 2, np.arange(count)
        marked = [(raw[:, 0] % np.uint64(half)).astype(int), half + (raw[:, 1] % np.uint64(length - half)).astype(int)]
        for place in marked:
            images[rows, place, 1, 0] = 255
        value = sum(images[rows, place, 0, 0].astype(np.float32) for place in marked) / 255
        splits[split] = images, {"value": value.astype(np.float32)}
    return Arrays(f"add_{length}", splits, fields={"value": ((), np.dtype(np.float32))})
