"""Texts as rows of tokens."""

from collections.abc import Sequence

import numpy as np

TEXT = "text"  # the field
FRAMING = ("<begin>", "<end>")  # the first classes of a set whose texts are written token by token: they end with <end>
BEGIN, END = 1, 2  # their tokens


def text_field(most: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """{"text": ...} of a set whose texts have at most so many tokens."""
    return {TEXT: ((most,), np.dtype(np.int32))}


def rows_of(texts: Sequence[Sequence[int]], most: int) -> np.ndarray:
    """int32 (n, most) of lists of tokens, 0 where nothing is."""
    found = np.zeros((len(texts), most), np.int32)
    for row, tokens in zip(found, texts, strict=True):
        row[: len(tokens)] = tokens
    return found
