"""The report of a search: parallel coordinates of its trials, accuracy by trial, the table; one HTML page."""

import math

import matplotlib
import numpy as np

from jaxcnn.visualize import page
from jaxcnn.visualize.figure import PALETTE, QUIET, literal, new_figure, plain_axes

COORDINATES = (
    "Each line a trial, coloured by its held-out accuracy, the best drawn last; pruned and failed trials are grey. A "
    "logarithmic axis says so."
)
HISTORY = "Each dot a trial, hollow where it was pruned; the line is the best so far."


def search_report(title, *, docstring, command, trials, scales, test, environment):
    """The HTML page of a search.

    Args:
      title, docstring, command: text.
      trials: dicts with "trial", "state" (done, pruned, failed), "top1" (None without), "values" {key: value}.
      scales: {key: "linear", "log" or a tuple of choices}, the axes.
      test: the evaluation row of the best trial on the test split, or None.
      environment: a nested dict.
    Returns:
      str.
    """
    done = [trial for trial in trials if trial["state"] == "done"]
    best = max(done, key=lambda trial: trial["top1"], default=None)
    keys = list(scales)
    header = ("trial", "state", "held-out top-1", *(key.rpartition(".")[2] for key in keys))
    ordered = sorted(trials, key=lambda trial: -math.inf if trial["top1"] is None else trial["top1"], reverse=True)
    rows = [
        (t["trial"], t["state"], page.percent(t["top1"]), *(_value(t["values"].get(key)) for key in keys))
        for t in ordered
    ]
    tiles = [("Trials", page.whole(len(trials)), f"{len(done)} to their end")]
    if best:
        tiles.append(("Best held-out accuracy", page.percent(best["top1"]), best["trial"]))
    if test:
        tiles.append(("Its test accuracy", page.percent(test["top1"]), f"n = {page.whole(test['n'])}, looked at once"))
    sections = [("Question and space", page.element("pre", docstring.strip()) if docstring.strip() else None)]
    if done:
        coordinates = page.figure(draw_coordinates(trials, scales), "Parallel coordinates", caption=COORDINATES)
        sections.append(("Parallel coordinates", coordinates))
        sections.append(("By trial", page.figure(draw_history(trials), "Accuracy by trial", caption=HISTORY)))
    sections += [
        ("Trials", page.table(header, rows, numeric=range(2, len(header)))),
        ("How to repeat", page.element("pre", command)),
        ("Environment", page.folded("entries", environment)),
    ]
    return page.page(title, subtitle=f"jaxcnn search, {len(trials)} trials", tiles=tiles, sections=sections)


def _value(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def draw_coordinates(trials, scales):
    """Draws every trial as a line over the axes of its values, and held-out accuracy as the last axis.

    Args:
      trials, scales: as in search_report.
    Returns:
      A matplotlib Figure.
    """
    scored = [trial["top1"] for trial in trials if trial["state"] == "done"]
    low, high = min(scored), max(scored)
    figure = new_figure(max(6, 1.7 * (len(scales) + 1)), 4.2)
    axes = figure.subplots()
    colour = matplotlib.colormaps["viridis"]
    places = {key: _places(scale, [t["values"][key] for t in trials]) for key, scale in scales.items()}
    order = sorted(range(len(trials)), key=lambda i: (trials[i]["state"] == "done", trials[i]["top1"] or 0))
    for index in order:
        trial = trials[index]
        ends = trial["state"] == "done"
        share = (trial["top1"] - low) / (high - low or 1) if ends else None
        heights = [places[key][0][index] for key in scales] + ([share] if ends else [])
        look = {"color": colour(share), "linewidth": 1.6} if ends else {"color": "#c5c9d0", "linewidth": 0.9}
        axes.plot(range(len(heights)), heights, **look)
    names = [key.rpartition(".")[2] for key in scales]
    for place, key in enumerate(scales):
        _axis(axes, place, places[key][1])
    _axis(axes, len(scales), [(0, f"{100 * low:.1f} %"), (1, f"{100 * high:.1f} %")])
    axes.set_xticks(range(len(scales) + 1), [literal(n, limit=20) for n in names] + ["held-out accuracy"], fontsize=10)
    axes.set_yticks([])
    axes.set_xlim(-0.25, len(scales) + 0.6)
    axes.spines[:].set_visible(False)
    return figure


def _places(scale, values):
    """(heights from 0 to 1, [(height, label)]) of one axis."""
    if isinstance(scale, tuple):
        step = max(1, len(scale) - 1)
        heights = [scale.index(value) / step for value in values]
        return heights, [(i / step, literal(value, limit=14)) for i, value in enumerate(scale)]
    numbers = np.array(values, float)
    place = np.log10(numbers) if scale == "log" else numbers
    width = np.ptp(place) or 1
    ticks = [(0, f"{numbers.min():.3g}"), (1, f"{numbers.max():.3g}" + (" (log)" if scale == "log" else ""))]
    return (place - place.min()) / width, ticks


def _axis(axes, place, labels):
    axes.axvline(place, color=QUIET, linewidth=1)
    for height, label in labels:
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.5}  # lines run through
        vertical = "bottom" if height < 0.5 else "top"
        axes.text(place + 0.03, height, label, fontsize=8.5, color=QUIET, va=vertical, bbox=box, zorder=3)


def draw_history(trials):
    """Draws held-out accuracy by trial in the order they were drawn, and the best so far.

    Args:
      trials: as in search_report.
    Returns:
      A matplotlib Figure.
    """
    figure = new_figure(8, 3.2)
    axes = figure.subplots()
    numbers = [(i, 100 * t["top1"], t["state"]) for i, t in enumerate(trials) if t["top1"] is not None]
    for state, fill in (("done", PALETTE[0]), ("pruned", "none")):
        chosen = [(i, top1) for i, top1, of in numbers if of == state]
        if chosen:
            axes.plot(*zip(*chosen, strict=True), "o", color=PALETTE[0], markerfacecolor=fill, markersize=5)
    ended = [(i, top1) for i, top1, state in numbers if state == "done"]
    best = np.maximum.accumulate([top1 for _, top1 in ended])
    axes.step([i for i, _ in ended], best, where="post", color=PALETTE[1], linewidth=1.6)
    plain_axes(axes, xlabel="trial", ylabel="held-out accuracy (%)")
    return figure
