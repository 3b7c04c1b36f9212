"""The mistakes that a network was surest of."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn.visualize.examples import Example, class_name
from jaxcnn.visualize.figure import QUIET, literal, new_figure, show_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxcnn.evaluation.trained import Trained


COLUMNS = 6
CELL = 1.55  # inches


def find_mistakes(
    trained: Trained, records: Any, *, limit: int = 24, report: Callable[[int, int], object] | None = None
) -> tuple[list[tuple[int, Example]], int, int]:
    """The wrong predictions of highest confidence, streamed: so many images are kept, no more.

    Args:
      trained: a Trained.
      records: Records with the labels.
      limit: how many to keep.
      report: called with (images done, all).
    Returns:
      [(position in the records, Example)], the most confident first, of equal ones the first in the data; and how
      many are wrong in all, of how many.
    """
    kept, wrong, seen = [], 0, 0
    for positions, batch, probabilities in trained.stream(trained.class_probabilities, records, report=report):
        rows = zip(positions.tolist(), batch["image"], batch["label"].tolist(), probabilities, strict=True)
        found = [(position, Example(image.copy(), label, row)) for position, image, label, row in rows]
        seen += len(found)
        mistakes = [(position, example) for position, example in found if example.predicted != example.label]
        wrong += len(mistakes)
        kept = heapq.nsmallest(limit, kept + mistakes, key=lambda pair: (-pair[1].confidence, pair[0]))
    return kept, wrong, seen


def draw_mistakes(
    mistakes: Sequence[tuple[int, Example]], classes: Sequence[str], *, title: str = "", photographs: Any = None
) -> Figure:
    """Draws wrong predictions in the order given: the image, its true class, the predicted one and its probability.

    Args:
      mistakes: [(position in the split, Example)].
      classes: names of the classes.
      title: text above.
      photographs: {position: (the image as it is stored, its name)}; those that are not there are drawn as the network
        sees them.
    Returns:
      A matplotlib Figure.
    """
    photographs = photographs or {}
    columns = min(COLUMNS, max(len(mistakes), 3))
    rows = max(1, -(-len(mistakes) // columns))
    figure = new_figure(CELL * columns, (CELL + 0.5) * rows + 0.3)
    figure.suptitle(literal(title, limit=120), fontsize=11, x=0.01, ha="left")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (position, example) in zip(grid, mistakes, strict=False):
        image, name = photographs.get(position, (example.image, ""))
        show_image(axes, np.asarray(image))
        true, predicted = (literal(class_name(classes, i), limit=20) for i in (example.label, example.predicted))
        axes.set_title(true, fontsize=9, pad=3, fontweight="bold")
        taken = f"taken for {predicted}\n{100 * example.confidence:.1f} % sure, image {position}"
        taken += f"\n{literal(name, limit=26)}" if name else ""
        axes.set_xlabel(taken, fontsize=7.5, color=QUIET, labelpad=3)
    for axes in grid[len(mistakes) :]:
        axes.axis("off")
    if not mistakes:
        figure.text(0.5, 0.4, "no mistakes", ha="center", fontsize=11, color=QUIET)
    return figure
