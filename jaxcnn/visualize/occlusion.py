"""Maps of what a covered part of an image changes (Zeiler and Fergus 2013, arXiv:1311.2901, figure 6)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure

from jaxcnn.analysis.occlusion import BATCH, Occlusion, occlude
from jaxcnn.analysis.units import Box, find_unit
from jaxcnn.visualize.examples import class_name
from jaxcnn.visualize.figure import OTHERS, PALETTE, literal, new_figure, others, show_image
from jaxcnn.visualize.projections import outline

if TYPE_CHECKING:
    from jaxcnn.visualize.inspector import Inspector


CELL = 2.5  # inches
GREY = 0.5


def occlude_image(
    inspector: Inspector,
    image: np.ndarray,
    stage: str,
    *,
    label: int | None = None,
    size: int | None = None,
    stride: int | None = None,
    report: Callable[[int, int], object] = lambda done, total: None,
) -> tuple[Occlusion, int, int]:
    """Slides a grey square over an image of a trained network.

    Args:
      inspector: an `Inspector`.
      image: uint8 (h, w, c).
      stage: whose strongest map is followed.
      label: the class whose probability is asked for; by default the predicted one.
      size: of the square, pixels; by default a quarter of the short side.
      stride: by default a quarter of the square.
      report: called with how many places are done, and of how many.
    Returns:
      (`Occlusion`, label, size).
    Raises:
      ValueError: there is no such stage, or size or stride is not positive.
    """
    find_unit(inspector.stages, stage, 0)
    size = max(min(image.shape[:2]) // 4, 1) if size is None else size
    stride = max(size // 4, 1) if stride is None else stride
    image = image.astype(np.float32) / 255
    if label is None:
        label = int(inspector.answers(np.stack([image] * BATCH), stage)[0][0].argmax())
    answer = functools.partial(inspector.answers, stage=stage)
    found = occlude(answer, image, label=label, size=size, stride=stride, grey=GREY, report=report)
    return found, label, size


def draw_occlusion(
    image: np.ndarray, found: Occlusion, *, label: int, size: int, stage: str, classes: Sequence[str]
) -> Figure:
    """Draws an image beside what its network answers with a grey square at each place.

    Args:
      image: uint8 (h, w, 1 | 3).
      found: an `Occlusion`.
      label: the class whose probability was asked for.
      size: of the square, drawn in the corner of the image.
      stage: of the map whose sum is drawn.
      classes: names.
    Returns:
      A matplotlib Figure of four panels: the image, the sum of the map, the probability, the most probable class.
    """
    figure = new_figure(4 * CELL + 1.9, CELL + 0.75)
    shown, total, probability, predicted = figure.subplots(1, 4)
    show_image(shown, image)
    covered = Box(0, 0, size, size)
    outline(shown, covered, image.shape, edgecolor="white", facecolor=str(GREY))
    shown.set_title(f"{literal(class_name(classes, label), limit=24)}\nthe square, {size} pixels", fontsize=9)
    rows, columns = (found.stride * number - 0.5 for number in found.total.shape)
    extent = (-0.5, columns, rows, -0.5)
    name = f"{stage} {found.channel}, sum of the map\n{found.whole[2]:.3g} uncovered"
    _heat(figure, total, found.total, name, extent, vmin=min(0.0, float(found.total.min())))
    name = f"probability of {literal(class_name(classes, label), limit=20)}\n{found.whole[0]:.2f} uncovered"
    _heat(figure, probability, found.probability, name, extent, vmin=0, vmax=1)
    _classes(predicted, found, classes, extent)
    for axes in (total, probability, predicted):  # the last squares may stand for pixels beyond the image
        axes.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
    return figure


def _heat(figure, axes, values, title, extent, **limits):
    image = axes.imshow(values, extent=extent, interpolation="nearest", cmap="viridis", **limits)
    _bare(axes, title)
    bar = figure.colorbar(image, ax=axes, shrink=0.75, aspect=18, pad=0.02)
    bar.ax.tick_params(labelsize=7.5, length=2)
    bar.outline.set_visible(False)


def _classes(axes, found, classes, extent):
    """Each class in a colour of its own, the most frequent first; the others are grey."""
    names, counts = np.unique(found.predicted, return_counts=True)
    named = names[np.argsort(-counts, kind="stable")][: len(PALETTE)].tolist()
    rank = np.full(found.predicted.shape, len(named))
    for number, name in enumerate(named):
        rank[found.predicted == name] = number
    colors = [*PALETTE[: len(named)], OTHERS]
    norm = BoundaryNorm(np.arange(len(named) + 2) - 0.5, len(named) + 1)
    axes.imshow(rank, extent=extent, interpolation="nearest", cmap=ListedColormap(colors), norm=norm)
    _bare(axes, f"most probable class\n{literal(class_name(classes, found.whole[1]), limit=24)} uncovered")
    labels = [literal(class_name(classes, name), limit=18) for name in named]
    if len(named) < len(names):
        labels.append(others(len(names) - len(named)))
    handles = [axes.scatter([], [], marker="s", color=color) for color in colors[: len(labels)]]
    axes.legend(handles, labels, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=7.5, frameon=False)


def _bare(axes, title):
    axes.set_title(title, fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
