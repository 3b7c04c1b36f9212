"""The sections of a report on a network that gives images any number of labels: examples, and scores by label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxcnn.visualize import page
from jaxcnn.visualize.history import number
from jaxcnn.visualize.texts import texts_section

if TYPE_CHECKING:
    from jaxcnn.visualize.page import Html
    from jaxcnn.visualize.report import RunReport


COLUMNS = {"average precision": "average_precision", "precision": "precision", "recall": "recall", "F1": "f1"}


def by_label(run: RunReport) -> Html | None:
    """A table of the scores of each label at the last evaluation that has them; None without one."""
    row, split = run.last_with("by_label")
    if not row:
        return None
    lines = [
        (name, page.whole(own["n"]), *(page.percent(own[key]) for key in COLUMNS.values()))
        for name, own in sorted(row["by_label"].items(), key=lambda item: number(item[1], "average_precision"))
    ]
    words = f"{split}, {page.whole(row['n'])} images; the lowest average precision first."
    header = ("label", "images", *COLUMNS)
    table = page.table(header, lines, numeric=range(1, len(header)))
    return page.join(page.element("p", words, class_="quiet"), table)


SECTIONS = (("Labels", texts_section), ("Scores by label", by_label))
