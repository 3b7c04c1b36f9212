"""Means with their intervals: of each level of a study's factors, and of each of its cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jaxcnn.quantity import heading, multiple
from jaxcnn.visualize.figure import PALETTE, QUIET, literal, new_figure, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


COLUMNS = 3


def draw_effects(effects: Mapping[str, Any], metric: Any) -> Figure:
    """Draws the mean of every level, averaged over the other factors, with the interval of the mean.

    Args:
      effects: {factor: [{"level", "n", "mean", "interval"}]}, as `findings` has them; a level without a mean is named
        and left empty, one without an interval is a point.
      metric: {"label", "unit", "higher_is_better"}.
    Returns:
      A matplotlib Figure of one axes for each factor, with one scale for all.
    """
    columns = min(len(effects), COLUMNS)
    rows, most = math.ceil(len(effects) / columns), max(map(len, effects.values()))
    figure = new_figure(5.5 if columns == 1 else 11, rows * (1.2 + 0.36 * most))
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).flat
    for axes, (factor, levels) in zip(panels, effects.items(), strict=False):
        for place, level in enumerate(levels):
            _draw_level(axes, place, level, multiple(metric))
        plain_axes(
            axes, title=literal(factor.removeprefix("model.options."), limit=36), xlabel=literal(heading(metric))
        )
        axes.grid(axis="y", visible=False)
        axes.set_yticks(range(len(levels)), [_name(level) for level in levels], fontsize=10)
        axes.set_ylim(len(levels) - 0.5, -0.5)
    for axes in list(figure.axes)[len(effects) :]:
        axes.set_visible(False)
    return figure


def draw_cells(cells: Sequence[Mapping[str, Any]], metrics: Mapping[str, Any]) -> Figure:
    """Draws the mean of every cell with the interval of the mean and their n, a panel for each metric.

    Args:
      cells: [{"cell", "metrics": {name: {"n", "mean", "interval"}}}], as `findings` has them.
      metrics: {name: {"label", "unit", "higher_is_better"}}, those to draw.
    Returns:
      A matplotlib Figure.
    """
    figure = new_figure(2.2 + 3.6 * len(metrics), 1.2 + 0.36 * len(cells))
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False).flat
    for axes, (name, metric) in zip(panels, metrics.items(), strict=True):
        for place, cell in enumerate(cells):
            found = cell["metrics"][name]
            _draw_level(axes, place, found, multiple(metric))
            beside = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 8.5, "color": QUIET}
            axes.text(1.01, place, f"n = {found['n']}", **beside)  # a run may have one metric and lack another
        plain_axes(axes, xlabel=literal(heading(metric)))
        axes.grid(axis="y", visible=False)
    names = [literal(cell["cell"], limit=44) for cell in cells]
    figure.axes[0].set_yticks(range(len(cells)), names, fontsize=10)
    figure.axes[0].set_ylim(len(cells) - 0.5, -0.5)
    return figure


def _draw_level(axes, place, level, scale):
    if level["mean"] is None:
        return
    mean = scale * level["mean"]
    if level["interval"] is not None:
        low, high = (scale * edge for edge in level["interval"])
        axes.plot([low, high], [place, place], color=QUIET, linewidth=1.6, gid="interval")
        axes.plot([low, high], [place, place], "|", color=QUIET, markersize=9, markeredgewidth=1.6)
    axes.plot([mean], [place], "o", color=PALETTE[0], markersize=7, gid="mean")


def _name(level):
    return f"{literal(level['level'], limit=44)} (n = {level['n']})"
