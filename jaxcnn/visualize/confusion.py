"""The confusion matrix: which class is taken for which."""

import math
import os
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from jaxcnn.visualize.figure import literal, new_figure, save_figure

COUNTS_UP_TO = 20
NAMES_UP_TO = 100


def draw_confusion(matrix: np.ndarray, classes: Sequence[str], *, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draws a confusion matrix, each row divided by its sum.

    Counts stand in the cells for up to 20 classes and names on the axes for up to 100. The colour follows the square
    root of the share, so that a confusion of one image in a hundred is still seen. A class without images is grey.

    Args:
      matrix: (K, K) counts; row i holds the images whose true class is i.
      classes: K names.
      path: where to write the figure too.
    Returns:
      A matplotlib Figure; its first axes holds the image of shares.
    Raises:
      ValueError: matrix is not (K, K) for the K classes, or K is 0.
    """
    matrix = np.asarray(matrix)
    count = len(classes)
    if count == 0 or matrix.shape != (count, count):
        raise ValueError(f"a confusion matrix of {count} classes has shape {(count, count)}, not {matrix.shape}")
    names = [literal(name, limit=28) for name in classes]
    margin = 0.068 * max(map(len, names)) if count <= NAMES_UP_TO else 0.3
    side = min(max(0.45 * count if count <= COUNTS_UP_TO else 0.165 * count, 2.6), 16.5)
    figure = new_figure(side + margin + 1.3, side + margin + 0.4)
    axes = figure.subplots()
    colors = _colormap()
    share = row_shares(matrix)
    image = axes.imshow(share, cmap=colors, norm=PowerNorm(0.5, vmin=0, vmax=1), interpolation="nearest")
    size = 10 * max(1, side / 8)  # a large figure is shown smaller
    _name_axes(axes, names, size)
    if count <= COUNTS_UP_TO:
        _write_counts(axes, matrix, share)
    bar = figure.colorbar(image, ax=axes, ticks=[0, 0.01, 0.05, 0.2, 0.5, 1], shrink=0.6, aspect=25, pad=0.02)
    bar.ax.set_yticklabels(["0", "1 %", "5 %", "20 %", "50 %", "100 %"], fontsize=0.85 * size)
    bar.set_label("share of the true class", fontsize=0.9 * size)
    bar.outline.set_visible(False)
    if path is not None:
        save_figure(figure, path)
    return figure


def row_shares(matrix: np.ndarray) -> np.ndarray:
    """(K, K) counts divided by the sum of their row; NaN in the row of a class without images."""
    matrix = np.asarray(matrix, dtype=np.float64)
    total = matrix.sum(axis=1, keepdims=True)
    return np.divide(matrix, total, out=np.full_like(matrix, math.nan), where=total > 0)


def most_confused(matrix: np.ndarray, *, limit: int = 10) -> list[tuple[int, int, int, float]]:
    """The largest entries off the diagonal: (true class, predicted class, count, share of the true class)."""
    matrix, share = np.asarray(matrix), row_shares(matrix)
    wrong = [(i, j) for i, j in np.argwhere(matrix > 0).tolist() if i != j]
    wrong.sort(key=lambda cell: -matrix[cell])
    return [(i, j, int(matrix[i, j]), float(share[i, j])) for i, j in wrong[:limit]]


def _colormap():
    return colormaps["Blues"].with_extremes(bad="#e5e7eb")


def _name_axes(axes, names, size):
    axes.set_xlabel("predicted class", fontsize=size)
    axes.set_ylabel("true class", fontsize=size)
    if len(names) > NAMES_UP_TO:
        return
    ticks = range(len(names))
    axes.set_xticks(ticks, names, fontsize=9, rotation=90 if len(names) > COUNTS_UP_TO else 45)
    if len(names) <= COUNTS_UP_TO:
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, names, fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _write_counts(axes, matrix, share):
    for (i, j), count in np.ndenumerate(matrix):
        if count:
            dark = share[i, j] > 0.3  # of the colour scale, its square root is past the middle of Blues
            axes.text(j, i, f"{count:g}", ha="center", va="center", fontsize=8, color="white" if dark else "#1f2937")
