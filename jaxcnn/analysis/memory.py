"""The memory that activations take, from the layers and what each of them reads."""

from collections.abc import Mapping
from typing import Any


def largest_live(rows: Any, bytes_of: Mapping[Any, int]) -> int:
    """Bytes of the largest set of layer outputs that are alive at once in a forward pass, in the order of the layers.

    While a layer is computed its inputs and its output are there, and what a later layer still reads (a shortcut).
    An elementwise layer (a sum of branches, a normalisation) writes over an input that no other layer needs.

    Args:
      rows: layers in order, each with `inputs` (a set of rows) and `in_place`.
      bytes_of: {row: bytes of its output}.
    """
    position = {row: i for i, row in enumerate(rows)}
    last = dict(position)
    for row in rows:
        for read in row.inputs & position.keys():
            last[read] = max(last[read], position[row])
    largest, live = 0, set()
    for now, row in enumerate(rows):
        free = [r for r in row.inputs & live if last[r] == now and bytes_of[r] >= bytes_of[row]]
        taken = max((bytes_of[r] for r in free), default=0) if row.in_place and row.inputs else 0
        live.add(row)
        largest = max(largest, sum(bytes_of[r] for r in live) - taken)
        live = {r for r in live if last[r] > now}
    return largest


def kept_for_training(rows: Any, bytes_of: Mapping[Any, int]) -> int:
    """Bytes that wait for the backward pass: the images and the output of every layer, each once.

    Of a rematerialised block only what leaves it waits; the largest block is there in full while it is recomputed.
    """
    leaving = {read for row in rows for read in row.inputs if read.remat != row.remat}
    read = {r for row in rows for r in row.inputs}
    kept, blocks = 0, {}
    for row in rows:
        if row.remat is None or row in leaving or row not in read:
            kept += bytes_of[row]
        else:
            blocks[row.remat] = blocks.get(row.remat, 0) + bytes_of[row]
    return kept + max(blocks.values(), default=0)
