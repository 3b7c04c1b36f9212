"""Learning curves: one run (train against held-out), the cells of a study, and their seeds one by one."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxcnn.names import shown
from jaxcnn.quantity import heading, measured, multiple
from jaxcnn.tasks import CLASSIFICATION, Measure
from jaxcnn.visualize.figure import (
    HELD_OUT,
    QUIET,
    TRAIN,
    cut_spikes,
    literal,
    log_scale,
    new_figure,
    plain_axes,
    save_figure,
    style,
)
from jaxcnn.visualize.history import (
    best_row,
    classifies,
    extensions,
    finite_values,
    first_bad_row,
    losses,
    measures_of,
    number,
    positions,
    read_history,
    series,
    train_at_evaluations,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxcnn.tasks.task import Kind


TEST_ACCURACY = CLASSIFICATION.measures["top1"]._replace(label="test accuracy")


class Panel(NamedTuple):
    """A panel of curves: the numbers of a Measure under a key of the rows.

    Attributes:
      key: of the rows.
      measure: fractions are drawn in per cent.
      name: of the drawn quantity, in words.
      error: 1 minus the number is drawn.
    """

    key: str
    measure: Measure
    name: str
    error: bool = False

    def title(self) -> str:
        """ "PSNR (dB)", "Perplexity (lower is better)"; of a loss everyone knows."""
        known = self.measure.higher_is_better or bool(losses([self.key]))
        return heading({**self.measure._asdict(), "label": self.name, "higher_is_better": known})

    def drawn(self, values: Any) -> Any:
        """The values as they are drawn."""
        values = 1 - values if self.error else values
        return 100 * values if self.measure.unit == "points" else values

    def words(self, value: Any) -> str:
        """A value as text."""
        return measured(value, self.measure) + (" right" if self.error else "")


def panel_of(name: str, measure: Measure) -> Panel:
    """The Panel of a measure by its label."""
    return Panel(name, measure, measure.label or name)


CLASS_PANELS = (
    panel_of("loss", CLASSIFICATION.measures["loss"]),
    Panel("top1", CLASSIFICATION.measures["top1"], "top-1 error", error=True),
)


def panels_of(kind: Kind, rows: Any) -> tuple[Panel, ...]:
    """A Panel for each measure of the Kind that a row holds; of a classifier CLASS_PANELS for those that all have."""
    first, names = (CLASS_PANELS, CLASSIFICATION.measures) if classifies(kind) else ((), ())
    return *first, *(panel_of(name, kind.measures[name]) for name in measures_of(rows, kind) if name not in names)


def draw_curves(rows: Any, *, kind: Kind = CLASSIFICATION, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draws measures and learning rate of one run against its epochs.

    The train line of a panel goes through the mean of the train rows since the previous evaluation, and the area from
    there to the held-out line is the gap; every train row is drawn too, faintly. Without evaluations the train rows
    are the line. The best held-out row is marked. Numbers that are not finite leave a hole; the first train row whose
    loss is not finite is marked, and so are the steps at which the run was made longer.

    Args:
      rows: dicts of metrics.jsonl, in file order; events are passed over; may be empty.
      kind: the Kind of the run's task: its panels are those of `panels_of`, and the best row is marked in the panel of
        the first measure that selects.
      path: where to write the figure too, in the format its suffix names.
    Returns:
      A matplotlib Figure: an axes for each panel, of classification loss and error in percent, then the learning rate.
    """
    history, panels = read_history(rows), panels_of(kind, rows)
    figure, axes, rate = _laid_out(len(panels))
    xlabel, (at_train, at_held_out) = positions(history.train, history.held_out)
    for panel, own in zip(panels, axes, strict=True):
        _draw_panel(own, history, panel, at_train, at_held_out)
        plain_axes(own, title=shown(panel.title()), xlabel=xlabel)
        if panel.measure.unit == "points":
            own.update_datalim([(0, 0)], updatex=False)  # or the top would leave room for the lines' own height alone
            own.autoscale_view()
            own.set_ylim(bottom=0)
        else:
            log_scale(own, beyond=300)
            cut_spikes(own)
        if panel.key in kind.selects[:1]:
            _mark_best(own, best_row(history, kind), panel, xlabel)
    _draw_rate(rate, series(history.train, "learning_rate"), at_train)
    plain_axes(rate, title="Learning rate", xlabel=xlabel)
    bad = first_bad_row(history)
    for own in (*axes, rate):
        if bad is not None and own is not rate:
            own.axvline(number(bad, xlabel), color=QUIET, linestyle=":", label="loss not finite", gid="bad")
        for row in extensions(history):
            own.axvline(number(row, xlabel), color=QUIET, linestyle="--", linewidth=1, gid="extended")
        _share_range(own, at_train, at_held_out)
        _explain(own)
    if path is not None:
        save_figure(figure, path)
    return figure


def _laid_out(count):
    """(figure, axes of `count` panels, two a row, the last one wide where it is alone; the axes below them all)."""
    rows = [[first, min(first + 1, count - 1)] for first in range(0, count, 2)]
    figure = new_figure(11, 2 + 3.6 * len(rows))
    axes = figure.subplot_mosaic([*rows, ["rate", "rate"]], height_ratios=[3.6] * len(rows) + [1])
    return figure, [axes[index] for index in range(count)], axes["rate"]


def draw_comparison(
    curves: Mapping[str, Any],
    *,
    kind: Kind = CLASSIFICATION,
    names: Sequence[str] = ("top1", "loss"),
    split: str = "validation",
    band: str = "range",
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draws a held-out measure and one of training of a study: a mean line a cell, over a band of its seeds.

    Seeds are set on the epochs that any of them logged (linear in between), over the epochs that all of them cover:
    where the first seed of a cell ends or diverges, the cell's line ends. A seed without one finite number is left
    out; the legend says how many are drawn.

    Args:
      curves: {cell name: [rows of metrics.jsonl of one seed, ...]}; a cell without rows is left out, and the others
        have the colours that `draw_seeds` gives them.
      kind: the Kind of the runs' task.
      names: of its measures, that of the held-out split and that of training.
      split: the held-out split.
      band: "range" (minimum to maximum) or "std" (mean plus and minus one sample standard deviation); one seed has
        no band.
      path: where to write the figure too.
    Returns:
      A matplotlib Figure of two axes: the held-out measure, that of training; fractions in percent.
    Raises:
      ValueError: band is neither of the two.
    """
    if band not in ("range", "std"):
        raise ValueError(f"band must be 'range' or 'std', not {band!r}")
    figure = new_figure(11, 4.4 + 0.22 * math.ceil(len(curves) / 3))
    held_out, train = figure.subplots(1, 2)
    panels = [
        Panel(name, kind.measures[name], f"{of} {kind.measures[name].label or name}")
        for name, of in zip(names, (split, "train"), strict=True)
    ]
    handles, labels = [], []
    for index, (name, runs) in enumerate(curves.items()):
        if not any(runs):
            continue
        _draw_cell(train, runs, "train", panels[1], band, style(index))
        line, drawn = _draw_cell(held_out, runs, split, panels[0], band, style(index))
        handles.append(line)
        labels.append(f"{name} (n = {drawn})" if drawn == len(runs) else f"{name} (n = {drawn} of {len(runs)})")
    for axes, panel in zip((held_out, train), panels, strict=True):
        plain_axes(axes, title=shown(panel.title()), xlabel="epoch")
        if panel.measure.unit != "points":
            log_scale(axes, beyond=300)
            cut_spikes(axes)
    if handles:
        _name_cells(figure, handles, labels, band)
    if path is not None:
        save_figure(figure, path)
    return figure


def draw_seeds(
    values: Mapping[str, Any], *, measure: Measure = TEST_ACCURACY, path: str | os.PathLike[str] | None = None
) -> Figure:
    """Draws every seed of every cell as a dot, with a tick at the cell's mean.

    Args:
      values: {cell name: numbers, one a seed}; None and what is not finite is left out.
      measure: the Measure of the numbers, with a label; fractions are drawn in percent.
      path: where to write the figure too.
    Returns:
      A matplotlib Figure of one axes, the first cell on top.
    """
    figure = new_figure(11, 1.1 + 0.36 * max(len(values), 1))
    axes = figure.subplots()
    metric = measure._asdict()
    for index, numbers in enumerate(values.values()):
        drawn = multiple(metric) * finite_values(numbers)
        color = style(index)["color"]
        axes.plot(drawn, np.full(len(drawn), index), "o", color=color, alpha=0.65, markersize=7, markeredgewidth=0)
        if len(drawn):
            axes.plot([drawn.mean()], [index], "|", color=color, markersize=20, markeredgewidth=2)
    plain_axes(axes, xlabel=literal(heading(metric)))
    axes.grid(axis="y", visible=False)
    axes.set_yticks(range(len(values)), [literal(name, limit=40) for name in values], fontsize=10)
    axes.set_ylim(len(values) - 0.5 if values else 0.5, -0.5)
    if path is not None:
        save_figure(figure, path)
    return figure


def _draw_panel(axes, history, panel, at_train, at_held_out):
    every = panel.drawn(series(history.train, panel.key))
    held_out = panel.drawn(series(history.held_out, panel.key))
    train = panel.drawn(train_at_evaluations(history, panel.key))
    both = np.isfinite(train) & np.isfinite(held_out)
    if both.sum() > 1:
        axes.plot(at_train, every, color=TRAIN, alpha=0.3, linewidth=0.8, gid="train rows")
        axes.plot(at_held_out, train, color=TRAIN, linewidth=1.8, label="train", gid="train")
        axes.fill_between(at_held_out, train, held_out, color=HELD_OUT, alpha=0.1, linewidth=0, label="gap")
    elif np.isfinite(every).any():
        axes.plot(at_train, every, color=TRAIN, linewidth=1.8, marker=_dot(every), label="train", gid="train rows")
    if np.isfinite(held_out).any():
        look = {"color": HELD_OUT, "linewidth": 1.8, "marker": _dot(held_out)}
        axes.plot(at_held_out, held_out, label=history.split, gid="held-out", **look)


def _draw_rate(axes, values, at_train):
    if np.isfinite(values).any():
        look = {"color": TRAIN, "drawstyle": "steps-post", "linewidth": 1.4, "marker": _dot(values)}
        axes.plot(at_train, values, gid="rate", **look)
    log_scale(axes, beyond=3)


def _explain(axes):
    """A legend where something in it has a name, and a word where nothing is drawn."""
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        axes.legend(fontsize=9.5, loc="best", framealpha=0.85, edgecolor="none")
    if not axes.has_data():
        axes.text(0.5, 0.5, "no rows", transform=axes.transAxes, ha="center", va="center", color=QUIET)


def _dot(values):
    """A marker where a line would be too short to see."""
    return "o" if np.isfinite(values).sum() < 3 else ""


def _mark_best(axes, row, panel, xlabel):
    if row is None:
        return
    x, value = number(row, xlabel), number(row, panel.key)
    label = f"best: {panel.words(value)}, {xlabel} {round(x, 2):.10g}"
    look = {"color": HELD_OUT, "markerfacecolor": "white", "markersize": 8, "markeredgewidth": 2}
    axes.plot([x], [float(panel.drawn(value))], "o", label=literal(label), gid="best", **look)


def _share_range(axes, *groups):
    x = np.concatenate(groups)
    x = x[np.isfinite(x)]
    if x.size and x.max() > 0:
        axes.set_xlim(0, 1.01 * x.max())


def _draw_cell(axes, runs, split, panel, band, look):
    """Draws one cell; returns (its line, the number of seeds in it)."""
    x, values = _aligned(runs, split, panel.key)
    values = panel.drawn(values)
    if not len(values):
        return axes.plot([], [], **look)[0], 0
    mean = values.mean(axis=0)
    line = axes.plot(x, mean, linewidth=1.8, marker="o" if x.size < 3 else "", **look)[0]
    if len(values) > 1:
        spread = values.std(axis=0, ddof=1)
        low, high = (values.min(axis=0), values.max(axis=0)) if band == "range" else (mean - spread, mean + spread)
        axes.fill_between(x, low, high, color=look["color"], alpha=0.16, linewidth=0)
    return line, len(values)


def _name_cells(figure, handles, labels, band):
    words = {"range": "minimum to maximum", "std": "± 1 standard deviation"}[band]
    legend = figure.legend(
        handles,
        [str(index) for index in range(len(handles))],
        loc="outside lower center",
        ncols=min(3, len(handles)),
        frameon=False,
        fontsize=10,
        title=f"mean of n seeds, band: {words}",
        title_fontsize=9.5,
    )
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(literal(label))  # set afterwards: a label that begins with "_" would be dropped


def _aligned(runs, split, key):
    """(x (m,), values (seeds, m)): the seeds of a cell on the epochs that all of them cover."""
    lines = []
    for rows in runs:
        latest = {number(row, "epoch"): number(row, key) for row in rows if row.get("split") == split}
        finite = sorted((x, y) for x, y in latest.items() if math.isfinite(x) and math.isfinite(y))
        if finite:
            lines.append(np.array(finite).T)
    if not lines:
        return np.zeros(0), np.zeros((0, 0))
    x = np.unique(np.concatenate([line[0] for line in lines]))
    x = x[(x >= max(line[0][0] for line in lines)) & (x <= min(line[0][-1] for line in lines))]
    return x, np.stack([np.interp(x, *line) for line in lines])
