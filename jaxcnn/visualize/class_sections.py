"""The sections of a report that a classifier alone has: predictions, confusion, scores by class, calibration."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from jaxcnn.evaluation.class_scores import class_scores
from jaxcnn.visualize import page
from jaxcnn.visualize.confusion import draw_confusion, most_confused
from jaxcnn.visualize.examples import class_name, example_grids
from jaxcnn.visualize.history import number
from jaxcnn.visualize.reliability import calibration_words, draw_reliability

if TYPE_CHECKING:
    from jaxcnn.visualize.page import Html
    from jaxcnn.visualize.report import RunReport


LOWEST_CLASSES = 40


def predictions(run: RunReport) -> Html | None:
    """Examples with their predictions; None where there are none."""
    return example_grids(run.examples, run.classes) if run.examples else None


def confusion(run: RunReport) -> Html | None:
    """The matrix and the most frequent confusions; None where none were counted."""
    if run.confusion is None or not run.classes:
        return None
    total = int(np.sum(run.confusion))
    drawn = draw_confusion(run.confusion, run.classes)
    caption = f"{run.confusion_split}, {page.whole(total)} images; each row divided by its sum. A click enlarges."
    picture = page.figure(drawn, f"Confusion matrix on {run.confusion_split}", caption=caption)
    pairs = [
        (class_name(run.classes, i), class_name(run.classes, j), count, page.percent(share, 1))
        for i, j, count, share in most_confused(run.confusion)
    ]
    if not pairs:
        return picture
    header = ("true class", "predicted class", "images", "of the true class")
    return page.join(picture, page.element("h3", "Most frequent confusions"), page.table(header, pairs, numeric=(2, 3)))


def per_class(run: RunReport) -> Html | None:
    """A bar for each class, the lowest first; None where none were counted."""
    split, entries = _class_accuracies(run)
    if not entries:
        return None
    entries.sort(key=lambda entry: (math.isnan(entry[1]), entry[1]))
    bars = [page.bar(name, accuracy, f"{page.percent(accuracy, 1)} {counts}") for name, accuracy, counts in entries]
    words = page.element("p", f"{split}, {len(entries)} classes, the lowest first.", class_="quiet")
    lowest, rest = bars[:LOWEST_CLASSES], bars[LOWEST_CLASSES:]
    others = page.element("div", *rest, class_="bars")
    return page.join(
        words,
        page.element("div", *lowest, class_="bars"),
        page.details(f"The other {len(rest)} classes", others) if rest else None,
        _scores(run),
    )


def _class_accuracies(run):
    """(split, [(class, accuracy, its counts)]) of the confusion matrix, else of the last evaluation that has them."""
    if run.confusion is not None and run.classes:
        right, seen = np.diagonal(run.confusion).tolist(), np.sum(run.confusion, axis=1).tolist()
        return run.confusion_split, [
            (name, hits / count if count else math.nan, f"({hits:g} of {count:g})")
            for name, hits, count in zip(run.classes, right, seen, strict=True)
        ]
    scored, split = run.last_with("per_class")
    found = scored.get("per_class", {})
    return split, [(name, number(found, name), "") for name in found]


def _scores(run):
    """Balanced accuracy, precision, recall and F1 of the confusion matrix; None where none was counted."""
    if run.confusion is None or not run.classes:
        return None
    found = class_scores(run.classes, run.confusion)
    macro = (f"{name} {page.percent(found[key])}" for name, key in MACRO.items())
    words = f"{', '.join(macro)}: plain means over the classes, on {run.confusion_split}."
    columns = tuple(MACRO.values())[1:]
    lines = [
        (name, page.whole(own["n"]), *(page.percent(own[key]) for key in columns))
        for name, own in found["by_class"].items()
    ]
    header = ("class", "images", *columns[:2], "F1")
    table = page.table(header, lines, numeric=range(1, len(header)))
    return page.join(page.element("p", words), page.details("Precision, recall and F1 of every class", table))


def calibration(run: RunReport) -> Html | None:
    """The reliability diagram and the errors in words; None where no probabilities were seen."""
    if run.calibration is None:
        return None
    split, found, fitted_here = run.calibration
    title = f"{run.name}, {split}, n = {sum(found['images'])}"
    drawn = page.figure(draw_reliability(found, title=title), f"Reliability diagram on {split}")
    words = (page.element("p", text) for text in calibration_words(found, split=split, fitted_here=fitted_here))
    return page.join(drawn, *words)


MACRO = {
    "Balanced accuracy": "balanced_accuracy",
    "macro precision": "precision",
    "macro recall": "recall",
    "macro F1": "f1",
}
SECTIONS = (
    ("Predictions", predictions),
    ("Confusion", confusion),
    ("Accuracy by class", per_class),
    ("Calibration", calibration),
)
