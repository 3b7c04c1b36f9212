"""Figures drawn off screen: the palette, and the one way a figure becomes PNG bytes or a file."""

import io
import os
import pathlib
import textwrap
import warnings
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jaxcnn.files import replaced
from jaxcnn.names import shown

if os.path.exists("matplotlibrc"):  # matplotlib obeys one of the current folder, which may be a stranger's:
    matplotlib.rcParams["text.usetex"] = False  # LaTeX, another program, would read the names of files and classes

DPI = 150
FORMATS = frozenset(FigureCanvasAgg.get_supported_filetypes()) - {"pgf"}  # which needs LaTeX

# Okabe and Ito (2008), told apart under the three common colour deficiencies; yellow is left out, faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
TRAIN, HELD_OUT, QUIET = PALETTE[0], PALETTE[1], "#6b7280"
OTHERS = "#b6bcc6"  # classes without a colour of their own
CHARACTERS = 16  # an inch, of the size of a caption
LINE_STYLES = ("-", "--", ":", "-.")


def new_figure(width: float, height: float) -> Figure:
    """A figure of width x height inches with its own Agg canvas: no pyplot, no global state, safe in any thread."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def plain_axes(axes: Any, *, title: str = "", xlabel: str = "", ylabel: str = "") -> None:
    """Titles and a light grid; no frame above and to the right."""
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", parse_math=False)
    axes.set_xlabel(xlabel, fontsize=10)
    axes.set_ylabel(ylabel, fontsize=10)
    axes.tick_params(labelsize=9.5, color=QUIET)
    axes.grid(True, color="#e5e7eb", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)


def show_image(axes: Any, image: np.ndarray, **options: Any) -> None:
    """Draws an image without frame or ticks.

    Args:
      axes: where.
      image: uint8, or float in [0, 1], (h, w, 1 | 3).
      **options: of imshow, such as extent.
    """
    image = np.asarray(image)
    image = image / 255 if image.dtype == np.uint8 else image.astype(np.float32)
    look = {"cmap": "gray", "vmin": 0, "vmax": 1, "interpolation": "nearest", **options}
    axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, **look)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def log_scale(axes: Any, *, beyond: float) -> None:
    """A log axis where the lines' numbers, none below zero, span more than `beyond` times; zeros leave a hole there."""
    lines = [np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines]
    y = np.concatenate(lines) if lines else np.zeros(0)
    y = y[np.isfinite(y) & (y != 0)]
    if y.size and 0 < beyond * y.min() < y.max():
        axes.set_yscale("log", nonpositive="mask")


def cut_spikes(axes: Any) -> None:
    """Where a few numbers of the lines lie far above all others, the axis ends below them, and a word says so.

    Far is ten times the 90th percentile, so that one spike among a dozen numbers is one. Lines with numbers below zero
    and logarithmic axes stay as they are.
    """
    lines = [np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines]
    y = np.concatenate(lines) if lines else np.zeros(0)
    y = y[np.isfinite(y)]
    if axes.get_yscale() == "log" or not y.size or y.min() < 0:
        return
    usual = np.percentile(y, 90)
    if y.max() > 10 * usual > 0:
        axes.set_ylim(bottom=0, top=2 * usual)
        words = f"cut off: up to {y.max():.3g}"
        axes.text(0.5, 0.98, words, transform=axes.transAxes, ha="center", va="top", fontsize=9, color=QUIET)


def shortened(text: str, *, limit: int) -> str:
    """One line of at most `limit` characters; one that was longer ends in an ellipsis."""
    text = " ".join(shown(text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def literal(text: str, *, limit: int = 60) -> str:
    """One line of at most `limit` characters that matplotlib's mathtext will not read: `$` is escaped."""
    return shortened(text, limit=limit).replace("$", r"\$")


def folded(figure: Figure, text: str) -> str:
    """The lines of a text in small print, folded to the width of a figure."""
    width = round(CHARACTERS * figure.get_figwidth())
    fold = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)  # paths stay whole
    return "\n".join(literal(row, limit=200) for line in text.splitlines() for row in fold.wrap(line))


def write_note(figure: Figure, text: str) -> None:
    """Says below the axes of a figure how to read them."""
    figure.supxlabel(folded(figure, text), fontsize=7.5, color=QUIET, x=0.01, ha="left")


def others(count: int) -> str:
    """What a legend says of classes without a colour of their own."""
    return f"{count} other{'s' * (count > 1)}"


def style(index: int) -> dict:
    """Colour and line style of the index-th line: 28 that differ, then round again."""
    cycle = len(PALETTE)
    return {"color": PALETTE[index % cycle], "linestyle": LINE_STYLES[index // cycle % len(LINE_STYLES)]}


def png_bytes(figure: Figure) -> bytes:
    """The figure as PNG at 150 dpi, its margins cut; equal figures give equal bytes (no date, no version inside)."""
    buffer = io.BytesIO()
    _save(figure, buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def save_figure(figure: Figure, path: str | os.PathLike[str], *, description: str | None = None) -> None:
    """Writes the figure at 150 dpi, its margins cut; the suffix names the format, a missing folder is made.

    A description goes into a PNG as its text chunk "Description".
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = description and path.suffix.lower() == ".png"
    with replaced(path) as temporary:
        _save(figure, temporary, **({"metadata": {"Description": description}} if kept else {}))


def _save(figure, target, **options):
    with warnings.catch_warnings():
        # A class name in a script that DejaVu Sans lacks is drawn as boxes; the page's tables have it in full.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(target, dpi=DPI, bbox_inches="tight", pad_inches=0.06, **options)
