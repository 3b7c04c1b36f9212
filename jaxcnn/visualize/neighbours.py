"""The contact sheet of queries and their nearest neighbours in feature space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxcnn.visualize.examples import class_name
from jaxcnn.visualize.figure import PALETTE, QUIET, literal, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


CELL = 1.25  # inches
SAME, OTHER = PALETTE[2], PALETTE[1]


def neighbour_sheet(found: Any, classes: Sequence[str], *, metric: Any) -> Figure:
    """Draws a row for each query: its image, then its matches with class and distance, the nearest first.

    A match of the query's class has a green frame and "=" before its class, one of another class an orange frame.

    Args:
      found: jaxcnn.transfer.neighbours.Neighbours.
      classes: names of the gallery's classes.
      metric: what the distances are.
    Returns:
      A matplotlib Figure.
    """
    queries, k = found.rows.shape
    figure = new_figure((k + 1) * CELL, queries * (CELL + 0.35) + 0.4)
    figure.suptitle(f"query and its {k} nearest, {metric} distance", fontsize=9, x=0.01, ha="left")
    axes = figure.subplots(queries, k + 1, squeeze=False)
    for query, row in enumerate(axes):
        label = int(found.labels[query])
        known = f"\n{literal(class_name(classes, label), limit=20)}" if label >= 0 else ""
        _show(row[0], found.images[query], f"{_short(found.names[query])}{known}", QUIET, 0.5)
        for place, axis in enumerate(row[1:]):
            other = int(found.match_labels[query, place])
            name = literal(class_name(classes, other), limit=18)
            title = f"{'= ' if other == label else ''}{name}\n{found.distances[query, place]:.3g}"
            colour = SAME if other == label else OTHER if label >= 0 else QUIET
            _show(axis, found.matches[query, place], title, colour, 2.0)
    return figure


def _short(name):
    """The last characters of a path, which tell files of one folder apart."""
    name = literal(name, limit=200)
    return name if len(name) <= 20 else "…" + name[-19:]


def _show(axis, image, title, colour, width):
    axis.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
    axis.set_title(title, fontsize=7, pad=2)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_color(colour)
    axis.spines[:].set_linewidth(width)
