"""Curves of verification and identification, and the pairs and probes that were taken for the wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn.visualize.figure import HELD_OUT, PALETTE, QUIET, TRAIN, literal, new_figure, plain_axes, show_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure


CELL = 1.25  # inches


def draw_roc(found: Any) -> Figure:
    """Draws true accepts over false accepts, on a log scale, with Wilson's intervals at the rates of the table.

    Args:
      found: a Verification.
    Returns:
      A matplotlib Figure.
    """
    least, equal = 0.5 / max(found.different, 2), found.equal_error_rate
    figure, axes = _shares(
        np.maximum(found.curve.false_accepts, least),
        found.curve.true_accepts,
        {rate.false_accept_rate: rate for rate in found.at_rates if not rate.note},
        f"{found.same} pairs of one person, {found.different} of two; bars: 95 % over pairs (Wilson)",
        title=f"area {found.area:.4f}, equal error rate {100 * equal:.2f} % (dot)",
        xlabel="false accept rate",
        ylabel="true accept rate",
    )
    axes.plot([max(equal, least)], [1 - equal], "o", color=HELD_OUT, markersize=5)
    axes.set_xscale("log")
    axes.set_xlim(least, 1)
    return figure


def draw_match(found: Any) -> Figure:
    """Draws the share of known probes whose person is among the first k of the gallery, over k.

    Args:
      found: an Identification.
    Returns:
      A matplotlib Figure.
    """
    return _shares(
        np.arange(1, found.people + 1),
        found.match,
        {share.at: share for share in found.ranks},
        f"{found.known} probes of {found.people} people; bars: 95 % over probes (Wilson)",
        title="closed set",
        xlabel="rank",
        ylabel="share of probes",
    )[0]


def _shares(places, shares, intervals, text, **words):
    """(figure, axes) of shares in steps, with {place: what has low and high} as bars, and a line of text below."""
    figure = new_figure(6, 4.2)
    axes = figure.subplots()
    axes.step(places, shares, where="post", color=TRAIN)
    for place, share in intervals.items():
        axes.plot([place] * 2, [share.low, share.high], color=TRAIN, alpha=0.35, linewidth=4)
    axes.set_ylim(0, 1.02)
    plain_axes(axes, **words)
    figure.supxlabel(text, fontsize=8, color=QUIET)
    return figure, axes


def draw_worst_pairs(
    alike: Sequence[Any],
    different: Sequence[Any],
    *,
    titles: Sequence[str] = ("one person, least alike", "two people, most alike"),
) -> Figure:
    """Draws pairs of faces, those of one person on the left, those of two people on the right, the worst above.

    Args:
      alike, different: [(two images (h, w, c) uint8, names (2,), score, whether they were accepted, or None where no
        threshold is applied)].
      titles: of both halves.
    Returns:
      A matplotlib Figure.
    """
    rows = max(len(alike), len(different), 1)
    figure = new_figure(4 * CELL + 0.6, rows * (CELL + 0.35) + 0.5)
    halves = figure.subfigures(1, 2)
    for half, title, pairs in zip(halves, titles, (alike, different), strict=True):
        half.suptitle(title, fontsize=9)
        grid = half.subplots(rows, 2, squeeze=False)
        for axes in grid.ravel():
            axes.axis("off")
        for row, (images, names, score, accepted) in zip(grid, pairs, strict=False):
            wrong = accepted is not None and accepted != (pairs is alike)
            for axes, image, name in zip(row, images, names, strict=True):
                axes.axis("on")
                show_image(axes, image)
                axes.set_title(literal(name, limit=18), fontsize=7, pad=2)
            text = f"{score:.3g}" + ("" if accepted is None else ", accepted" if accepted else ", rejected")
            row[0].set_xlabel(text, fontsize=7, labelpad=2, color=PALETTE[1] if wrong else QUIET)
    return figure
