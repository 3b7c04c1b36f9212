"""Photographs with the objects that a network found in them, and these as a file in COCO's layout."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from jaxcnn.evaluation.detected import OUTPUTS, coco_results
from jaxcnn.evaluation.outputs import outputs_of, read_pixels, write_png
from jaxcnn.files import write_text
from jaxcnn.visualize.boxes import Mark, draw_boxes
from jaxcnn.visualize.figure import style

if TYPE_CHECKING:
    from jaxcnn.evaluation.trained import Trained


RESULTS = "detections.json"
LIKELY = 0.5  # the score from which an object is drawn


def write_found(
    trained: Trained,
    paths: Iterable[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    *,
    least_score: float = LIKELY,
) -> list[dict[str, Any]]:
    """Writes image files, and the images below folders, with their objects drawn, at their own size and upright.

    Beside them lies detections.json, see `jaxcnn.evaluation.detected.coco_results`.

    Args:
      trained: a Trained, of a task that finds objects.
      paths: files and folders.
      folder: where they go as PNG files, under their names; made where it is not there.
      least_score: of an object that is drawn; detections.json and the rows have all.
    Returns:
      The rows of `Trained.predict`, with "output" too.
    Raises:
      InputError: the task finds no objects, a path is not there, or two results, or a result and a file that is read,
        would have one name.
    """
    trained.needs(OUTPUTS, "boxes of objects")
    outputs = outputs_of(paths, folder)
    rows = trained.predict(list(outputs))
    for row, (file, output) in zip(rows, outputs.items(), strict=True):
        if "error" not in row:
            likely = [one for one in row.get("objects", ()) if one["score"] >= least_score]
            write_png(output, draw_boxes(read_pixels(file, 3), _marks(likely, trained.classes)))
            row["output"] = str(output)
    found = ",\n".join(json.dumps(one, ensure_ascii=False) for one in coco_results(rows, trained.classes))
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    write_text(pathlib.Path(folder) / RESULTS, f"[\n{found}\n]\n")
    return rows


def _marks(objects, classes):
    return [
        Mark(one["box"], f"{one['label']} {one['score']:.2f}", style(classes.index(one["label"]))["color"])
        for one in objects
    ]
