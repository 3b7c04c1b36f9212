"""A sweep that adds seeds in rounds to the cells whose claims are open, until all are decided or its budget ends."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import re
import time
from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError
from jaxcnn.files import local_path, read_json, write_json
from jaxcnn.lock import hold
from jaxcnn.quantity import duration
from jaxcnn.sweeps.runner import read_runs, run_study
from jaxcnn.sweeps.verdicts import findings, is_open

if TYPE_CHECKING:
    from jaxcnn.sweeps.study import Study


FILE = "plan.json"
UNITS = {"h": 3600, "m": 60, "s": 1}


def seconds_of(text: str) -> float:
    """3600 * 1.5 of "1.5h", "90m", "1h30m" or "5400s"; InputError for what is no time."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([hms])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise InputError(f"a budget is a time, as 2h, 90m or 1h30m; {text!r} is none.")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def grown(study: Study, workdir: pathlib.Path) -> Study:
    """The study with the seeds that its sweep in workdir has given each cell: its own where none was begun.

    Raises:
      InputError: plan.json is of another study, or damaged.
    """
    return dataclasses.replace(study, until=_read(study, local_path(workdir))["seeds"])


def run_until_decided(
    study: Study, workdir: pathlib.Path, *, budget: float, **options: Any
) -> tuple[Study, list[Any], dict[str, str], str]:
    """Runs a study, then rounds of more seeds for the cells of the claims that are open.

    A round adds a quarter to the pairs of a claim, two at least, and fewer where the budget leaves no time for so many.
    workdir/plan.json keeps the seeds of each cell and the time of each round, so that the same call goes on where it
    ended. A run that failed is tried again by the next call. A round is not begun where its runs, at the mean time of
    those before, would not fit into the budget; one that was begun is ended.

    Args:
      study, workdir: as in `run_study`.
      budget: seconds, of all calls together.
      options: of `run_study`.
    Returns:
      (the study with all its seeds, its Cells, {run id: state of those without a result}, a sentence: why it ended).
    Raises:
      InputError: as in `run_study`; the study has no claims, or plan.json is of another.
    """
    if not study.claims:
        raise InputError("the study has no claims: there is nothing to decide. Leave --until out.")
    workdir, again = local_path(workdir), True
    with hold(workdir, what="sweep"):
        plan = _read(study, workdir)
        while True:
            study = dataclasses.replace(study, until=plan["seeds"])
            cells, unfinished = _round(study, workdir, plan, again=again, **options)
            again, left = False, budget - plan["seconds"]
            found = findings(study, cells)
            claims = [c for c, row in zip(study.claims, found["claims"], strict=True) if _is_open(row, found)]
            if not claims:
                return study, cells, unfinished, _ended(found, plan)
            seeds = _next(study, claims, _run_time(plan, cells), left)
            if seeds is None:
                open_ = f"{len(claims)} claim{'s are' if len(claims) > 1 else ' is'} open"
                words = f"{open_}, and another round does not fit into the {duration(max(left, 0))} that are left"
                return study, cells, unfinished, f"{words} of {duration(budget)}: a larger --budget goes on"
            plan["seeds"] = seeds
            plan["rounds"].append({"seeds": seeds, "open": [claim.text for claim in claims]})
            write_json(workdir / FILE, plan)


def _read(study, workdir):
    """The plan of a sweep, new where it has none: {"first" (the study's own seeds), "seeds", "rounds", "runs" and
    "seconds" (trained, and what they took)}."""
    names = list(study.cells())
    new = {"first": list(study.seeds), "seeds": dict.fromkeys(names, len(study.seeds)), "runs": 0, "seconds": 0.0}
    new["rounds"] = [{"seeds": new["seeds"], "open": [claim.text for claim in study.claims]}]
    if not (workdir / FILE).exists():
        return new
    plan = read_json(workdir / FILE, dict)
    if plan.keys() != new.keys() or not _is_sound(plan):
        raise InputError(f"{workdir / FILE} is damaged. Remove it, and the sweep begins with the seeds of the study.")
    if plan["first"] != new["first"] or list(plan["seeds"]) != names:
        raise InputError(f"{workdir / FILE} is of other cells or seeds than the study's: give another workdir.")
    return plan


def _is_sound(plan):
    """Whether the values of a plan are of the types of a new one's, and no cell has fewer seeds than the study."""
    types = {"first": list, "seeds": dict, "rounds": list, "runs": int, "seconds": int | float}
    if not all(isinstance(plan[key], kind) for key, kind in types.items()):
        return False
    return all(isinstance(n, int) and n >= len(plan["first"]) for n in plan["seeds"].values())


def _round(study, workdir, plan, **options):
    """Trains what is left of a round, and adds its time to the plan, also where it is broken off."""
    before, begin = _done(study, workdir), time.monotonic()
    try:
        return run_study(study, workdir, **options)
    finally:
        plan["runs"] += _done(study, workdir) - before
        plan["seconds"] += time.monotonic() - begin
        write_json(workdir / FILE, plan)


def _done(study, workdir):
    return sum(result is not None for result in read_runs(study, workdir)[0].values())


def _is_open(row, found):
    return is_open(row, found["metrics"][row["metric"]])


def _run_time(plan, cells):
    """Seconds of a run: the mean of those that this sweep has trained, or of the training of those that were there."""
    if plan["runs"]:
        return plan["seconds"] / plan["runs"]
    times = [value for cell in cells for value in cell.values["seconds"] if value is not None]
    return sum(times) / max(len(times), 1)


def _next(study, claims, run_time, left):
    """{cell: seeds} after the next round; None where not one seed more fits into the time left."""
    seeds, levels = study.until, study.cells()
    have = [(cells, min(seeds[cell] for cell in cells)) for cells in (claim.cells(levels) for claim in claims)]
    for part in (1.0, 0.5, 0.0):
        more = dict(seeds)
        for cells, n in have:
            step = max(1, math.ceil(part * max(2, n / 4)))
            more |= {cell: max(more[cell], n + step) for cell in cells}
        if (sum(more.values()) - sum(seeds.values())) * run_time <= left:
            return more
    return None


def _ended(found, plan):
    undecided = [row for row in found["claims"] if row["verdict"] == "not decided"]
    words = f"more seeds would not decide {len(undecided)} of the claims" if undecided else "every claim is decided"
    return f"{words}: {len(plan['rounds'])} rounds, {duration(plan['seconds'])}"
