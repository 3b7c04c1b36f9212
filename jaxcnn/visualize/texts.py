"""The section of a report on a network that reads or writes: images with their true texts and its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jaxcnn.visualize.examples import LARGEST, example_png
from jaxcnn.visualize.page import Html, element, image, join

if TYPE_CHECKING:
    from jaxcnn.visualize.report import RunReport


def texts_section(run: RunReport) -> Html | None:
    """A card for each example: the image, the answer, and the true texts below it."""
    if run.written is None or not len(run.written.images):
        return None
    pairs = list(zip(run.written.texts, run.written.references, strict=True))
    right = sum(text in references for text, references in pairs)
    cards = [_card(pixels, *pair) for pixels, pair in zip(run.written.images, pairs, strict=True)]
    words = f"The first images of {run.written.split}: {right} of {len(pairs)} answers are right."
    return join(element("p", words, class_="quiet"), element("div", join(*cards), class_="cards"))


def _card(pixels, text, references):
    small = max(np.shape(pixels)[:2]) < LARGEST
    picture = image(example_png(pixels), text or "nothing", class_="pixels" if small else None)
    verdict = "right" if text in references else "truth:"
    said = [element("div", text or "(nothing)", class_="answer"), element("div", verdict, class_="verdict quiet")]
    return element("div", picture, element("div", *said, *_others(text, references), class_="what"), class_="card")


def _others(text, references):
    return (element("div", reference, class_="quiet") for reference in references if reference != text)


SECTIONS = (("Texts", texts_section),)
