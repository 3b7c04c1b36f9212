"""The filters of a convolution: the first layer in colour, deeper layers as a grid of filters and input channels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn.visualize.figure import QUIET, literal, new_figure, show_image, write_note

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxcnn.visualize.convolutions import Convolution


GROUPS = 4  # of a layer with more, the first ones are drawn
WIDTH = 9.5  # inches
CELL, POINT = 0.6, 0.3  # inches, of a tile in a grid at most, and of one of a single value
TILE = 24  # pixels of a filter in a mosaic, at least
SCALE = "Grey is 0; darkest and brightest are minus and plus the largest magnitude of each filter."


def draw_filters(
    convolution: Convolution, *, name: str, towers: int = 1, filters: int = 16, channels: int = 16
) -> Figure:
    """Draws the filters of a convolution, each divided by its own largest magnitude; zero is grey.

    The first layer of an image of three channels is drawn in colour, whole; so is a layer whose filters see one
    channel each. Of others a row is a filter and a column an input channel: those of the largest norm, in the order of
    their numbers, a grid for each group.

    Args:
      convolution: a `Convolution`.
      name: for the title.
      towers: into how many parts the filters of the first layer are divided, as AlexNet's are by its two GPUs.
      filters, channels: how many rows and columns a grid has at most.
    Returns:
      A matplotlib Figure; every axes holds one image.
    """
    kernel = convolution.kernel
    if kernel.shape[2] == 1 or (convolution.image and kernel.shape[2] == 3):
        figure = _draw_tiles(kernel, name, towers)
    else:
        figure = _draw_grids(kernel, name, convolution.groups, filters, channels)
    write_note(figure, SCALE)
    return figure


def normalised(filters: np.ndarray) -> np.ndarray:
    """Filters (n, ...) each divided by its largest magnitude, into [0, 1]; zero becomes 0.5, a filter of zeros too."""
    flat = np.abs(np.asarray(filters, np.float32)).reshape(len(filters), -1).max(axis=1)
    scale = np.where(flat > 0, flat, 1).reshape(-1, *(1,) * (np.ndim(filters) - 1))
    return 0.5 + 0.5 * np.asarray(filters, np.float32) / scale


def mosaic(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Tiles (n, h, w, ...) row by row into one array, each enlarged, with white lines between them.

    Tiles of one value lie side by side without lines.
    """
    n, height, width, *rest = tiles.shape
    times, line = (1, 0) if height * width == 1 else (-(-TILE // max(height, width)), 2)
    tiles = tiles.repeat(times, axis=1).repeat(times, axis=2)
    pad = ((0, -n % columns), (0, line), (0, line), *((0, 0),) * len(rest))
    padded = np.pad(tiles, pad, constant_values=1)
    rows = padded.reshape(-1, columns, *padded.shape[1:])
    rows = np.moveaxis(rows, 2, 1)  # (rows, h, columns, w, ...)
    whole = rows.reshape(rows.shape[0] * rows.shape[1], -1, *rest)
    return whole[: whole.shape[0] - line, : whole.shape[1] - line]


def strongest(values: Any, count: int) -> np.ndarray:
    """The indices of the `count` largest values, in ascending order."""
    return np.sort(np.argsort(-np.asarray(values), kind="stable")[:count])


def _draw_tiles(kernel, name, towers):
    tiles = normalised(np.moveaxis(kernel, 3, 0))
    parts = np.split(tiles, towers)
    columns = _columns(len(parts[0]))
    whole = [mosaic(part, columns) for part in parts]
    width = min(WIDTH, 0.8 * columns)
    figure = new_figure(width, towers * (width * whole[0].shape[0] / whole[0].shape[1] + 0.35))
    for number, (axes, shown) in enumerate(zip(figure.subplots(towers, 1, squeeze=False)[:, 0], whole, strict=True)):
        show_image(axes, shown)
        first = number * len(parts[0])
        title = f"{literal(name)}: {len(tiles)} filters of {'x'.join(map(str, kernel.shape[:3]))}"
        if towers > 1:
            title = f"{title}, tower {number + 1}: {first} to {first + len(parts[0]) - 1}"
        axes.set_title(title, fontsize=10, loc="left")
    return figure


def _columns(count):
    """Columns of a wide grid that is full where the number has a fitting divisor."""
    best = min(count, max(8, round(math.sqrt(2 * count))))
    fitting = [columns for columns in range(best, min(count, 2 * best) + 1) if count % columns == 0]
    return fitting[0] if fitting else best


def _draw_grids(kernel, name, groups, filters, channels):
    drawn = min(groups, GROUPS)
    parts = np.split(kernel, groups, axis=3)[:drawn]
    rows, columns = min(filters, parts[0].shape[3]), min(channels, kernel.shape[2])
    across = math.ceil(drawn / 2) if drawn > 2 else drawn
    cell = POINT if kernel.shape[0] * kernel.shape[1] == 1 else CELL
    side = min(WIDTH / across - 0.4, columns * cell)  # inches, without the numbers of the filters
    height = side * (rows * kernel.shape[0]) / (columns * kernel.shape[1])
    down = math.ceil(drawn / across)
    figure = new_figure(across * (side + 0.4), down * (height + 0.6) + 0.3)
    which = f"{rows * drawn} of {kernel.shape[3]} filters, {columns} of {kernel.shape[2]} input channels each"
    which += f", {drawn} of {groups} groups" if groups > drawn else ""
    figure.suptitle(f"{literal(name)}: {which}", fontsize=11, x=0.01, ha="left")
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for number, (axes, part) in enumerate(zip(grid, parts, strict=False)):
        _draw_grid(axes, part, number, rows, columns)
        label = f"input channel, group {number + 1}" if groups > 1 else "input channel"
        axes.set_xlabel(label, fontsize=9, color=QUIET)
    for axes in grid[drawn:]:
        axes.axis("off")
    return figure


def _draw_grid(axes, kernel, group, rows, columns):
    """One group (kh, kw, c_in, c_out)."""
    energy = np.square(kernel).sum(axis=(0, 1))
    chosen = strongest(energy.sum(axis=0), rows)
    seen = strongest(energy[:, chosen].sum(axis=1), columns)
    tiles = normalised(np.moveaxis(kernel[..., chosen], 3, 0))[..., seen]  # (rows, kh, kw, columns)
    height, width = kernel.shape[:2]
    shown = mosaic(np.moveaxis(tiles, 3, 1).reshape(-1, height, width, 1), columns)
    show_image(axes, shown, extent=(0, columns * width, rows * height, 0))
    axes.set_xticks(width * (np.arange(columns) + 0.5), seen + group * kernel.shape[2])
    axes.set_yticks(height * (np.arange(rows) + 0.5), chosen + group * kernel.shape[3])
    axes.tick_params(length=0, labelsize=7.5, labelcolor=QUIET, labeltop=True, labelbottom=False)
    axes.xaxis.set_label_position("top")
    axes.set_ylabel("filter", fontsize=9, color=QUIET)
