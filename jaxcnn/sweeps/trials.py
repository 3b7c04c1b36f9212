"""The results of a search: its trials as rows, its best trial on the test split, its report."""

from __future__ import annotations

import csv
import pathlib
from typing import TYPE_CHECKING, Any

from jaxcnn.evaluation.trained import Trained
from jaxcnn.files import replaced, write_text
from jaxcnn.quantity import amount, heading
from jaxcnn.sweeps.metrics import HELD_OUT
from jaxcnn.sweeps.results import how_to_repeat
from jaxcnn.training.rundir.environment import environment
from jaxcnn.training.rundir.evaluations import read_evaluations
from jaxcnn.visualize.search_report import search_report

if TYPE_CHECKING:
    from jaxcnn.sweeps.search import Search


FOLDER = "folder"  # attribute of a trial: its run directory, which a second start of a broken-off trial resumes


def trial_rows(study: Any) -> list[dict[str, Any]]:
    """The trials of an Optuna study in the order they were drawn, those that were drawn again left out.

    Returns:
      List of dicts: "trial" (its folder), "state" (done, pruned, failed), "held_out" (its measure on held-out images,
      None without), "values" {key: value} and "error".
    """
    rows = []
    for trial in study.get_trials(deepcopy=False):
        error = trial.user_attrs.get("error", "")
        state = "done" if trial.state.name == "COMPLETE" else "failed" if error else "pruned"
        if trial.state.name in ("COMPLETE", "PRUNED"):
            last = trial.value if state == "done" else trial.intermediate_values.get(trial.last_step)
            rows.append(
                {
                    "trial": trial.user_attrs[FOLDER],
                    "state": state,
                    "held_out": last,
                    "values": trial.params,
                    "error": error,
                }
            )
    return rows


def write_search(search: Search, study: Any, workdir: pathlib.Path, *, title: str, docstring: str) -> None:
    """Writes trials.csv and report.html into workdir, after one look at the test split with the best trial."""
    rows = trial_rows(study)
    done = [row for row in rows if row["state"] == "done"]
    test = _test(workdir / search.best(done, _held_out)["trial"]) if done else None
    name, measure = search.measure
    with replaced(workdir / "trials.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["trial", "state", HELD_OUT + name, *search.space, "error"])
        for row in rows:
            values = [row["values"][key] for key in search.space]  # a storage may give them in another order
            writer.writerow([row["trial"], row["state"], row["held_out"], *values, row["error"]])
    text = search_report(
        title or workdir.name,
        docstring=docstring,
        command=how_to_repeat(),
        measure=measure,
        trials=rows,
        scales={key: space.scale for key, space in search.space.items()},
        test=test and {"n": test["n"], "value": test[name]},
        environment=environment(),
    )
    write_text(workdir / "report.html", text)


def _test(folder):
    """The evaluation of a trial on the test split, made where nobody made it; None for a set without one."""
    trained = Trained(folder)
    if not trained.config.data.test:
        return None
    found = (row for row in read_evaluations(folder) if row["split"] == "test" and row["step"] == trained.step)
    return next(found, None) or trained.evaluate("test")[1]


def _held_out(row):
    return row["held_out"]


def best_trials(search: Search, study: Any, *, count: int = 10) -> tuple[tuple[str, ...], list[Any]]:
    """(header, rows) of the best trials, for the terminal."""
    measure, done = search.measure[1]._asdict(), [row for row in trial_rows(study) if row["state"] == "done"]
    done.sort(key=_held_out, reverse=search.direction == "maximize")
    names = [key.rpartition(".")[2] for key in search.space]
    rows = [
        (
            row["trial"],
            amount(row["held_out"], measure),
            *(f"{v:.4g}" if isinstance(v, float) else v for v in (row["values"][key] for key in search.space)),
        )
        for row in done[:count]
    ]
    return ("trial", heading({**measure, "label": f"held-out {measure['label']}"}), *names), rows
