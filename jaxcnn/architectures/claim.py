"""The numbers that a named architecture claims; the tests recompute each."""

from typing import NamedTuple


class Claim(NamedTuple):
    """One row: for images of this size, exactly this many trainable parameters and multiply-adds.

    Attributes:
      input: (h, w, c) of the images that the count is for.
      parameters: number of trainable parameters with the default options, auxiliary heads included.
      macs: multiply-adds of one image from the input to the main logits, or to the image that is returned, of
        convolutions and linear layers only.
      source: where the counts are printed or what they follow from.
    """

    input: tuple[int, int, int]
    parameters: int
    macs: int
    source: str
