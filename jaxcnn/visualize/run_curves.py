"""Learning curves of several runs side by side: loss, accuracy, the gap between train and held out, learning rate."""

import matplotlib
import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.files import local_path
from jaxcnn.training.rundir.directory import read_config
from jaxcnn.training.rundir.log import read_metrics
from jaxcnn.visualize.figure import PALETTE, QUIET, literal, log_scale, new_figure, plain_axes
from jaxcnn.visualize.history import positions, read_history, series, train_at_evaluations

TRAIN_LOOK = {"linewidth": 1.3, "linestyle": (0, (2, 1.5))}  # dashes as short as two points: many evaluations lie close
HELD_OUT_LOOK = {"linewidth": 1.9}


def read_runs(workdirs):
    """{name: rows of metrics.jsonl} of run directories; the name is the folder's, or its path where two share it.

    Raises:
      InputError: not a run directory, or a run without a logged step.
    """
    paths = [local_path(workdir) for workdir in workdirs]
    names = [path.resolve().name for path in paths]
    runs = {}
    for path, name in zip(paths, names, strict=True):
        read_config(path)
        rows = read_metrics(path)
        if not any("split" in row for row in rows):
            raise InputError(f"{path} has no curves: its metrics.jsonl holds no step.")
        runs[name if names.count(name) == 1 else str(path)] = rows
    return runs


def draw_runs(runs):
    """Draws runs against their epochs, a colour a run: held out as a line, train dashed.

    A train point is the mean of the train rows since the previous evaluation; without evaluations it is every row. The
    gap is train minus held-out accuracy, in points: above zero the network knows its training images better.

    Args:
      runs: {name: rows of metrics.jsonl}.
    Returns:
      A matplotlib Figure of four axes: loss, accuracy in percent, gap, learning rate. The gid of a line is
      "NAME train", "NAME held-out", "NAME gap" or "NAME rate".
    """
    figure = new_figure(11, 6.6)
    loss, accuracy, gap, rate = figure.subplots(2, 2).ravel()
    histories = {name: read_history(rows) for name, rows in runs.items()}
    groups = [rows for history in histories.values() for rows in (history.train, history.held_out)]
    xlabel, _ = positions(*groups)
    gap.axhline(0, color=QUIET, linewidth=1)
    for color, (name, history) in zip(_colours(len(runs)), histories.items(), strict=True):
        at_train, at_held_out = series(history.train, xlabel), series(history.held_out, xlabel)
        for axes, key, scale in ((loss, "loss", 1), (accuracy, "top1", 100)):
            held_out = scale * series(history.held_out, key)
            train = scale * train_at_evaluations(history, key)
            x = at_held_out
            if len(x) < 2:
                train, x = scale * series(history.train, key), at_train
            _line(axes, x, train, f"{name} train", color=color, **TRAIN_LOOK)
            _line(axes, at_held_out, held_out, f"{name} held-out", color=color, **HELD_OUT_LOOK)
        difference = 100 * (train_at_evaluations(history, "top1") - series(history.held_out, "top1"))
        _line(gap, at_held_out, difference, f"{name} gap", color=color, **HELD_OUT_LOOK)
        rates = series(history.train, "learning_rate")
        _line(rate, at_train, rates, f"{name} rate", color=color, drawstyle="steps-post", linewidth=1.6)
    for axes, title in (
        (loss, "Loss"),
        (accuracy, "Accuracy (%)"),
        (gap, "Gap: train minus held-out accuracy (points)"),
        (rate, "Learning rate"),
    ):
        plain_axes(axes, title=title, xlabel=xlabel)
    log_scale(loss, beyond=300)
    log_scale(rate, beyond=300)
    if rate.get_yscale() == "log":  # a cosine ends at nearly nothing
        rate.set_ylim(bottom=max(rate.get_ylim()[0], 1e-4 * rate.get_ylim()[1]))
    _name_runs(figure, runs)
    return figure


def _colours(count):
    return PALETTE[:count] if count <= len(PALETTE) else matplotlib.colormaps["viridis"](np.linspace(0, 0.92, count))


def _line(axes, x, y, gid, **look):
    axes.plot(x, y, gid=gid, marker="o" if np.isfinite(y).sum() == 1 else "", markersize=4, **look)


def _name_runs(figure, runs):
    """A legend below: the two kinds of line, and every run by its colour."""
    axes = figure.axes[0]
    handles = [
        axes.plot([], [], color=QUIET, **HELD_OUT_LOOK)[0],
        axes.plot([], [], color=QUIET, **TRAIN_LOOK)[0],
        *(axes.plot([], [], color=color, linewidth=4)[0] for color in _colours(len(runs))),
    ]
    legend = figure.legend(
        handles, ["held out", "train", *map(str, range(len(runs)))], loc="outside lower center", frameon=False,
        ncols=min(6, len(handles)), fontsize=10,
    )  # fmt: skip
    for text, name in zip(legend.get_texts()[2:], runs, strict=True):
        text.set_text(literal(name))  # set afterwards: a label that begins with "_" would be dropped
