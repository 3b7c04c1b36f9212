"""Where a detector looks: its surest proposals over an image, and its anchors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from jaxcnn.errors import InputError
from jaxcnn.operators import regions
from jaxcnn.visualize.figure import literal, new_figure, show_image, style

if TYPE_CHECKING:
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.selection import Selection


COLUMNS, CELL = 3, 3.0  # images a row, inches of one
PAIRS = 2  # a row, of an image without and with its objects
COLOURS = "viridis_r"  # the surest is dark
COVERED = 0.7  # the IoU from which an anchor is one of an object (Ren et al. 2015)


def draw_proposals(trained: Trained, chosen: Selection, *, limit: int = 30) -> Figure:
    """Draws the surest proposals of a network's first stage over images, the surest darkest and on top.

    Args:
      trained: a Trained, of a detector that proposes regions.
      chosen: a `Selection`; of records where the network is given its proposals.
      limit: how many of an image, at most.
    Returns:
      A matplotlib Figure.
    Raises:
      InputError: the network has none.
    """
    trained.needs(("proposals", "proposed"), "proposals of regions")
    examples = trained.examples(chosen.images, chosen.fields) if chosen.fields else chosen.images
    found = trained.map(trained.infer, examples)
    figure, grid = _panels(len(chosen.images), COLUMNS)
    for axes, image, name, boxes, there in zip(
        grid, chosen.images, chosen.names, found["proposals"], found["proposed"], strict=False
    ):
        boxes = boxes[there][:limit]
        show_image(axes, image)
        colours = matplotlib.colormaps[COLOURS](np.linspace(0, 1, max(len(boxes), 2)))[::-1]
        for box, colour in reversed(list(zip(boxes, colours, strict=False))):
            _rectangle(axes, box, colour)
        shown = f"the {len(boxes)} surest of {there.sum()}, darker is surer"
        axes.set_title(f"{literal(name, limit=40)}\n{shown}", fontsize=9)
    return figure


def draw_anchors(trained: Trained, chosen: Selection) -> Figure:
    """Draws the anchors of one cell over images, and of the objects of a split the anchor that overlaps each most.

    Args:
      trained: a Trained, of a network with anchors, such as faster_rcnn.
      chosen: a `Selection`, its images with their boxes where they are of a split.
    Returns:
      A matplotlib Figure.
    Raises:
      InputError: the network has no anchors.
    """
    anchors, count = _anchors(trained)
    images = len(chosen.images)
    figure, grid = _panels(images, COLUMNS) if chosen.fields is None else _panels(2 * images, 2 * PAIRS)
    panels = iter(grid)
    for number, (image, name) in enumerate(zip(chosen.images, chosen.names, strict=True)):
        axes = next(panels)
        show_image(axes, image)
        middle = np.square((anchors[:, :2] + anchors[:, 2:]) / 2 - np.divide(image.shape[1::-1], 2)).sum(axis=1)
        own = int(middle.argmin()) // count * count
        for place, box in enumerate(anchors[own : own + count]):
            _rectangle(axes, box, **style(place))
        axes.set_title(f"{literal(name, limit=40)}\nthe {count} anchors of a cell, {len(anchors):,} in all", fontsize=9)
        if chosen.fields is not None:
            _draw_nearest(next(panels), image, anchors, {key: x[number] for key, x in chosen.fields.items()})
    return figure


def _anchors(trained):
    """(the anchors (a, 4) of an image of the run's size, how many a cell has)."""
    model, image = trained.model, jax.ShapeDtypeStruct((1, *trained.shape), np.float32)
    if not hasattr(model, "anchors"):
        raise InputError(f"architecture {trained.config.model.name} of {trained.workdir} has no anchors.")

    def maps(variables, image):
        return model.apply(variables, image, method=lambda module, x: module.maps(x, train=False)[0])

    of_image = jax.eval_shape(maps, trained.variables, image)
    anchors = model.apply(
        trained.variables, np.zeros(of_image.shape, np.float32), image=trained.shape[:2], method="anchors"
    )
    return np.asarray(anchors), len(model.scales) * len(model.ratios)


def _draw_nearest(axes, image, anchors, fields):
    """Objects, and the anchor that overlaps each most; the title says how many are overlapped enough to learn from."""
    show_image(axes, image)
    boxes = regions.shown(fields["boxes"], view=fields["view"], size=image.shape[:2])
    boxes = np.asarray(boxes)[fields["box_mask"]]
    overlap = np.asarray(regions.iou(boxes, anchors))
    for place, (box, row) in enumerate(zip(boxes, overlap, strict=True)):
        colour = style(place)["color"]
        _rectangle(axes, box, colour)
        _rectangle(axes, anchors[row.argmax()], colour, linestyle="--")
        axes.text(
            box[0] + 0.5, box[1] + 0.5, f"{row.max():.2f}", color="white", fontsize=7, va="top", backgroundcolor=colour
        )
    enough = int((overlap.max(axis=1, initial=0) >= COVERED).sum())
    axes.set_title(f"{enough} of {len(boxes)} objects have\nan anchor of IoU {COVERED:g} or more", fontsize=9)


def _panels(count, columns):
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = new_figure(CELL * columns, (CELL + 0.3) * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[count:]:
        axes.axis("off")
    return figure, grid


def _rectangle(axes, box, color, linestyle="-"):
    """A box by its edges; a pixel is drawn around its number."""
    x1, y1, x2, y2 = map(float, box)
    axes.add_patch(
        Rectangle(
            (x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, edgecolor=color, linestyle=linestyle, linewidth=1.3
        )
    )
