"""The receptive field of a unit on an image: in theory, measured, and how much each pixel counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from jaxcnn.analysis.units import Box, field_box, find_unit, support
from jaxcnn.visualize.figure import HELD_OUT, PALETTE, QUIET, new_figure, show_image
from jaxcnn.visualize.projections import outline

if TYPE_CHECKING:
    from jaxcnn.visualize.inspector import Inspector


CELL = 3.0  # inches
# Of the largest weight. Luo et al. 2016, arXiv:1701.04128, section 3, take it of the pixel in the centre, which may
# have none behind a stride.
EFFECTIVE = 1 - 0.9545
NAMES = ("theory", "gradient not zero", "effective")
LOOKS = ((HELD_OUT, "-", 2.4), (PALETTE[5], "--", 1.6), (PALETTE[2], ":", 2.0))  # visible where they lie on each other


class Fields(NamedTuple):
    """The receptive fields of one unit.

    Attributes:
      title: text.
      box: `Box` that it can see.
      weights: (h, w), how much each pixel moves it, see `units.effective_field`.
      images: how many images that is the mean of.
    """

    title: str
    box: Box
    weights: np.ndarray
    images: int

    @property
    def support(self) -> Box | None:
        """The `Box` around the pixels that move it, or None."""
        return support(self.weights)

    @property
    def effective(self) -> Box | None:
        """The `Box` around the pixels that move it more than 4.55 % of the one that moves it most, or None."""
        return support(self.weights > EFFECTIVE * self.weights.max())


def unit_fields(
    inspector: Inspector, images: np.ndarray, stage: str, *, channel: int | None = None, place: Any = None
) -> Fields:
    """Measures the receptive field of a unit.

    Args:
      inspector: an `Inspector`.
      images: uint8 (n, h, w, c); a relu is closed in some, a switch elsewhere in others: many show the whole field.
      stage: its name.
      channel: by default the one that answers most at that place, summed over the images.
      place: (row, column); by default the middle of the map.
    Returns:
      `Fields`.
    Raises:
      ValueError: there is no such stage, unit or place.
    """
    found = find_unit(inspector.stages, stage, channel or 0, place)
    place = tuple(n // 2 for n in found.shape[:2]) if place is None else place
    if channel is None:
        channel = int(inspector.responses(images, stage, np.array(place)).sum(axis=0).argmax())
    weights = inspector.effective_field(images, stage, channel, np.array(place))
    return Fields(inspector.unit_name(stage, channel, place), field_box(found.field, place), weights, len(images))


def draw_fields(image: np.ndarray, fields: Fields) -> Figure:
    """Draws the image with the fields outlined, and the weight of each pixel.

    Args:
      image: uint8 (h, w, 1 | 3).
      fields: `Fields`.
    Returns:
      A matplotlib Figure of two panels.
    """
    figure = new_figure(2 * CELL + 0.6, CELL + 0.7)
    left, right = figure.subplots(1, 2)
    show_image(left, image)
    largest = float(fields.weights.max()) or 1.0
    shown = right.imshow(fields.weights / largest, cmap="magma", vmin=0, vmax=1, interpolation="nearest")
    right.set_xticks([])
    right.set_yticks([])
    boxes = (fields.box, fields.support, fields.effective)
    looks = [dict(zip(("edgecolor", "linestyle", "linewidth"), look, strict=True)) for look in LOOKS]
    for box, look in zip(boxes, looks, strict=True):
        for axes in (left, right) if box else ():
            outline(axes, box, image.shape, **look)
    left.set_title(fields.title, fontsize=10)
    right.set_title(f"|gradient|, mean of {fields.images} image{'s' * (fields.images > 1)}", fontsize=10)
    bar = figure.colorbar(shown, ax=right, shrink=0.8, aspect=20, pad=0.02)
    bar.ax.tick_params(labelsize=8, length=2)
    bar.outline.set_visible(False)
    labels = [f"{name}: " + (f"{b.height}x{b.width}" if b else "nothing") for name, b in zip(NAMES, boxes, strict=True)]
    handles = [Patch(facecolor="none", label=label, **look) for label, look in zip(labels, looks, strict=True)]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8.5, frameon=False, labelcolor=QUIET)
    return figure
