"""The sections of a report on a network that finds objects: images with truth and answers, mistakes, classes."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from PIL import Image

from jaxcnn.tasks.detection.mistakes import KINDS, MISSED, MISTAKES, surest
from jaxcnn.visualize import page
from jaxcnn.visualize.boxes import Mark, draw_boxes
from jaxcnn.visualize.examples import class_name
from jaxcnn.visualize.history import number

if TYPE_CHECKING:
    from jaxcnn.visualize.page import Html
    from jaxcnn.visualize.report import RunReport


SIDE, LARGEST = 256, 512  # pixels of an image's longer side: enlarged at least to, made smaller at most to
TRUTH, IGNORED, RIGHT, WRONG = "#56B4E9", "#9CA3AF", "#009E73", "#D55E00"
SURE = 0.5  # the least score of an answer that an example shows
EXPLAINED = {
    "localisation": "of the right class, with an IoU of 0.1 to 0.5 with its object, or the object was found before",
    "similar class": "an IoU of 0.1 or more with an object of a class that is alike, such as cat and dog",
    "other class": "an IoU of 0.1 or more with an object of another class",
    "background": "an IoU below 0.1 with every object",
    MISSED: "objects that no detection found, the largest first",
}


def examples(run: RunReport) -> Html | None:
    """The first images with the truth and the answers of at least one half; None where there are none."""
    seen = run.detected
    if seen is None or not seen.examples:
        return None
    words = f"Images of {seen.split} with what was found with a score of {SURE:g} or more: "
    legend = _legend(("right", RIGHT), ("a mistake", WRONG), ("the truth", TRUTH), ("not counted", IGNORED))
    drawn = (_plate(seen, image, _truth(run, image) + _answers(run, image)) for image in seen.examples)
    return page.join(page.element("p", words, legend, class_="quiet"), page.element("div", *drawn, class_="sheet"))


def mistakes(run: RunReport) -> Html | None:
    """The surest mistakes of each kind; None where nothing was looked at."""
    seen = run.detected
    if seen is None:
        return None
    parts = []
    for kind, explained in EXPLAINED.items():
        every = seen.judged.missed if kind == MISSED else seen.judged.kinds == KINDS.index(kind)
        if shown := seen.mistakes[kind]:
            heading = f"{kind[0].upper()}{kind[1:]} ({len(shown)} of {page.whole(every.sum())})"
            parts += [page.element("h3", heading), page.element("p", f"{explained}.", class_="quiet")]
            parts.append(page.element("div", *(_mistake(run, kind, *place) for place in shown), class_="sheet"))
    words = f"In {page.whole(len(seen.positions))} images of {seen.split}"
    if not parts:
        return page.element("p", f"{words}: none.", class_="quiet")
    return page.join(
        page.element("p", f"{words}, the surest of each kind (Hoiem et al. 2012).", class_="quiet"), *parts
    )


def per_class(run: RunReport) -> Html | None:
    """A row a class, the lowest average precision first; None where none was measured and nothing was looked at."""
    scored, split = run.last_with("per_class")
    precisions = [number(scored.get("per_class", {}), name) for name in run.classes]
    if run.detected is None and not any(map(math.isfinite, precisions)):
        return None
    rows = [
        (name, page.percent(ap, 2), *cells)
        for name, ap, cells in zip(run.classes, precisions, _counts(run), strict=True)
    ]
    order = sorted(range(len(rows)), key=lambda place: (math.isnan(precisions[place]), precisions[place]))
    words = f"AP at 0.5 of all of {split}. " if scored else ""
    if run.detected is not None:
        words += (
            f"The other columns are of {page.whole(len(run.detected.positions))} images of {run.detected.split}: the "
            "objects, how many were missed, and the kinds of as many of the surest detections as there are objects."
        )
    header = ("class", "AP at 0.5", *(("objects", MISSED, "right", *MISTAKES) if run.detected is not None else ()))
    table = page.table(header, [rows[place] for place in order], numeric=range(1, len(header)))
    return page.join(page.element("p", words, class_="quiet"), table)


def _counts(run):
    """The cells of each class behind its AP."""
    seen = run.detected
    if seen is None:
        return [()] * len(run.classes)
    table = surest(seen.found, seen.judged, seen.objects, classes=len(run.classes))
    counted = seen.objects.there & ~seen.objects.ignored
    cells = []
    for label, kinds in enumerate(table):
        own = counted & (seen.objects.classes == label)
        of_kind = (kinds[KINDS.index(kind)] for kind in ("right", *MISTAKES))
        cells.append([page.whole(count) for count in (own.sum(), (own & seen.judged.missed).sum(), *of_kind)])
    return cells


def _truth(run, image, *, words=False):
    objects = run.detected.objects
    return [
        Mark(
            objects.boxes[image, place],
            class_name(run.classes, objects.classes[image, place]) if words else "",
            IGNORED if objects.ignored[image, place] else TRUTH,
        )
        for place in objects.there[image].nonzero()[0]
    ]


def _answers(run, image):
    found, kinds = run.detected.found, run.detected.judged.kinds
    places = (found.there[image] & (found.scores[image] >= SURE)).nonzero()[0]
    colours = {"right": RIGHT, "ignored": IGNORED}
    return [_answer(run, image, place, colours.get(KINDS[kinds[image, place]], WRONG)) for place in places]


def _answer(run, image, place, colour):
    found = run.detected.found
    name = class_name(run.classes, found.classes[image, place])
    return Mark(found.boxes[image, place], f"{name} {found.scores[image, place]:.2f}", colour)


def _mistake(run, kind, image, place):
    truth = _truth(run, image, words=True)
    if kind != MISSED:
        return _plate(run.detected, image, [_answer(run, image, place, WRONG), *truth])
    objects = run.detected.objects
    name = class_name(run.classes, objects.classes[image, place])
    return _plate(run.detected, image, [Mark(objects.boxes[image, place], f"{name} missed", WRONG)])


def _plate(seen, image, marks):
    pixels = seen.images[image]
    drawn = Image.fromarray(draw_boxes(pixels, marks, scale=max(1, math.ceil(SIDE / max(pixels.shape[:2])))))
    drawn.thumbnail((LARGEST, LARGEST))
    buffer = io.BytesIO()
    drawn.save(buffer, format="PNG")
    words = f"{seen.split} {seen.positions[image]}"
    picture = page.image(
        buffer.getvalue(), f"{words} with boxes", class_="drawn photographs", width=min(drawn.width, SIDE)
    )
    return page.element("figure", picture, page.element("figcaption", words))


def _legend(*entries):
    parts = [page.element("span", name, style=f"border-bottom: 3px solid {colour}") for name, colour in entries]
    return page.Html(", ".join(parts))


SECTIONS = (("Found objects", examples), ("Surest mistakes", mistakes), ("Average precision by class", per_class))
