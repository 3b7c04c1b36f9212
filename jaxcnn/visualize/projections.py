"""Units of a stage brought back to an image: deconvnet, guided backpropagation and saliency beside each other."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from jaxcnn.analysis.units import Box, cut, field_box, find_unit, saliency
from jaxcnn.visualize.figure import HELD_OUT, literal, new_figure, show_image, write_note

if TYPE_CHECKING:
    from jaxcnn.visualize.inspector import Inspector


CELL = 1.7  # inches
LINE = 20  # characters of a title, as many as fit beside a cell
ALIKE = 0.9  # the cosine between two projections from which on they are called the same
COLUMNS = {"deconvnet": "deconvnet", "guided": "guided backpropagation", "gradient": "saliency"}

FULL = "the 99.5th percentile of its own magnitudes above 0, over the whole image"
SCALES = {  # what the shades of a projection say
    "deconvnet": f"grey is 0; darkest and brightest are minus and plus {FULL}.",
    "guided": f"grey is 0; darkest and brightest are minus and plus {FULL}.",
    "gradient": f"white is 0; black is {FULL}.",
}


class Projected(NamedTuple):
    """A unit at one place.

    Attributes:
      title: text.
      channel, place: which unit it is.
      box: `Box`, its receptive field.
      projections: {rule: (h, w, c) float}, see COLUMNS.
    """

    title: str
    channel: int
    place: np.ndarray
    box: Box
    projections: dict


def shown_signed(projection: np.ndarray) -> np.ndarray:
    """A projection as an image: zero is grey, the 99.5th percentile of the magnitudes that are not zero is full.

    Args:
      projection: (h, w, c) float.
    Returns:
      The same shape, float in [0, 1].
    """
    magnitudes = np.abs(projection[projection != 0])
    scale = np.percentile(magnitudes, 99.5) if magnitudes.size else 1.0
    return np.clip(0.5 + projection / (2 * scale), 0, 1)


def shown_saliency(gradient: np.ndarray) -> np.ndarray:
    """The saliency of a gradient (h, w, c) as (h, w, 1): white where it is 0, black at its 99.5th percentile."""
    found = saliency(gradient)[..., None]
    scale = np.percentile(found[found > 0], 99.5) if np.any(found) else 1.0
    return np.clip(1 - found / scale, 0, 1)


def project_units(
    inspector: Inspector,
    image: np.ndarray,
    stage: str,
    *,
    channels: Sequence[int] = (),
    place: Any = None,
    count: int = 5,
) -> list[Projected]:
    """Brings units of one stage back to an image by every rule.

    Args:
      inspector: an `Inspector`.
      image: uint8 (h, w, c).
      stage: its name.
      channels: the units; by default the `count` that answer most.
      place: (row, column) in the map; by default where each unit answers most.
    Returns:
      [Projected], one a unit.
    Raises:
      ValueError: there is no such stage, unit or place.
    """
    find_unit(inspector.stages, stage, 0, place)
    for channel in channels:
        find_unit(inspector.stages, stage, channel)
    (values,), (places,) = inspector.strongest(image[None], stage)
    channels = channels or np.argsort(-values, kind="stable")[:count].tolist()
    found = []
    for channel in channels:
        at = np.array(places[channel] if place is None else place, np.int32)
        projections = {
            rule: inspector.project(image[None], stage, np.array([channel]), at[None], rule=rule)[0] for rule in COLUMNS
        }
        box = field_box(inspector.stages[stage].field, at)
        off = ", off" if place is None and values[channel] == 0 else ""
        found.append(Projected(inspector.unit_name(stage, channel, at) + off, channel, at, box, projections))
    return found


def same_for_any_image(inspector: Inspector, image: np.ndarray, stage: str, channel: int, place: Any) -> bool:
    """Whether the deconvnet projects a unit from another image as from this one, though the unit sees another thing.

    It knows an image only by the switches of the max poolings below a unit (Springenberg et al. 2014, section 3.4).
    A ResNet has one or none: strides make its maps smaller.

    Args:
      inspector: an `Inspector`.
      image: uint8 (h, w, c), in which the unit is active.
      stage, channel, place: of the unit.
    """
    at = stage, np.array([channel]), np.array(place, np.int32)[None]
    for other in (255 - image, image[::-1], image[:, ::-1], np.roll(image, 3, axis=(0, 1))):
        alike = {}
        for rule in ("deconvnet", "guided"):
            one, two = (inspector.project(x[None], *at, rule=rule)[0].ravel() for x in (image, other))
            alike[rule] = one @ two / max(np.linalg.norm(one) * np.linalg.norm(two), np.finfo(np.float32).tiny)
            if not one.any() or not two.any():  # it is off in one of them
                break
        else:
            return bool(alike["deconvnet"] > ALIKE > alike["guided"])
    return False


def draw_projections(image: np.ndarray, units: Sequence[Projected]) -> Figure:
    """Draws a row a unit: the image with its receptive field, the patch, and the projections, cut out likewise.

    Fields of at most half the side of the image are cut out of it, the patch beside them; else the image is whole.

    Args:
      image: uint8 (h, w, 1 | 3).
      units: [Projected].
    Returns:
      A matplotlib Figure.
    """
    cropped = all(2 * max(unit.box.height, unit.box.width) <= min(image.shape[:2]) for unit in units)
    titles = ["image", *(["patch"] if cropped else []), *COLUMNS.values()]
    figure = new_figure(CELL * len(titles) + 0.3, CELL * len(units) + 0.35)
    grid = figure.subplots(len(units), len(titles), squeeze=False)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=10)
    for row, unit in zip(grid, units, strict=True):
        show_image(row[0], image)
        row[0].set_ylabel(_two_lines(unit.title), fontsize=9)
        outline(row[0], unit.box, image.shape)
        panels = [patch(image, unit.box)] if cropped else []
        panels += [
            cut_projection(rule, projection, unit.box if cropped else None)
            for rule, projection in unit.projections.items()
        ]
        for axes, shown in zip(row[1:], panels, strict=True):
            show_image(axes, shown)
    words = f"deconvnet, guided backpropagation: {SCALES['guided']}\nsaliency: {SCALES['gradient']}"
    write_note(figure, words)
    return figure


def _two_lines(title):
    first, *rest = textwrap.wrap(title, LINE, break_on_hyphens=False)
    return "\n".join(literal(line, limit=LINE) for line in (first, " ".join(rest)) if line)


def patch(image: np.ndarray, box: Any) -> np.ndarray:
    """The part of an image uint8 (h, w, c) in a box; beyond the image it is grey."""
    return cut(image, box, fill=128)


def cut_projection(rule: str, projection: np.ndarray, box: Any) -> np.ndarray:
    """The part of a projection (h, w, c) in a box, as an image; all of it where the box is None."""
    shown, zero = (shown_saliency(projection), 1.0) if rule == "gradient" else (shown_signed(projection), 0.5)
    return shown if box is None else cut(shown, box, fill=zero)


def outline(axes: Any, box: Any, shape: Sequence[int], **look: Any) -> None:
    """Draws the part of a box that lies in an image of this shape; look: options of a matplotlib Rectangle."""
    top, left = max(box.top, 0), max(box.left, 0)
    bottom, right = min(box.top + box.height, shape[0]), min(box.left + box.width, shape[1])
    options: dict[str, Any] = {"edgecolor": HELD_OUT, "facecolor": "none", "linewidth": 1.6, "clip_on": False, **look}
    axes.add_artist(Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, **options))
