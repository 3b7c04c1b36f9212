"""The report of a search: parallel coordinates of its trials, their measure one by one, the table; one HTML page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from jaxcnn.names import shown
from jaxcnn.quantity import heading, multiple
from jaxcnn.visualize import page
from jaxcnn.visualize.figure import PALETTE, QUIET, literal, new_figure, plain_axes

if TYPE_CHECKING:
    from jaxcnn.tasks.task import Measure


COORDINATES = (
    "Each line a trial, coloured by its held-out {}, the best drawn last and ending highest; pruned and failed trials "
    "are grey. A logarithmic axis says so."
)
HISTORY = "Each dot a trial, hollow where it was pruned; the line is the best so far."


def search_report(
    title: str,
    *,
    docstring: str,
    command: str,
    measure: Measure,
    trials: Sequence[Mapping[str, Any]],
    scales: Mapping[str, Any],
    test: Mapping[str, Any] | None,
    environment: Mapping[str, Any],
) -> str:
    """The HTML page of a search.

    Args:
      title, docstring, command: text.
      measure: the Measure, with a label, that the search optimises.
      trials: dicts with "trial", "state" (done, pruned, failed), "held_out" (its number, None without), "values"
        {key: value}.
      scales: {key: "linear", "log" or a tuple of choices}, the axes.
      test: {"n", "value"} of the best trial on the test split, or None.
      environment: a nested dict.
    Returns:
      str.
    """
    done = [trial for trial in trials if trial["state"] == "done"]
    ordered = sorted(trials, key=lambda trial: _order(trial, measure), reverse=True)
    best = next((trial for trial in ordered if trial["state"] == "done"), None)
    keys = list(scales)
    header = ("trial", "state", f"held-out {measure.label}", *(key.rpartition(".")[2] for key in keys))
    rows = [
        (t["trial"], t["state"], page.measured(t["held_out"], measure), *(_value(t["values"].get(key)) for key in keys))
        for t in ordered
    ]
    tiles = [("Trials", page.whole(len(trials)), f"{len(done)} to their end")]
    if best:
        tiles.append((f"Best held-out {measure.label}", page.measured(best["held_out"], measure), best["trial"]))
    if test:
        note = f"n = {page.whole(test['n'])}, looked at once"
        tiles.append((f"Its test {measure.label}", page.measured(test["value"], measure), note))
    sections = [("Question and space", page.element("pre", docstring.strip()) if docstring.strip() else None)]
    if done:
        caption = COORDINATES.format(measure.label)
        drawn = page.figure(draw_coordinates(trials, scales, measure), "Parallel coordinates", caption=caption)
        sections.append(("Parallel coordinates", drawn))
        words = f"{measure.label[:1].upper()}{measure.label[1:]} by trial"
        sections.append(("By trial", page.figure(draw_history(trials, measure), words, caption=HISTORY)))
    sections += [
        ("Trials", page.table(header, rows, numeric=range(2, len(header)))),
        ("How to repeat", page.element("pre", command)),
        ("Environment", page.folded("entries", environment)),
    ]
    return page.page(title, subtitle=f"jaxcnn search, {len(trials)} trials", tiles=tiles, sections=sections)


def _order(trial, measure):
    """A number that is larger for the better trial; the lowest there is for one without a finite value."""
    value = trial["held_out"]
    return -math.inf if value is None or not math.isfinite(value) else -measure.error(value)


def _described(measure):
    return {**measure._asdict(), "label": f"held-out {measure.label}"}


def _value(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def draw_coordinates(trials: Sequence[Mapping[str, Any]], scales: Mapping[str, Any], measure: Measure) -> Figure:
    """Draws every trial as a line over the axes of its values, and its held-out measure as the last, the best on top.

    Args:
      trials, scales, measure: as in search_report.
    Returns:
      A matplotlib Figure.
    """
    scored = [trial["held_out"] for trial in trials if trial["state"] == "done"]
    worst, best = sorted((min(scored), max(scored)), key=measure.error, reverse=True)
    figure = new_figure(max(6, 1.7 * (len(scales) + 1)), 4.2)
    axes = figure.subplots()
    colour = matplotlib.colormaps["viridis"]
    places = {key: _places(scale, [t["values"][key] for t in trials]) for key, scale in scales.items()}
    order = sorted(range(len(trials)), key=lambda i: (trials[i]["state"] == "done", _order(trials[i], measure)))
    for index in order:
        trial = trials[index]
        ends = trial["state"] == "done"
        share = (trial["held_out"] - worst) / (best - worst or 1) if ends else None
        heights = [places[key][0][index] for key in scales] + ([share] if ends else [])
        look: dict[str, Any] = (
            {"color": colour(share), "linewidth": 1.6} if ends else {"color": "#c5c9d0", "linewidth": 0.9}
        )
        axes.plot(range(len(heights)), heights, **look)
    names = [key.rpartition(".")[2] for key in scales]
    for place, key in enumerate(scales):
        _axis(axes, place, places[key][1])
    _axis(axes, len(scales), [(0, _end(worst, measure)), (1, _end(best, measure))])
    labels = [literal(name, limit=20) for name in names] + [literal(f"held-out {measure.label}", limit=30)]
    axes.set_xticks(range(len(scales) + 1), labels, fontsize=10)
    axes.set_yticks([])
    axes.set_xlim(-0.25, len(scales) + 0.6)
    axes.set_ylim(-0.05, 1.05)  # one trial alone spans no height, and the ends of the axes would lie outside
    axes.spines[:].set_visible(False)
    return figure


def _end(value, measure):
    """A number at the end of the axis of the measure."""
    return f"{100 * value:.1f} %" if measure.unit == "points" else f"{value:.3g} {measure.unit}".rstrip()


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


def draw_history(trials: Sequence[Mapping[str, Any]], measure: Measure) -> Figure:
    """Draws the held-out measure by trial in the order they were drawn, and the best so far.

    Args:
      trials, measure: as in search_report.
    Returns:
      A matplotlib Figure.
    """
    figure = new_figure(8, 3.2)
    axes = figure.subplots()
    metric = _described(measure)
    numbers = [
        (i, multiple(metric) * t["held_out"], t["state"]) for i, t in enumerate(trials) if t["held_out"] is not None
    ]
    for state, fill in (("done", PALETTE[0]), ("pruned", "none")):
        chosen = [(i, value) for i, value, of in numbers if of == state]
        if chosen:
            axes.plot(*zip(*chosen, strict=True), "o", color=PALETTE[0], markerfacecolor=fill, markersize=5)
    ended = [(i, value) for i, value, state in numbers if state == "done"]
    best = (np.maximum if measure.higher_is_better else np.minimum).accumulate([value for _, value in ended])
    axes.step([i for i, _ in ended], best, where="post", color=PALETTE[1], linewidth=1.6)
    plain_axes(axes, xlabel="trial", title=shown(heading(metric)))  # of any length, which a label at the side is not
    return figure
