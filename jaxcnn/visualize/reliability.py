"""The reliability diagram: whether a classifier is right as often as it says (Guo et al. 2017, figure 1)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from jaxcnn.evaluation.calibration import TEMPERATURES
from jaxcnn.quantity import decimal, percent, whole
from jaxcnn.visualize.figure import HELD_OUT, QUIET, TRAIN, literal, new_figure, plain_axes, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_reliability(found: Any, *, title: str = "", path: str | os.PathLike[str] | None = None) -> Figure:
    """Draws the share of right images in each bin of confidence, and how many images lie there.

    A bar that ends below the diagonal belongs to a network that is surer than it is right; the gap is drawn. Where the
    temperature is known, the same of the scaled probabilities stands beside it.

    Args:
      found: of `jaxcnn.evaluation.calibration.calibration`.
      title: the run, split and so on, above everything.
      path: where to write the figure too.
    Returns:
      A matplotlib Figure: the diagrams in a row, below each its images. The gid of bars is "accuracy" and "images".
    """
    columns = [("As it is", found)]
    if found["scaled"]:
        columns.append((f"Temperature {found['temperature']:.3g}", found["scaled"]))
    figure = new_figure(5.2 * len(columns), 5.8)
    axes = figure.subplots(2, len(columns), squeeze=False, height_ratios=(3.4, 1), sharex=True)
    for (name, one), (above, below) in zip(columns, axes.T, strict=True):
        _draw_gaps(above, one)
        plain_axes(above, title=f"{name}: ECE {percent(one['ece'])}", ylabel="right (%)")
        _draw_images(below, one["images"])
    if title:
        figure.suptitle(literal(title, limit=110), fontsize=10, color=QUIET, x=0.01, ha="left")
    if path is not None:
        save_figure(figure, path)
    return figure


def _places(bins):
    """(centres, width) of the bins in per cent."""
    return 100 * (np.arange(bins) + 0.5) / bins, 100 / bins


def _draw_gaps(axes, one):
    centres, width = _places(len(one["images"]))
    confidence, accuracy = (100 * np.array(one[name], np.float64) for name in ("confidence", "accuracy"))
    there = np.isfinite(accuracy)
    width *= 0.92
    for x, bar in zip(centres[there], accuracy[there], strict=True):
        axes.bar(x, bar, width=width, color=TRAIN, alpha=0.85, linewidth=0, gid="accuracy")
    gap, look = (confidence - accuracy)[there], {"facecolor": "none", "edgecolor": HELD_OUT, "hatch": "////"}
    axes.bar(centres[there], gap, width=width, bottom=accuracy[there], linewidth=0.8, label="gap to confidence", **look)
    axes.plot([0, 100], [0, 100], color=QUIET, linewidth=1, linestyle="--", label="as sure as right")
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 102)
    axes.legend(fontsize=9, loc="upper left", framealpha=0.85, edgecolor="none")


def _draw_images(axes, images):
    centres, width = _places(len(images))
    for x, count in zip(centres, images, strict=True):
        axes.bar(x, count, width=0.92 * width, color=QUIET, linewidth=0, gid="images")
    plain_axes(axes, xlabel="confidence (%)", ylabel="images")
    axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True))


def calibration_words(found: Any, *, split: str, fitted_here: bool) -> Iterator[str]:
    """Sentences on a calibration: its errors before and after temperature scaling, and what they were counted on.

    Args:
      found: of `jaxcnn.evaluation.calibration.calibration`.
      split: of the images.
      fitted_here: whether the temperature was fitted on these images.
    """
    n = sum(found["images"])
    yield (
        f"Expected calibration error over {found['bins']} bins of equal width, {whole(n)} images of {split}: "
        f"{percent(found['ece'])}; negative log likelihood {decimal(found['nll'])}."
    )
    if found["scaled"]:
        where, scaled = "on these images" if fitted_here else "on the held-out part", found["scaled"]
        yield (
            f"Divided by the temperature {found['temperature']:.4g}, fitted {where}: {percent(scaled['ece'])}; "
            f"negative log likelihood {decimal(scaled['nll'])}."
        )
    elif fitted_here:
        low, high = TEMPERATURES
        yield f"No temperature between {low:g} and {high:g} gives these images a lowest negative log likelihood."
    else:
        yield "The temperature is fitted by evaluate --split validation, and then used on other images."
