"""The images that activate units most: their patches, and what units see in them (Zeiler and Fergus 2013, figure 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxcnn.analysis.strongest import find_strongest
from jaxcnn.analysis.units import Box, field_box, find_unit
from jaxcnn.visualize.figure import literal, new_figure, show_image, write_note
from jaxcnn.visualize.projections import SCALES, cut_projection, patch, same_for_any_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxcnn.visualize.inspector import Inspector


CELL = 1.35  # inches, of a square of patches


class Top(NamedTuple):
    """A unit and its strongest images, the first most.

    Attributes:
      title: text.
      values: (k,), the activations.
      images: (k,), positions in the records.
      patches: uint8 (k, h, w, c), what the unit sees of them; the whole side of an image where it sees more.
      projections: float (k, h, w, c) in [0, 1], what it answers to there; grey is nothing.
      rule: of the projections.
    """

    title: str
    values: np.ndarray
    images: np.ndarray
    patches: np.ndarray
    projections: np.ndarray
    rule: str


def top_patches(
    inspector: Inspector,
    records: Any,
    stage: str,
    *,
    channels: Sequence[int] = (),
    units: int = 12,
    count: int = 9,
    rule: str | None = None,
    report: Callable[[int, int], object] | None = None,
) -> list[Top]:
    """Finds the strongest images of units in one pass over a data set, an image once for each unit.

    Args:
      inspector: an `Inspector`.
      records: Records.
      stage: the name of the stage.
      channels: the units; by default `units` of those that are ever active, evenly spread.
      count: images a unit, at most: one in which it answers with 0 is left out where another does not.
      rule: of the projections, a key of `backward.RULES`; None is the deconvnet, or guided backpropagation where the
        deconvnet shows the same of any image.
      report: called with (images done, all).
    Returns:
      [Top], one a unit.
    Raises:
      ValueError: there is no such stage or unit, or no image that can be read.
    """
    for channel in channels or (0,):
        find_unit(inspector.stages, stage, channel)
    found = find_strongest(inspector.strongest_of(records, stage, report=report), count=count)
    active = np.flatnonzero(found.values[:, 0] > 0)
    channels = channels or spread(active if active.size else np.arange(len(found.values)), units)
    field, tops = inspector.stages[stage].field, []
    rule = rule or _rule(inspector, records, stage, found, channels[0])
    for channel in channels:
        values, images, places = found.values[channel], found.images[channel], found.places[channel]
        pixels = records.read(images)["image"]
        # Of all of them: one shape, one compilation.
        projections = inspector.project(pixels, stage, np.full(len(images), channel), places, rule=rule)
        kept = np.flatnonzero(values if values.any() else np.ones_like(values))  # a unit that is off sees nothing
        boxes = [_shown(field_box(field, place), pixels.shape[1:3]) for place in places]
        tops.append(
            Top(
                inspector.unit_name(stage, channel),
                values[kept],
                images[kept],
                np.stack([patch(pixels[n], boxes[n]) for n in kept]),
                np.stack([cut_projection(rule, projections[n], boxes[n]) for n in kept]),
                rule,
            )
        )
    return tops


def _rule(inspector, records, stage, found, channel):
    """The rule by which one unit, and so the others of its stage, can be told apart in different images."""
    image = records.read(found.images[channel][:1])["image"][0]
    same = same_for_any_image(inspector, image, stage, channel, found.places[channel][0])
    return "guided" if same else "deconvnet"


def _shown(box, sides):
    """The box; along an axis where it is at least as long as the image, the image."""
    top, height = (0, sides[0]) if box.height >= sides[0] else (box.top, box.height)
    left, width = (0, sides[1]) if box.width >= sides[1] else (box.left, box.width)
    return Box(top, left, height, width)


def spread(numbers: np.ndarray, count: int) -> list[int]:
    """At most `count` of the numbers, from the first to the last at even distances."""
    chosen = np.linspace(0, len(numbers) - 1, min(count, len(numbers))).round().astype(int)
    return numbers[chosen].tolist()


def draw_top(tops: Sequence[Top], *, title: str = "", columns: int = 4) -> Figure:
    """Draws two squares a unit: left the projections, right the patches they are of, the strongest first row by row.

    Args:
      tops: [Top].
      title: text above.
      columns: units beside each other.
    Returns:
      A matplotlib Figure.
    """
    columns = min(columns, len(tops))
    rows = -(-len(tops) // columns)
    figure = new_figure((2 * CELL + 0.2) * columns, (CELL + 0.22) * rows + 0.35)
    figure.suptitle(literal(title, limit=120), fontsize=10.5, x=0.01, ha="left")
    write_note(figure, f"Left of a unit: {SCALES[tops[0].rule]}")
    figure.get_layout_engine().set(wspace=0.01, w_pad=0.03)
    cells = figure.subfigures(rows, columns, squeeze=False, wspace=0.04).ravel()
    for cell, top in zip(cells, tops, strict=False):
        left, right = cell.subplots(1, 2)
        for axes, pictures in ((left, top.projections), (right, top.patches)):
            show_image(axes, mosaic(pictures))
        left.set_title(literal(top.title, limit=30), fontsize=8.5, loc="left", pad=3)
        right.set_title(f"{top.values[-1]:.3g} to {top.values[0]:.3g}", fontsize=7, loc="right", pad=3)
    return figure


def mosaic(pictures: np.ndarray) -> np.ndarray:
    """Pictures (k, h, w, c) row by row in a square grid with white lines between them.

    Args:
      pictures: uint8, or float in [0, 1].
    Returns:
      One picture of the same dtype, white where there are no more.
    """
    k, height, width, channels = pictures.shape
    side = int(np.ceil(np.sqrt(k)))
    line = max(1, min(height, width) // 16)
    white = 255 if pictures.dtype == np.uint8 else 1
    shape = (side * (height + line) - line, side * (width + line) - line, channels)
    grid = np.full(shape, white, pictures.dtype)
    for number, picture in enumerate(pictures):
        top, left = number // side * (height + line), number % side * (width + line)
        grid[top : top + height, left : left + width] = picture
    return grid
