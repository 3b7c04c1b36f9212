"""The activations of every stage of a network for one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import numpy as np

from jaxcnn.analysis.accounting import result_name
from jaxcnn.visualize.cam import is_map
from jaxcnn.visualize.figure import PALETTE, QUIET, literal, new_figure, show_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxcnn.evaluation.trained import Trained


CELL = 0.62  # inches, of a channel
ROW = 1.16  # of a row, in channels
BARS_UP_TO = 64  # units of a vector; a longer one is a strip of colours
CLASSES = 5
EXPLANATION = (
    "The strongest channels of each stage by their numbers; a stage is on one scale, to its largest magnitude.\n"
    "White is 0, red above, blue below; where no value is below 0, dark is 0 and yellow the largest."
)


def stage_activations(trained: Trained, image: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """The stages of a trained network for one image.

    Args:
      trained: a Trained.
      image: uint8 (h, w, c).
    Returns:
      {stage: (h, w, c) or (units,) float32} in the order of the network, and the class probabilities (K,); without
      these None, and the result as the last stage.
    """
    names, result = [], result_name(trained.model)
    classifies = trained.gives_probabilities()

    @jax.jit
    def run(variables, images):
        output, features = trained.apply(variables, images)
        features = {name: value for name, value in features.items() if name != result}
        features |= {} if classifies else {result: output}
        names.extend(features)  # jit returns a dict in alphabetical order
        return features, jax.nn.softmax(output[0]) if classifies else None

    features, probabilities = jax.device_get(run(trained.variables, image[None]))
    return {name: np.asarray(features[name][0], np.float32) for name in names}, probabilities


def strongest_channels(maps: np.ndarray, count: int) -> np.ndarray:
    """The channels of (h, w, c) whose largest magnitude is largest, falling."""
    return np.argsort(-np.abs(maps).max(axis=(0, 1)), kind="stable")[:count]


def draw_activations(
    image: np.ndarray,
    stages: Mapping[str, np.ndarray],
    probabilities: np.ndarray | None,
    classes: Sequence[str],
    *,
    channels: int = 16,
) -> Figure:
    """Draws a row a stage: its strongest channels beside each other, on one scale; vectors as bars or as a strip.

    Zero is dark where a stage is never negative; else zero is white, blue is below and red above.

    Args:
      image: uint8 (h, w, 1 | 3).
      stages: {name: (h, w, c) or (units,)}.
      probabilities: (K,); None without classes.
      classes: K names.
      channels: how many channels a row has.
    Returns:
      A matplotlib Figure of three axes: the image, the most probable classes (where there are any), the stages.
    """
    names = list(stages)
    figure = new_figure(3.9 + CELL * channels, max(CELL * ROW * len(names) + 0.3, 3.9))
    left, right = figure.subfigures(1, 2, width_ratios=(2.4, 1.5 + CELL * channels))
    beside, below = 2.35, 1.3  # inches of the image and of the classes
    parts = left.subfigures(3, 1, height_ratios=(beside, below, max(figure.get_figheight() - beside - below, 0.01)))
    show_image(parts[0].subplots(), image)
    if probabilities is not None:
        _draw_classes(parts[1].subplots(), probabilities, classes)
    axes = right.subplots()
    for row, name in enumerate(names):
        _draw_stage(axes, len(names) - 1 - row, name, stages[name], channels)
    axes.set_xlim(-0.05, channels)
    axes.set_ylim(-0.6, len(names) * ROW)
    axes.text(0, -0.12, EXPLANATION, fontsize=7.5, color=QUIET, va="top")
    axes.set_aspect("equal")
    axes.axis("off")
    return figure


def _draw_classes(axes, probabilities, classes):
    top = np.argsort(-probabilities, kind="stable")[:CLASSES][::-1]
    axes.barh(range(len(top)), probabilities[top], color=PALETTE[0], height=0.7)
    axes.set_yticks(range(len(top)), [literal(classes[i], limit=18) for i in top], fontsize=8.5)
    for place, value in enumerate(probabilities[top]):
        axes.text(value + 0.03, place, f"{100 * value:.1f} %", va="center", fontsize=8, color=QUIET)
    axes.set_xlim(0, 1.35)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _draw_stage(axes, row, name, values, channels):
    bottom = row * ROW
    size = "x".join(map(str, values.shape))
    axes.text(-0.2, bottom + 0.56, literal(name, limit=24), ha="right", va="center", fontsize=9.5)
    axes.text(-0.2, bottom + 0.26, size, ha="right", va="center", fontsize=7.5, color=QUIET)
    largest = float(np.abs(values).max()) or 1.0
    signed = values.min() < 0
    look = {"cmap": "RdBu_r" if signed else "viridis", "vmin": -largest if signed else 0, "vmax": largest}
    if is_map(values.shape):
        for place, channel in enumerate(strongest_channels(values, channels)):
            left, right, foot, top = _fitted(values.shape, place, bottom)
            _tile(axes, values[..., channel], (left, right, foot, top), **look)
            axes.text(left, top + 0.02, str(channel), fontsize=5.5, color=QUIET, va="bottom")
    elif values.size <= BARS_UP_TO:
        _bars(axes, values.ravel(), largest, signed, bottom, channels)
    else:
        lines = -(-values.size // 256)
        strip = np.full(lines * -(-values.size // lines), np.nan)
        strip[: values.size] = values.ravel()
        _tile(axes, strip.reshape(lines, -1), (0, channels - 0.06, bottom, bottom + 0.94), **look)


def _fitted(shape, place, bottom):
    """(left, right, bottom, top) of a map in the middle of its cell, as wide for its height as it is."""
    height, width = (0.47 * side / max(shape[:2]) for side in shape[:2])
    x, y = place + 0.47, bottom + 0.47
    return x - width, x + width, y - height, y + height


def _tile(axes, values, extent, **look):
    axes.imshow(values, extent=extent, interpolation="nearest", aspect="auto", **look)


def _bars(axes, values, largest, signed, bottom, channels):
    zero, scale = (bottom + 0.47, 0.47) if signed else (bottom, 0.94)
    width = (channels - 0.06) / len(values)
    place = (np.arange(len(values)) + 0.5) * width
    axes.bar(place, scale * values / largest, width=0.8 * width, bottom=zero, color=PALETTE[0])
    axes.plot([0, channels - 0.06], [zero, zero], color=QUIET, linewidth=0.6)
