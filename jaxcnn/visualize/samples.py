"""Images that a network generates: a sheet of them, and the section of a report that shows them over training time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxcnn.evaluation.samples import COLUMNS, cells
from jaxcnn.visualize import page
from jaxcnn.visualize.figure import literal, new_figure, png_bytes, show_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxcnn.visualize.page import Html
    from jaxcnn.visualize.report import RunReport


CELL = 0.55  # inches of an image
TIMES = 10  # steps in the strip of a report
GAP = 0.08  # of an image's side, between images


def draw_sheet(
    names: Sequence[str], images: Sequence[np.ndarray] | np.ndarray, *, columns: Sequence[str] = (), title: str = ""
) -> Figure:
    """Draws rows of images, each with its name: classes, or networks.

    Args:
      names: of the rows.
      images: a sequence, for each row uint8 (n, h, w, c); a row may be shorter than the others.
      columns: a text above each column; () for none.
      title: text above them.
    Returns:
      A matplotlib Figure.
    """
    longest = max(len(row) for row in images)
    height, width, channels = images[0].shape[1:]
    gap = max(1, round(GAP * min(height, width)))
    sheet = np.full((len(images) * (height + gap) - gap, longest * (width + gap) - gap, channels), 255, np.uint8)
    for i, row in enumerate(images):
        for j, image in enumerate(row):
            sheet[i * (height + gap) :, j * (width + gap) :][:height, :width] = image
    figure = new_figure(1.3 + longest * CELL * width / height, 0.5 + len(images) * CELL)
    axes = figure.subplots()
    show_image(axes, sheet)
    axes.set_title(title, loc="left", fontsize=10, parse_math=False)
    middles = [(height + gap) * i + height / 2 for i in range(len(images))]
    axes.set_yticks(middles, [literal(name, limit=16) for name in names], fontsize=8.5)
    if columns:
        middles = [(width + gap) * j + width / 2 for j in range(longest)]
        axes.set_xticks(middles, [literal(text, limit=12) for text in columns], fontsize=8)
        axes.xaxis.tick_top()
    axes.tick_params(length=0)
    return figure


def samples_section(run: RunReport) -> Html | None:
    """The samples of fixed codes over training time, and all of the last step; None of a run that kept none."""
    if not run.samples:
        return None
    last, classes, latest = run.samples[-1]
    names = classes or [f"code {row + 1}" for row in range(len(latest))]
    chosen = np.unique(np.linspace(0, len(run.samples) - 1, TIMES).round().astype(int))
    kept = [run.samples[i] for i in chosen if run.samples[i].tiles.shape == latest.shape]
    strip = np.stack([each.tiles[:, 0] for each in kept], axis=1)
    rows = "a class each" if classes else "a code each"
    over_time = page.plate(
        png_bytes(draw_sheet(names, strip, columns=[f"{each.step:,}" for each in kept])),
        "samples of fixed codes over training time",
        caption=f"Fixed codes, {rows}, at these steps: an image changes along its row by what was learned alone.",
        class_="drawn photographs",
    )
    sheet = page.plate(
        png_bytes(draw_sheet(classes or [""] * len(latest), latest)),
        "samples of the last evaluation",
        caption=f"Samples of step {last:,}. `generate` writes as many as wanted.",
        class_="drawn photographs",
    )
    return page.join(over_time, sheet, *(_measures(row) for row in run.measured[-1:]))


def _measures(row):
    """The table of `evaluate --classifier` and a sentence about it."""
    found = row["samples"]
    lines = [cells(each) for each in found.get("classes", ())]
    sentence = (
        f"Images of step {row.get('step')} by the classifier of {found.get('classifier')}, beside the real images of "
        f"{row.get('split')}: {page.percent(found.get('accuracy'))} are called by their class (mean over the classes), "
        f"the squared Fréchet distance on its features {found.get('stage')} is {page.compact(found.get('frechet'))}. "
        "SSIM is of pairs of one class: the lower, the more various."
    )
    return page.join(page.table(COLUMNS, lines, numeric=range(1, len(COLUMNS))), page.element("p", sentence))
