"""The verb predict: what a trained network makes of image files."""

from __future__ import annotations

import json
from collections.abc import Callable

from jaxcnn.cli.subjects import of_run
from jaxcnn.cli.terminal import table
from jaxcnn.errors import InputError


def add(verb: Callable) -> None:
    """Adds this verb; verb(function, name, help) gives its parser."""
    parser = verb(_predict, "predict", "label images with a trained network, or describe them as its task does")
    of_run(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files, or folders of images")
    parser.add_argument(
        "--output",
        default=None,
        metavar="DIR",
        help="write there, as PNG: restored images, or the images with their objects drawn, and detections.json",
    )
    parser.add_argument(
        "--least_score",
        type=float,
        default=None,
        metavar="S",
        help="of an object that --output draws and lists; default: 0.5",
    )
    parser.add_argument(
        "--temperature",
        default=None,
        metavar="logged|T",
        help="divide the logits of a classifier by T, or by what its evaluation on the held-out part fitted",
    )


def _predict(arguments):
    """Says what a trained network makes of image files, or of all images below folders: a classifier labels them.

    A network that restores images or finds objects writes images with --output, at their full size and upright, under
    their names: what it restored, or the objects that it found with a score of 0.5 (--least_score) or more, drawn over
    them. Objects of any score are in detections.json beside the images, in the layout of COCO's results, and in --json:

      python -m jaxcnn predict --workdir RUN photographs --output results

    With --temperature the probabilities of a classifier are calibrated, by the temperature that evaluate fitted or by
    one of yours:

      python -m jaxcnn evaluate --workdir RUN --split validation
      python -m jaxcnn predict --workdir RUN photographs --temperature logged

    A file that cannot be read is named in its row; the exit code is 1 then, and 2 where none can be read.
    """
    from jaxcnn.evaluation.detected import detects
    from jaxcnn.evaluation.restored import restore_files
    from jaxcnn.evaluation.trained import Trained

    trained, least = Trained(arguments.workdir, arguments.checkpoint), None
    if arguments.output is not None and arguments.temperature is not None:
        raise InputError("--temperature is of class probabilities, which --output does not write: leave out one.")
    if arguments.least_score is not None and (arguments.output is None or not detects(trained)):
        raise InputError(
            "--least_score is of the objects that --output draws: it needs both, and a network that finds."
        )
    if arguments.output is None:
        predictions = trained.predict(arguments.images, temperature=_temperature(arguments.temperature))
    elif detects(trained):
        from jaxcnn.visualize.found_objects import LIKELY, write_found  # which draw: no other kind waits for them

        least = LIKELY if arguments.least_score is None else arguments.least_score
        predictions = write_found(trained, arguments.images, arguments.output, least_score=least)
    elif "restored" not in trained.outputs():
        raise InputError("--output is for networks that restore images or find objects.")
    else:
        predictions = restore_files(trained, arguments.images, arguments.output)
    failed = [row for row in predictions if "error" in row]
    if len(failed) == len(predictions):
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise InputError(f"no image could be read: {failed[0]['file']}: {failed[0]['error']}{more}")
    if arguments.json:
        print(json.dumps({"predictions": predictions}))
    elif any(row.keys() == {"file", "label", "probabilities"} for row in predictions):
        table(("file", "label", "probability"), [_labelled(row) for row in predictions])
    elif any(row.keys() == {"file", "labels", "probabilities"} for row in predictions):
        table(("file", "labels, with their probabilities"), [_with_labels(row) for row in predictions])
    elif arguments.output is not None and any("objects" in row for row in predictions):
        table(("file", "objects", "written to"), [_found(row, least) for row in predictions])
    elif arguments.output is not None:
        table(("file", "written to", "change (rms, of 255)"), [_restored(row) for row in predictions])
    else:
        table(("file", "prediction"), [_described(row) for row in predictions])
    return int(bool(failed))


def _temperature(text):
    try:
        return text if text in (None, "logged") else float(text)
    except ValueError as error:
        raise InputError(f"--temperature is '{text}'; it is a number above 0, or logged.") from error


def _labelled(row):
    if "error" in row:
        return row["file"], f"not read: {row['error']}", ""
    return row["file"], row["label"], f"{row['probabilities'][row['label']]:.4f}"


def _with_labels(row):
    if "error" in row:
        return row["file"], f"not read: {row['error']}"
    return row["file"], ", ".join(f"{name} {row['probabilities'][name]:.2f}" for name in row["labels"]) or "none"


def _restored(row):
    if "error" in row:
        return row["file"], f"not read: {row['error']}", ""
    return row["file"], row["output"], f"{row['change']:.2f}"


def _found(row, least):
    if "error" in row:
        return row["file"], f"not read: {row['error']}", ""
    objects = ", ".join(f"{one['label']} {one['score']:.2f}" for one in row["objects"] if one["score"] >= least)
    return row["file"], objects or "none", row.get("output", "")


def _described(row):
    if "error" in row:
        return row["file"], f"not read: {row['error']}"
    return row["file"], json.dumps({key: value for key, value in row.items() if key != "file"}, ensure_ascii=False)
