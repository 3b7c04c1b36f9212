"""Learning curves of several runs side by side: measures, the gap between train and held out, learning rate."""

import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from jaxcnn.errors import InputError
from jaxcnn.names import shown
from jaxcnn.tasks import CLASSIFICATION, Kind
from jaxcnn.training.rundir.about import measures_there
from jaxcnn.training.rundir.directory import read_config
from jaxcnn.training.rundir.frame import named_runs
from jaxcnn.training.rundir.log import read_metrics
from jaxcnn.visualize.curves import panel_of
from jaxcnn.visualize.figure import PALETTE, QUIET, cut_spikes, literal, log_scale, new_figure, plain_axes
from jaxcnn.visualize.history import (
    best_row,
    losses,
    measures_of,
    number,
    positions,
    read_history,
    series,
    train_at_evaluations,
)

TRAIN_LOOK = {"linewidth": 1.3, "linestyle": (0, (2, 1.5))}  # dashes as short as two points: many evaluations lie close
HELD_OUT_LOOK = {"linewidth": 1.9}


def read_runs(workdirs: Iterable[str | os.PathLike[str]]) -> tuple[dict[str, Any], Kind]:
    """The rows of metrics.jsonl of run directories, by name, and the Kind of what they learn.

    Returns:
      ({name: rows}, Kind, without its code); the name is the folder's, or its path where two share it.
    Raises:
      InputError: not a run directory, a run without a logged step, or runs that are measured by different things.
    """
    paths, runs, kinds = named_runs(workdirs), {}, []
    first = next(iter(paths.values()))
    for name, path in paths.items():
        read_config(path)
        rows = read_metrics(path)
        if not any("split" in row for row in rows):
            raise InputError(f"{path} has no curves: its metrics.jsonl holds no step.")
        runs[name] = rows
        task, *kind = measures_there(path)
        kinds.append(Kind(*kind, create=None))
        if kinds[-1] != kinds[0]:
            other = measures_there(first)[0]
            words = f"Runs of different tasks cannot be compared: {first} is {other}, {path} is {task}."
            if other == task:
                words = (
                    f"{first} and {path} are measured by different things (config.metrics): they cannot be compared."
                )
            raise InputError(words)
    return runs, kinds[0]


def draw_runs(runs: Mapping[str, Any], kind: Kind = CLASSIFICATION) -> Figure:
    """Draws runs against their epochs, a colour a run: held out as a line, train dashed.

    A train point is the mean of the train rows since the previous evaluation; without evaluations it is every row. The
    gap is train minus held-out of the first measure that selects, fractions in points: an accuracy whose gap is above
    zero says that the network knows its training images better. A ring marks the best checkpoint.

    Args:
      runs: {name: rows of metrics.jsonl}.
      kind: the Kind of their task.
    Returns:
      A matplotlib Figure of four axes: loss, accuracy in percent, gap, learning rate; of other tasks every loss and
      every measure that selects, the gap where one does, and the learning rate. The gid of a line is "NAME train",
      "NAME held-out", "NAME gap" or "NAME rate".
    """
    histories = {name: read_history(rows) for name, rows in runs.items()}
    groups = [rows for history in histories.values() for rows in (history.train, history.held_out)]
    names = _shown_measures(runs, kind)
    trained = measures_of([row for history in histories.values() for row in history.train], kind)
    gap = next((name for name in kind.selects[:1] if name in names and name in trained), None)
    count = len(names) + (gap is not None) + 1
    figure = new_figure(11, 0.6 + 3 * math.ceil(count / 2))
    axes = figure.subplots(math.ceil(count / 2), 2, squeeze=False).ravel()
    for unused in axes[count:]:
        unused.remove()
    xlabel, _ = positions(*groups)
    for name, own in zip(names, axes, strict=False):
        _draw_measure(own, histories, name, kind, xlabel)
    if gap is not None:
        _draw_gap(axes[count - 2], histories, gap, kind.measures[gap], xlabel)
    _draw_rates(axes[count - 1], histories, xlabel)
    _name_runs(figure, runs)
    return figure


def _shown_measures(runs, kind):
    """Every loss, and what selects; all measures where there is neither."""
    held = measures_of([row for rows in runs.values() for row in rows], kind)
    return [name for name in held if name in kind.selects or losses([name])] or held


def _draw_measure(axes, histories, name, kind, xlabel):
    measure = kind.measures[name]
    panel = panel_of(name, measure)
    for color, (run, history) in zip(_colours(len(histories)), histories.items(), strict=True):
        at_train, at_held_out = series(history.train, xlabel), series(history.held_out, xlabel)
        held_out = panel.drawn(series(history.held_out, name))
        train, x = panel.drawn(train_at_evaluations(history, name)), at_held_out
        if len(x) < 2:
            train, x = panel.drawn(series(history.train, name)), at_train
        _line(axes, x, train, f"{run} train", color=color, **TRAIN_LOOK)
        _line(axes, at_held_out, held_out, f"{run} held-out", color=color, **HELD_OUT_LOOK)
        if name in kind.selects[:1] and (best := best_row(history, kind)) is not None:
            place = number(best, xlabel), panel.drawn(number(best, name))
            axes.plot(*place, "o", color=color, markersize=8, fillstyle="none", gid=f"{run} best")
    plain_axes(axes, title=shown(panel.title()), xlabel=xlabel)
    if measure.unit != "points":
        log_scale(axes, beyond=300)
        cut_spikes(axes)


def _draw_gap(axes, histories, name, measure, xlabel):
    axes.axhline(0, color=QUIET, linewidth=1)
    for color, (run, history) in zip(_colours(len(histories)), histories.items(), strict=True):
        difference = train_at_evaluations(history, name) - series(history.held_out, name)
        difference = panel_of(name, measure).drawn(difference)
        x = series(history.held_out, xlabel)
        _line(axes, x, difference, f"{run} gap", color=color, **HELD_OUT_LOOK)
    unit = f" ({measure.unit})" if measure.unit else ""
    title = f"Gap: train minus held-out {measure.label or name}{unit}"
    plain_axes(axes, title=shown(title), xlabel=xlabel)


def _draw_rates(axes, histories, xlabel):
    for color, (run, history) in zip(_colours(len(histories)), histories.items(), strict=True):
        rates, x = series(history.train, "learning_rate"), series(history.train, xlabel)
        _line(axes, x, rates, f"{run} rate", color=color, drawstyle="steps-post", linewidth=1.6)
    plain_axes(axes, title="Learning rate", xlabel=xlabel)
    log_scale(axes, beyond=300)
    if axes.get_yscale() == "log":  # a cosine ends at nearly nothing
        axes.set_ylim(bottom=max(axes.get_ylim()[0], 1e-4 * axes.get_ylim()[1]))


def _colours(count):
    return PALETTE[:count] if count <= len(PALETTE) else matplotlib.colormaps["viridis"](np.linspace(0, 0.92, count))


def _line(axes, x, y, gid, **look):
    axes.plot(x, y, gid=gid, marker="o" if np.isfinite(y).sum() == 1 else "", markersize=4, **look)


def _name_runs(figure, runs):
    """A legend below: the two kinds of line, the mark of the best checkpoint, and every run by its colour."""
    axes = figure.axes[0]
    handles = [
        axes.plot([], [], color=QUIET, **HELD_OUT_LOOK)[0],
        axes.plot([], [], color=QUIET, **TRAIN_LOOK)[0],
        axes.plot([], [], "o", color=QUIET, markersize=8, fillstyle="none")[0],
        *(axes.plot([], [], color=color, linewidth=4)[0] for color in _colours(len(runs))),
    ]
    legend = figure.legend(
        handles, ["held out", "train", "best", *map(str, range(len(runs)))], loc="outside lower center", frameon=False,
        ncols=min(6, len(handles)), fontsize=10,
    )  # fmt: skip
    for text, name in zip(legend.get_texts()[3:], runs, strict=True):
        text.set_text(literal(name))  # set afterwards: a label that begins with "_" would be dropped
