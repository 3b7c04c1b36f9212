"""What a named architecture claims; the tests recompute every number."""

from typing import NamedTuple


class Claim(NamedTuple):
    """One row: for images of this size, exactly this many trainable parameters.

    Attributes:
      input: (h, w, c) of the images that the count is for.
      parameters: number of trainable parameters, with the default options.
      source: where the count is printed or what it follows from.
    """

    input: tuple[int, int, int]
    parameters: int
    source: str
