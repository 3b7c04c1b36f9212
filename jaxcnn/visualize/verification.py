"""Curves of verification and identification, and the pairs that were taken for the wrong kind."""

import numpy as np

from jaxcnn.visualize.figure import HELD_OUT, PALETTE, QUIET, TRAIN, literal, new_figure, plain_axes, show_image

CELL = 1.25  # inches


def draw_roc(found):
    """Draws true accepts over false accepts, on a log scale, with Wilson's intervals at the rates of the table.

    Args:
      found: a Verification.
    Returns:
      A matplotlib Figure.
    """
    figure = new_figure(6, 4.4)
    axes = figure.subplots()
    least = 1 / max(found.different, 2)
    curve = found.curve
    axes.step(np.maximum(curve.false_accepts, least / 2), curve.true_accepts, where="post", color=TRAIN)
    for rate in found.at_rates:
        if not rate.note:
            axes.plot([rate.false_accept_rate] * 2, [rate.low, rate.high], color=TRAIN, alpha=0.35, linewidth=4)
    equal = found.equal_error_rate
    axes.plot([max(equal, least / 2)], [1 - equal], "o", color=HELD_OUT, markersize=5)
    axes.set_xscale("log")
    axes.set_xlim(least / 2, 1)
    axes.set_ylim(0, 1.02)
    title = f"area {found.area:.4f}, equal error rate {100 * equal:.2f} % (dot)"
    plain_axes(axes, title=title, xlabel="false accept rate", ylabel="true accept rate")
    text = f"{found.same} pairs of one person, {found.different} of two; bars: 95 % over pairs (Wilson)"
    figure.supxlabel(text, fontsize=8, color=QUIET)
    return figure


def draw_match(found):
    """Draws the share of known probes whose person is among the first k of the gallery, over k.

    Args:
      found: an Identification.
    Returns:
      A matplotlib Figure.
    """
    figure = new_figure(6, 4)
    axes = figure.subplots()
    axes.step(np.arange(1, found.people + 1), found.match, where="post", color=TRAIN)
    for share in found.ranks:
        axes.plot([share.at] * 2, [share.low, share.high], color=TRAIN, alpha=0.35, linewidth=4)
    axes.set_ylim(0, 1.02)
    plain_axes(axes, title="closed set", xlabel="rank", ylabel="share of probes")
    text = f"{found.known} probes of {found.people} people; bars: 95 % over probes (Wilson)"
    figure.supxlabel(text, fontsize=8, color=QUIET)
    return figure


def draw_worst_pairs(alike, different):
    """Draws pairs of faces, those of one person on the left, those of two people on the right, the worst above.

    Args:
      alike, different: [(images (2, h, w, c) uint8, names (2,), score, whether they were accepted)].
    Returns:
      A matplotlib Figure.
    """
    rows = max(len(alike), len(different), 1)
    figure = new_figure(4 * CELL + 0.6, rows * (CELL + 0.35) + 0.5)
    halves = figure.subfigures(1, 2)
    for half, title, pairs in zip(
        halves, ("one person, least alike", "two people, most alike"), (alike, different), strict=True
    ):
        half.suptitle(title, fontsize=9)
        grid = half.subplots(rows, 2, squeeze=False)
        for axes in grid.ravel():
            axes.axis("off")
        for row, (images, names, score, accepted) in zip(grid, pairs, strict=False):
            wrong = accepted != (pairs is alike)
            for axes, image, name in zip(row, images, names, strict=True):
                axes.axis("on")
                show_image(axes, image)
                axes.set_title(literal(name, limit=18), fontsize=7, pad=2)
            text = f"{score:.3g}, {'accepted' if accepted else 'rejected'}"
            row[0].set_xlabel(text, fontsize=7, labelpad=2, color=PALETTE[1] if wrong else QUIET)
    return figure
