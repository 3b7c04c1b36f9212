"""The verb log: the rows of a run's log."""

from __future__ import annotations

import json
from collections.abc import Callable

from jaxcnn.cli.subjects import check_positive
from jaxcnn.cli.terminal import table

OF_A_ROW = {"learning_rate": "rate", "images_per_second": "images/s"}  # behind the measures: 80 columns hold it


def add(verb: Callable) -> None:
    """Adds this verb; verb(function, name, help) gives its parser."""
    parser = verb(_log, "log", "print the log of a run, or its last rows")
    parser.add_argument("--workdir", required=True, help="the run directory")
    parser.add_argument("--split", choices=("train", "validation"), default=None, help="default: both")
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="only the last row of a split and every N-th before"
    )
    parser.add_argument("--tail", type=int, default=None, metavar="N", help="only the last N rows")
    parser.add_argument("--json", action="store_true", help="print the rows as they are, an object a line")


def _log(arguments):
    """Prints the rows of training and of the evaluations on held-out images, of a run that trains or has ended:

      python -m jaxcnn log --workdir RUN --split validation --tail 10
      python -m jaxcnn log --workdir RUN --split train --every 20

    It reads metrics.jsonl alone; --json gives the rows with all that they hold.
    """
    from jaxcnn.files import local_path
    from jaxcnn.training.rundir.about import measures_there
    from jaxcnn.training.rundir.directory import read_config
    from jaxcnn.training.rundir.log import read_metrics

    check_positive(arguments, "every", "tail")
    read_config(arguments.workdir)
    rows = _chosen(read_metrics(local_path(arguments.workdir)), arguments)
    if arguments.json:
        for row in rows:
            print(json.dumps(row))
        return
    _, measures, _ = measures_there(arguments.workdir)
    names = [name for name in (*measures, *OF_A_ROW) if any(_number(row, name) for row in rows)]
    lines = [
        (row["split"], str(row["step"]), f"{row['epoch']:.2f}", *(_number(row, name) for name in names)) for row in rows
    ]
    table(("split", "step", "epoch", *(OF_A_ROW.get(name, name.replace("_", " ")) for name in names)), lines)


def _chosen(rows, arguments):
    """The rows that --split, --every and --tail leave, in the order of the log."""
    seen, kept = {}, []
    for row in reversed([row for row in rows if row.get("split") in ("train", "validation")]):
        if arguments.split in (None, row["split"]):
            number = seen[row["split"]] = seen.get(row["split"], -1) + 1
            if number % arguments.every == 0:
                kept.append(row)
    return kept[: arguments.tail][::-1]


def _number(row, name):
    """ "NaN" where it was not finite, nothing where the row has none."""
    if name in row.get("not_finite", ()):
        return "NaN"
    return "" if row.get(name) is None else f"{row[name]:.4g}"
