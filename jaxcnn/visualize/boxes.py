"""Boxes drawn over an image, each with a few words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxcnn.data.fit import with_channels
from jaxcnn.names import shown

FONT = os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")  # which knows most scripts
LINE, LETTER = 220, 30  # parts of the image's shorter side that a line and a letter are
LEAST, MOST = 9, 40  # pixels of a letter
WRITTEN = 96  # pixels of the shorter side from which there are words


class Mark(NamedTuple):
    """A box to draw: edges (x1, y1, x2, y2) in pixels of the image, words beside it, a colour as "#0072B2"."""

    box: tuple
    words: str
    colour: str


def draw_boxes(image: np.ndarray, marks: Sequence[Mark], *, scale: int = 1) -> np.ndarray:
    """Draws boxes over an image, the first on top; their lines lie inside their edges.

    Words stand above their box, or in it where there is no room; in a picture with a side under 96 pixels they would
    cover what they name, and are left out.

    Args:
      image: uint8 (h, w, 1 | 3).
      marks: Marks.
      scale: a whole number by which the image is enlarged, every pixel a square.
    Returns:
      uint8 (scale h, scale w, 3).
    """
    image = with_channels(image, 3).repeat(scale, axis=0).repeat(scale, axis=1)
    canvas = Image.fromarray(image)
    draw, side = ImageDraw.Draw(canvas), min(canvas.size)
    font = ImageFont.truetype(FONT, int(np.clip(side / LETTER, LEAST, MOST)))
    for mark in reversed(marks):
        corners = _pixels(mark.box, scale, canvas.size)
        draw.rectangle(corners, outline=mark.colour, width=max(1, round(side / LINE)))
    for mark in reversed(marks):
        if mark.words and side >= WRITTEN:
            _write(draw, _pixels(mark.box, scale, canvas.size), mark, font, canvas.size)
    return np.asarray(canvas)


def _pixels(box, scale, size):
    """The first and the last pixel (x, y, x, y) of a box in an image of (width, height), as Pillow wants them."""
    first = [min(max(round(edge * scale), 0), side - 1) for edge, side in zip(box[:2], size, strict=True)]
    last = [min(round(edge * scale), side) - 1 for edge, side in zip(box[2:], size, strict=True)]
    return *first, *(max(pair) for pair in zip(first, last, strict=True))


def _write(draw, corners, mark, font, size):
    words = " ".join(shown(mark.words).split())
    left, top, right, bottom = draw.textbbox((0, 0), words, font=font)
    wide, high = right - left + 4, bottom - top + 4
    x, y = min(corners[0], max(size[0] - wide, 0)), corners[1] - high
    y = corners[1] if y < 0 else y
    draw.rectangle((x, y, x + wide - 1, y + high - 1), fill=mark.colour)
    draw.text((x + 2 - left, y + 2 - top), words, fill=_readable(mark.colour), font=font)


def _readable(colour):
    """Black or white, which is told from a ground of this colour."""
    luminance = np.dot(matplotlib.colors.to_rgb(colour), (0.299, 0.587, 0.114))
    return "black" if luminance > 0.5 else "white"
