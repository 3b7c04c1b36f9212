"""The record of experiments that are scripts: every run, means with intervals, comparisons, and where they ran."""

import csv
import json
import pathlib

import numpy as np

from jaxcnn.sweeps.statistics import mean_interval
from jaxcnn.training.rundir.environment import environment
from jaxcnn.visualize.figure import new_figure, plain_axes, save_figure, style


def record(workdir, rows, groups, comparisons):
    """Writes results.csv and summary.json, and prints the latter as a table.

    Args:
      workdir: a folder that is there.
      rows: dicts of one set of keys, a run each.
      groups: {name: accuracies of its seeds}.
      comparisons: {name: Comparison}.
    """
    workdir = pathlib.Path(workdir)
    with (workdir / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    means = {
        name: {"n": len(v), "mean": np.mean(v), "std": np.std(v, ddof=1), "interval": mean_interval(v)}
        for name, v in groups.items()
    }
    compared = {name: comparison._asdict() for name, comparison in comparisons.items()}
    summary = {"means": means, "comparisons": compared, "environment": environment()}
    (workdir / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    for name, found in means.items():
        print(f"{name}: n {found['n']}, {_percent(found['mean'], found['interval'])}, std {100 * found['std']:.2f}")
    for name, found in compared.items():
        print(f"{name}: {_percent(found['difference'], found['interval'])}, p {found['p']:.2g}")


def _percent(mean, interval):
    limits = "no interval" if interval is None else f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f}"
    return f"{100 * mean:.2f} ({limits})"


def draw_points(path, panels, *, measure="test accuracy"):
    """Draws every seed as a point beside the mean with its 95 % interval; panels is {title: {name: shares}}."""
    figure = new_figure(5 * len(panels), 3.4)
    for axes, (title, groups) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for position, values in enumerate(groups.values()):
            values = 100 * np.asarray(values)
            axes.plot(np.full(len(values), position), values, "o", color="#9aa0a6", markersize=4)
            low, high = mean_interval(values) or (values.mean(), values.mean())
            error = [[values.mean() - low], [high - values.mean()]]
            axes.errorbar(position + 0.15, values.mean(), error, fmt="s", color="#1f5fa8", capsize=3, markersize=5)
        plain_axes(axes, title=f"{title}: {measure} (%)", xlabel="")
        axes.set_xticks(range(len(groups)), [name.replace("_", "\n").replace(" ", "\n") for name in groups])
    figure.supxlabel("points: seeds; squares: mean with its 95 % interval", fontsize=9)
    save_figure(figure, path)


def draw_lines(path, lines, *, xlabel):
    """Draws means with their 95 % intervals against a number; lines is {name: {number: accuracies}}."""
    figure = new_figure(6, 3.8)
    axes = figure.subplots()
    for index, (name, groups) in enumerate(lines.items()):
        positions = np.arange(len(groups)) + 0.08 * (index - (len(lines) - 1) / 2)
        values = [100 * np.asarray(v) for v in groups.values()]
        means = np.array([v.mean() for v in values])
        limits = np.array([mean_interval(v) or (v.mean(), v.mean()) for v in values])
        error = [means - limits[:, 0], limits[:, 1] - means]
        axes.errorbar(positions, means, error, marker="o", capsize=3, label=name.replace("_", " "), **style(index))
    plain_axes(axes, title="Test accuracy (%), mean and 95 % interval", xlabel=xlabel)
    axes.set_xticks(range(len(groups)), list(map(str, groups)))
    axes.legend(frameon=False)
    save_figure(figure, path)
