"""The code of an autoencoder: where images lie in it, and walks between two of them, decoded on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxcnn.visualize import page
from jaxcnn.visualize.figure import literal, new_figure, plain_axes, png_bytes, show_image
from jaxcnn.visualize.tsne import draw_images, draw_points, embed, explain_classes, hide_scales

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.page import Html
    from jaxcnn.visualize.report import RunReport


WIDTH, MAP = 9.0, 6.4  # inches of a picture, and the height of the map in it
GAP = 0.08  # of an image's side, between the images of a strip
BETWEEN_IMAGES = "From image to image: what the codes on the straight line between theirs are decoded to"
BETWEEN_CODES = "What a generator makes of the codes on the straight line between two that are drawn"


class Coded(NamedTuple):
    """Images of a split: uint8 (n, h, w, c); their labels (n,) int, all 0 without classes; their codes (n, ...)."""

    images: np.ndarray
    labels: np.ndarray
    codes: np.ndarray


def read_codes(
    trained: Trained,
    latent: Any,
    records: Any,
    *,
    count: int,
    seed: int = 0,
    report: Callable[[int, int], object] | None = None,
) -> Coded:
    """The `Coded` of images that are drawn without replacement; count, seed and report as in `sample_stage`.

    Raises:
      ValueError: fewer than two images can be read.
    """
    _, batch, codes = draw_images(trained, records, latent.encode, count=count, seed=seed, report=report)
    if len(codes) < 2:
        raise ValueError("a walk is between two images; fewer can be read")
    return Coded(batch["image"], batch.get("label", np.zeros(len(codes), np.int32)), codes)


def lay_out(codes: np.ndarray, *, perplexity: float = 30.0, seed: int = 0) -> np.ndarray:
    """Places (n, 2) of codes (n, ...): a code of two numbers itself, else by t-SNE, see `embed`."""
    flat = codes.reshape(len(codes), -1)
    return flat if flat.shape[1] == 2 else embed(flat, perplexity=perplexity, seed=seed)


def draw_latent(coded: Coded, walks: Any, classes: Sequence[str], places: np.ndarray, *, title: str = "") -> Figure:
    """Draws the places of images, a point each in the colour of its class, and below them the walks.

    Of a code of two numbers the axes are these, and the walks are arrows.

    Args:
      coded: a `Coded`.
      walks: a `Walks` between its images.
      classes: names of the classes; may be empty.
      places: (n, 2), of `lay_out`.
      title: text above.
    Returns:
      A matplotlib Figure.
    """
    sheet = _strips(walks, coded.images[walks.pairs])
    figure = new_figure(WIDTH, MAP + _height(sheet))
    above, below = figure.subfigures(2, 1, height_ratios=(MAP, _height(sheet)))
    _draw_places(above.subplots(), coded, places, walks.pairs, classes, title)
    _draw_strips(below.subplots(), sheet, _from_to(coded, walks, classes), BETWEEN_IMAGES)
    return figure


def draw_walks(
    walks: Any, names: Sequence[str], *, ends: np.ndarray | None = None, title: str = BETWEEN_CODES
) -> Figure:
    """Draws walks alone, a row each under its number.

    Args:
      walks: a `Walks`.
      names: a text for each, beside its number; may be empty.
      ends: uint8 (pairs, 2, h, w, c), images that stand at both ends; None without.
      title: text above.
    Returns:
      A matplotlib Figure.
    """
    sheet = _strips(walks, ends)
    figure = new_figure(WIDTH, _height(sheet))
    _draw_strips(figure.subplots(), sheet, names, title)
    return figure


def _draw_places(axes, coded, places, pairs, classes, title):
    if coded.codes[0].size == 2:
        plain_axes(axes, title=title, xlabel="first number of the code", ylabel="second number of the code")
        _draw_arrows(axes, places[pairs])
    else:
        axes.set_title(title, loc="left", fontsize=12, fontweight="bold", parse_math=False)
        hide_scales(axes)
        axes.set_aspect("equal")
    draw_points(axes, places, coded.labels, np.zeros(len(places), bool))
    if classes:
        explain_classes(axes, coded.labels, classes)


def _draw_arrows(axes, ends):
    arrow = {"arrowstyle": "->", "color": "#111827", "linewidth": 1.1}
    plate = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": "#111827", "linewidth": 0.8}
    for number, (start, end) in enumerate(ends, start=1):
        axes.annotate("", end, start, arrowprops=arrow, zorder=4)
        axes.annotate(str(number), start, fontsize=8, zorder=5, ha="center", va="center", bbox=plate)


def _strips(walks, ends):
    """Float (h', w', c): a row a walk, between the images at its ends."""
    gap, rows = max(1, round(GAP * min(walks.images.shape[2:4]))), []
    for number, way in enumerate(walks.images):
        parts = [_edged(image, gap) for image in way]
        if ends is not None:
            first, last = (_edged(image / np.float32(255), gap) for image in ends[number])
            between = np.ones((len(first), 2 * gap, first.shape[2]), np.float32)
            parts = [first, between, *parts, between, last]
        rows.append(np.concatenate(parts, axis=1))
    return np.concatenate(rows)[:-gap, :-gap]


def _edged(image, gap):
    return np.pad(image, ((0, gap), (0, gap), (0, 0)), constant_values=1)


def _height(sheet):
    """Inches of a sheet of strips and its title."""
    return (WIDTH - 1) * sheet.shape[0] / sheet.shape[1] + 0.6


def _from_to(coded, walks, classes):
    """The classes between which each walk goes, as text."""
    if not classes:
        return [""] * len(walks.pairs)
    return [" to ".join(literal(classes[label], limit=12) for label in coded.labels[pair]) for pair in walks.pairs]


def _draw_strips(axes, sheet, names, title):
    show_image(axes, sheet)
    axes.set_title(title, fontsize=10)
    row = len(sheet) / len(names)
    texts = [f"{number}: {name}" if name else str(number) for number, name in enumerate(names, start=1)]
    axes.set_yticks([row * (number + 0.5) for number in range(len(names))], texts, fontsize=8.5)
    axes.tick_params(length=0)


def code_section(run: RunReport) -> Html | None:
    """The walks of a report's run and, where it was found, the error of PCA; None of a network without a code."""
    if run.code is None:
        return None
    coded, walks = run.code
    drawn = draw_walks(walks, _from_to(coded, walks, run.classes), ends=coded.images[walks.pairs], title=BETWEEN_IMAGES)
    picture = page.plate(
        png_bytes(drawn),
        "walks between the codes of two images",
        caption="The images themselves stand at the ends. `visualize latent` also draws where images lie.",
        class_="drawn photographs",
    )
    return page.join(picture, _beside_pca(run))


def _beside_pca(run):
    """A table of the summed squared error on test, of the network and of PCA."""
    rows = [row for row in run.evaluations if (row.get("split"), row.get("step")) == ("test", run.checkpoint_step)]
    if run.pca is None or not rows:
        return None
    components, error = run.pca
    lines = [
        (rows[-1]["architecture"], components, page.compact(rows[-1].get("sse"))),
        ("principal components of the training images", components, page.compact(error)),
    ]
    return page.table(("code", "numbers", "summed squared error of a test image"), lines, numeric=(1, 2))


SECTIONS = (("Latent code", code_section),)
