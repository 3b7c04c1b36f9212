"""What was known of every claim after each pair of runs: its estimate, and its interval as it narrowed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jaxcnn.quantity import multiple
from jaxcnn.visualize.figure import PALETTE, QUIET, literal, new_figure, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


COLUMNS = 3


def draw_narrowing(claims: Sequence[Mapping[str, Any]], metrics: Mapping[str, Any]) -> Figure:
    """Draws estimate and interval over the number of pairs, a panel for each claim, the margin as dashed lines.

    Args:
      claims: as `findings` has them, {"text", "metric", "margin", "path": [{"n", "estimate", "interval"}]}.
      metrics: {name: {"label", "unit", "higher_is_better", "ratio"}}.
    Returns:
      A matplotlib Figure.
    """
    columns = min(len(claims), COLUMNS)
    rows = math.ceil(len(claims) / columns)
    figure = new_figure(5.5 if columns == 1 else 11, 2.6 * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, claim in zip(panels, claims, strict=False):
        _draw_claim(axes, claim, metrics[claim["metric"]])
    for axes in panels[len(claims) :]:
        axes.set_visible(False)
    return figure


def _draw_claim(axes, claim, metric):
    scale, path = 1 if metric["ratio"] else multiple(metric), claim["path"]
    unit = metric["unit"]
    words = "ratio" if metric["ratio"] else f"difference{unit and f' ({unit})'}"
    plain_axes(axes, title=literal(claim["text"], limit=40), xlabel="pairs", ylabel=literal(words))
    if metric["ratio"]:
        axes.set_yscale("log")
    axes.axhline(1 if metric["ratio"] else 0, color=QUIET, linewidth=1)
    for edge in _margins(claim["margin"], metric):
        axes.axhline(scale * edge, color=QUIET, linewidth=1, linestyle="--", gid="margin")
    estimates = [scale * step["estimate"] for step in path]
    axes.plot([step["n"] for step in path], estimates, "o-", color=PALETTE[0], markersize=4, gid="estimate")
    known = [step for step in path if step["interval"]]
    edges = [[scale * step["interval"][side] for step in known] for side in (0, 1)]
    axes.fill_between([step["n"] for step in known], *edges, color=PALETTE[0], alpha=0.2, gid="interval")
    axes.xaxis.get_major_locator().set_params(integer=True)


def _margins(margin, metric):
    if margin is None:
        return ()
    return (1 / margin, margin) if metric["ratio"] else (-margin, margin)
