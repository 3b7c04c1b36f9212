"""Maps laid over the images that they are of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from scipy.ndimage import map_coordinates

from jaxcnn.analysis import analyse
from jaxcnn.errors import InputError, look_up, nearest
from jaxcnn.visualize.cam import class_maps, last_convolution, map_stages, pooled_head
from jaxcnn.visualize.figure import QUIET, literal, new_figure, shortened, show_image

if TYPE_CHECKING:
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.selection import Selection


COLOURS = "inferno"  # perceptually uniform, and dark where there is nothing
SHARE = 0.8  # of the colour where a map is largest, the rest is the image in grey
SIDE = 224  # pixels: smaller images are enlarged, so that the map over them is smooth
CELL = 1.5  # inches
LINE = 21  # characters of a title, as many as fit above a cell
PANELS = 6  # beside each other, where an image has few


def overlay(image: np.ndarray, heat: np.ndarray, field: Any) -> np.ndarray:
    """Lays a map over its image, which turns grey so that every colour is the map's.

    A value of the map lies at the centre of the box that it sees; between the centres it is linear, beyond the outer
    ones constant. The colour covers more the larger the map is, by the root of its share of the largest value; where
    it is zero or below, the image stays.

    Args:
      image: uint8 (h, w, 1 | 3).
      heat: (h', w') float.
      field: the `jaxcnn.analysis` Field of the map.
    Returns:
      (r h, r w, 3) float in [0, 1], r the smallest whole number that makes the image of 224 pixels or more.
    """
    times = -(-SIDE // min(image.shape[:2]))
    grey = np.asarray(image, np.float32).mean(axis=-1, keepdims=True) / 255
    grey = grey.repeat(times, axis=0).repeat(times, axis=1)
    at = [
        (((np.arange(side) + 0.5) / times - 0.5) - offset) / max(stride, 1)
        for side, offset, stride in zip(grey.shape, field.offset, field.stride, strict=False)
    ]
    heat = map_coordinates(np.asarray(heat, np.float32), np.meshgrid(*at, indexing="ij"), order=1, mode="nearest")
    positive = np.maximum(heat, 0)
    scaled = positive / (positive.max() or 1)
    cover = SHARE * np.sqrt(scaled)[..., None]
    return (1 - cover) * grey + cover * matplotlib.colormaps[COLOURS](scaled)[..., :3]


def draw_overlays(images: Any, captions: Sequence[str], maps: Sequence[Any], *, photographs: Any = None) -> Figure:
    """Draws images, each beside its maps laid over it; two or three images a row where they have few maps.

    Args:
      images: uint8 (n, h, w, 1 | 3).
      captions: n texts of one line or more.
      maps: n lists of (title, (h', w') float, field), as in `overlay`.
      photographs: n images uint8 of any size that are drawn in the place of the images themselves; None for these.
    Returns:
      A matplotlib Figure.
    """
    photographs = images if photographs is None else photographs
    width = 1 + max(map(len, maps))
    blocks = min(max(1, PANELS // width), len(images))
    rows = -(-len(images) // blocks)
    figure = new_figure(CELL * width * blocks + 0.9, (CELL + 0.45) * rows)
    grid = figure.subplots(rows, width * blocks, squeeze=False)
    panels = []
    for image, photograph, caption, found in zip(images, photographs, captions, maps, strict=True):
        drawn = [(caption, photograph), *((title, overlay(image, heat, field)) for title, heat, field in found)]
        panels += drawn + [None] * (width - len(drawn))
    panels += [None] * (grid.size - len(panels))
    for axes, panel in zip(grid.ravel(), panels, strict=True):
        if panel is None:
            axes.axis("off")
            continue
        show_image(axes, panel[1])
        axes.set_title("\n".join(literal(line, limit=LINE) for line in panel[0].split("\n")), fontsize=8)
    shrink = min(0.6, 2.2 / figure.get_figheight())
    bar = figure.colorbar(ScalarMappable(cmap=COLOURS), ax=grid, ticks=[0, 1], shrink=shrink, aspect=20, pad=0.02)
    bar.ax.set_yticklabels(["0", "most"], fontsize=9, color=QUIET)
    bar.outline.set_visible(False)
    return figure


def class_overlays(
    trained: Trained,
    chosen: Selection,
    *,
    classes: Sequence[str] = (),
    method: str = "grad_cam",
    stages: Sequence[str] = (),
) -> Figure:
    """Draws class activation maps or grad-CAM of images, a column a class and stage.

    Args:
      trained: a Trained.
      chosen: a `Selection`.
      classes: names of classes, or numbers of them; by default the predicted class of each image.
      method: "cam" or "grad_cam".
      stages: of grad-CAM; by default the last convolutional one.
    Returns:
      A matplotlib Figure.
    Raises:
      InputError: no such class, or stages for "cam".
      ValueError: no such stage, or the network does not fit the method.
    """
    if method == "cam" and stages:
        raise InputError("--stage is for grad_cam: class activation maps are those of the last stage.")
    if method == "cam":
        stages = [pooled_head(trained.model, trained.variables, trained.shape)[0]]
    stages = stages or [last_convolution(trained.model, trained.variables, trained.shape)]
    for stage in stages:
        look_up(stage, table=map_stages(trained), kind="map")
    layers = analyse(trained.model, trained.shape, variables=trained.variables).layers
    fields = {layer.stage: layer.field for layer in layers}
    numbers = [class_number(name, trained.classes) for name in classes]
    probabilities = trained.probabilities(chosen.images)
    columns = [np.full(len(chosen.images), number) for number in numbers] or [probabilities.argmax(axis=1)]
    maps = [[] for _ in chosen.images]
    for labels in columns:
        for stage in stages:
            found = class_maps(trained, chosen.images, labels, method=method, stage=stage)
            for row, label, heat, shares in zip(maps, labels, found, probabilities, strict=True):
                share = f" {100 * shares[label]:.0f} %"
                name = shortened(trained.classes[label], limit=LINE - len(share))
                row.append((f"{name}{share}\n{stage}", heat, fields[stage]))
    captions = [
        name if label is None else f"{trained.classes[label]}\n{name}"
        for name, label in zip(chosen.names, chosen.labels, strict=True)
    ]
    return draw_overlays(chosen.images, captions, maps, photographs=chosen.photographs)


def class_number(name: str, classes: Sequence[str]) -> int:
    """The label that a name of a class or its number says; an InputError lists the nearest classes."""
    if name in classes:
        return classes.index(name)
    if name.isdecimal() and int(name) < len(classes):
        return int(name)
    raise InputError(f"there is no class {name!r}; {nearest(name, classes)}")
