"""The section of a report on a network that restores images: what it got, made of it, and should have made of it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from jaxcnn.visualize import page

if TYPE_CHECKING:
    from jaxcnn.visualize.page import Html
    from jaxcnn.visualize.report import RunReport


SIDE = 176  # pixels of an image's longer side, at least, where it is enlarged
GAP = 4  # white pixels between images
GAIN = 4  # times that a difference is enlarged, around grey


def restorations(run: RunReport) -> Html | None:
    """A row for each example: input, output, target, and four times output - target around grey."""
    if run.restored is None or not len(run.restored.given):
        return None
    words = f"Images of {run.restored.split}. From the left: input, output, target, and {GAIN} times the difference "
    return page.plate(
        _png(contact_sheet(run.restored)),
        "input, output, target and difference of restored images",
        caption=f"{words}of output and target (grey: none).",
        class_="drawn photographs",
    )


def contact_sheet(restored: Any) -> np.ndarray:
    """The same rows as one picture.

    Args:
      restored: a Restored of one image or more.
    Returns:
      uint8 (height, width, c), or (height, width) of grey images.
    """
    rows = [_row(*images) for images in zip(*restored[1:], strict=True)]
    sheet = np.concatenate([part for row in rows for part in (row, np.full((GAP, *row.shape[1:]), 255, np.uint8))])
    return sheet[:-GAP, :, 0] if sheet.shape[-1] == 1 else sheet[:-GAP]


def _row(given, restored, target):
    difference = np.clip(128 + GAIN * (restored.astype(np.int32) - target), 0, 255).astype(np.uint8)
    pictures = [_enlarged(image) for image in (given, restored, target, difference)]
    space = np.full((len(pictures[0]), GAP, pictures[0].shape[2]), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, space)]
    return np.concatenate(parts[:-1], axis=1)


def _enlarged(image):
    """Small images with every pixel as a square, so that it is seen as it is."""
    times = max(1, SIDE // max(image.shape[:2]))
    return image.repeat(times, axis=0).repeat(times, axis=1)


def _png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


SECTIONS = (("Restored images", restorations),)
