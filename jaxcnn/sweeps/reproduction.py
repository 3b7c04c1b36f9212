"""What became of each published result: read from the runs that are there or from the committed record."""

import collections
import csv
import dataclasses
import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxcnn.errors import InputError, nearest
from jaxcnn.files import read_json, write_text
from jaxcnn.shipped import ROOT
from jaxcnn.sweeps.papers import PAPERS, Paper
from jaxcnn.sweeps.results import gather
from jaxcnn.sweeps.runner import read_runs
from jaxcnn.sweeps.statistics import NO_DIFFERENCE, NOT_DECIDED, REFUTED, SUPPORTED, mean_interval
from jaxcnn.sweeps.study import Study, load_study
from jaxcnn.sweeps.summary import command_of
from jaxcnn.sweeps.verdicts import findings
from jaxcnn.training.rundir.environment import last_start

RECORDS = ROOT / "experiments" / "results"
LOWER = ("error", "squared error")  # quantities of the ledger that are better where they are lower
HEADER = ("name", "published", "ours (95 % interval)", "n", "verdict", "core-minutes")


class Found(NamedTuple):
    """What a paper's runs, or its record, hold.

    Attributes:
      n: runs of its cell, or pairs of its claim.
      value: their mean, or the claim's estimate, in the printed unit; None where there are none.
      interval: 95 % of it, or None.
      said: the verdict of the study's claim, "" of a number.
      unit: of a claim's estimate, "" of a number, whose unit the ledger has.
      folder: that they were read from; None without any.
    """

    n: int = 0
    value: float | None = None
    interval: tuple | None = None
    said: str = ""
    unit: str = ""
    folder: pathlib.Path | None = None


def papers_of(names: Sequence[str]) -> list[Paper]:
    """The Papers of these names, all without any; InputError names the nearest of one that is not there."""
    known = {paper.name: paper for paper in PAPERS}
    for name in names:
        if name not in known:
            raise InputError(f"there is no published result '{name}'; {nearest(name, known)}")
    return [known[name] for name in names] if names else list(PAPERS)


def study_of_paper(paper: Paper) -> tuple[Study, str]:
    """(The Study that meets a paper with the seeds that it takes, its docstring)."""
    study, docstring = load_study(paper.study, paper.scale or None)
    return dataclasses.replace(study, seeds=study.seeds[: paper.seeds]), docstring


def find(paper: Paper, workdir: pathlib.Path, records: pathlib.Path = RECORDS) -> Found:
    """Found of the runs in workdir/STUDY or of the record, whichever has more; of the runs where they have as many."""
    places = (trained(paper, workdir), _record(paper, records / paper.folder))
    return max(places, key=lambda found: found.n)


def trained(paper: Paper, workdir: pathlib.Path) -> Found:
    """Found of the runs in workdir/STUDY alone."""
    folder = workdir / paper.runs
    if paper.script or paper.difference or paper.table != "results.csv" or not folder.is_dir():
        return _record(paper, folder)
    study, _ = study_of_paper(paper)
    results, left = read_runs(study, folder)
    if paper.claim:
        return _of_claim(paper, findings(study, gather(study, results, left)), folder)
    rows = [
        {"cell": run.cell, **{name: value for name, value in results[run.id].values.items() if value is not None}}
        for run in study.runs()
        if results[run.id]
    ]
    return _of_rows(paper, rows, folder)


def _record(paper: Paper, folder: pathlib.Path) -> Found:
    """Found of the tables that a sweep or a script has left in a folder."""
    if paper.difference:
        path = folder / "summary.json"
        compared = read_json(path)["comparisons"].get(paper.difference) if path.exists() else None
        return _of_difference(compared, folder) if compared else Found()
    if paper.claim:
        path = folder / "verdicts.json"
        return _of_claim(paper, read_json(path), folder) if path.exists() else Found()
    path = folder / paper.table
    if not path.exists():
        return Found()
    with path.open(newline="", encoding="utf-8") as file:
        return _of_rows(paper, list(csv.DictReader(file)), folder)


def _of_rows(paper: Paper, rows: list[dict], folder: pathlib.Path) -> Found:
    own = [row for row in rows if all(row.get(key) == value for key, value in paper.where.items())]
    values = [
        _in_unit(float(row[paper.column]), paper.percent) for row in own if row.get(paper.column) not in (None, "")
    ]
    if not values:
        return Found()
    return Found(len(values), float(np.mean(values)), mean_interval(np.asarray(values)), folder=folder)


def _in_unit(value: float, percent: str) -> float:
    return {"wrong": 100 * (1 - value), "share": 100 * value, "": value}[percent]


def _of_claim(paper: Paper, findings: dict, folder: pathlib.Path) -> Found:
    """Of what a study has found: shares of one in points."""
    claim = next((claim for claim in findings["claims"] if claim["text"] == paper.claim), None)
    if claim is None or not claim["n"]:
        return Found()
    metric = findings["metrics"][claim["metric"]]
    times, unit = (100, "points") if metric["unit"] == "points" else (1, "times" if metric["ratio"] else metric["unit"])
    interval = tuple(times * edge for edge in claim["interval"]) if claim["interval"] else None
    return Found(claim["n"], times * claim["estimate"], interval, claim["verdict"], unit, folder)


def _of_difference(compared: dict, folder: pathlib.Path) -> Found:
    """Of a comparison of accuracies: decided where its interval leaves out zero."""
    interval, said = None, NOT_DECIDED
    if compared["interval"]:
        low, high = interval = tuple(100 * edge for edge in compared["interval"])
        said = SUPPORTED if low > 0 else REFUTED if high < 0 else NOT_DECIDED
    return Found(compared["n"], 100 * compared["difference"], interval, said, "points", folder)


def verdict(paper: Paper, found: Found) -> str:
    """A result in words: "missing", "2 of 3 runs: ...", "met", "met, within the interval", "missed by ...".

    A number is met where ours, rounded as it is printed, is at least as good, or where our interval holds it. A claim
    is met where the study supports it, of two that are alike where it finds no difference that matters; missed where it
    says another thing; or "not decided". One run has no interval, and the verdict says so.
    """
    if found.value is None:
        return "missing"
    words = _of_number(paper, found.value, found.interval) if paper.entry else _of_words(paper, found)
    words += ", n = 1: no interval" if found.n == 1 and paper.seeds else ""
    return words if found.n >= paper.seeds else f"{found.n} of {paper.seeds} runs: {words}"


def _of_number(paper: Paper, value: float, interval: tuple | None) -> str:
    printed, lower = _printed(paper), paper.number.quantity in LOWER
    rounded = round(value, _digits(paper))
    if rounded <= printed if lower else rounded >= printed:
        return "met"
    if interval and interval[0] <= printed <= interval[1]:
        return "met, within the interval"
    return f"missed by {abs(value - printed):.{max(_digits(paper), 2)}f}"


def _digits(paper: Paper) -> int:
    """How many digits are printed behind the point."""
    return len(paper.number.printed.partition(".")[2])


def _printed(paper: Paper) -> float:
    value = paper.number.value
    return value[0] if isinstance(value, tuple) else value


def _of_words(paper: Paper, found: Found) -> str:
    if found.said == NOT_DECIDED:
        return NOT_DECIDED
    if paper.alike:
        return "met" if found.said == NO_DIFFERENCE else "missed: there is a difference"
    return "met" if found.said == SUPPORTED else f"missed: {found.said}"


def row(paper: Paper, found: Found) -> tuple[str, ...]:
    """The row of HEADER of a paper."""
    cost = f"{paper.minutes:g}{'' if paper.measured else ' (estimated)'}"
    return paper.name, published(paper), ours(paper, found), str(found.n), verdict(paper, found), cost


def published(paper: Paper) -> str:
    """The printed number with its unit, or the claim, or that there is no difference."""
    if paper.number is None:
        return f"No difference: {paper.claim}" if paper.alike else paper.claim
    units = {"error": " %", "PSNR": " dB", "factor": " times"}
    return f"{paper.number.printed}{units.get(paper.number.quantity, '')}"


def ours(paper: Paper, found: Found) -> str:
    """ "1.23 (1.18 to 1.28)", a number with two digits behind the point or as many as are printed; "-" of nothing."""
    if found.value is None:
        return "-"
    form = f".{max(_digits(paper), 2)}f" if paper.entry else ".3g"
    low_high = f" ({found.interval[0]:{form}} to {found.interval[1]:{form}})" if found.interval else ""
    return f"{found.value:{form}}{low_high} {'' if paper.entry else found.unit}".rstrip()


def write_page(found: Sequence[tuple[Paper, Found]], path: pathlib.Path) -> None:
    """Writes papers.md: what each paper prints and what was found; below it each study's command, commit and device."""
    studies: dict[str, list[tuple[Paper, Found]]] = {}
    for paper, one in found:
        studies.setdefault(paper.runs, []).append((paper, one))
    lines = [PAGE, *(_page_row(paper, one) for paper, one in found), "", HOW]
    for name, results in studies.items():
        lines += ["", f"### {name}", "", *_section(results, path.parent)]
    write_text(path, "\n".join(lines) + "\n")


COLUMNS = ("result", "published", "ours", "n", "verdict", "minutes of a core")
PAGE = f"""# Papers at their own scale

Published results that a few cores can pay for, with ours beside them. `python -m jaxcnn reproduce` writes this page; a
published number is that of the ledger (`audit`). Ours is the mean over n runs, or the estimate of a claim, with its
95 % interval. *Met*: ours, rounded as the paper rounds, is at least as good, or our interval holds the paper's number;
*missed by* says by how much. One run has no interval. A result leads to its study: the protocol, and what in it is not
the paper's, the runs, their command, commit and device. Runs that several results share count in the minutes of each.

| {" | ".join(COLUMNS)} |
|{"---|" * len(COLUMNS)}"""

HOW = """Train what is missing, or any result by its name; the same command resumes:

```bash
TFDS_DATA_DIR=DIR python -m jaxcnn reproduce --run
TFDS_DATA_DIR=DIR python -m jaxcnn reproduce --run lenet5 dropout-relu --jobs 2
```

## The studies"""


def _page_row(paper: Paper, found: Found) -> str:
    name, number, *rest = row(paper, found)
    number = f"{number} ({paper.number.source if paper.number else paper.source})"
    return "| " + " | ".join([f"[{name}](#{paper.runs})", number, *rest]) + " |"


def _section(results: list[tuple[Paper, Found]], folder: pathlib.Path) -> list[str]:
    """What is said of a study: its files that are there, the protocol of each result, and where the runs come from."""
    paper, found = max(results, key=lambda result: result[1].n)
    about = origin(found.folder) if found.folder else {}
    script = f"python experiments/{paper.runs}.py {paper.script}" if paper.script else _sweep(paper)
    files = {"what was found": f"{paper.folder}/README.md", "runs": f"{paper.folder}/{paper.table}"}
    links = [f"[{text}]({file})" for text, file in files.items() if (folder / file).exists()]
    said = {
        "command": f"`{about.get('command') or script}`",
        "commit": about.get("commit", ""),
        "device": about.get("device", ""),
    }
    return [
        ", ".join([f"[study](../{paper.runs}.py)", *links]),
        "",
        *(f"- {one.name}: {one.number.data if one.number else one.data}; {one.protocol}" for one, _ in results),
        *(f"- {name}: {text}" for name, text in said.items() if text),
    ]


def _sweep(paper: Paper) -> str:
    scale = f" --scale {paper.scale}" if paper.scale else ""
    return f"python -m jaxcnn sweep experiments/{paper.runs}.py{scale} --workdir runs/papers/{paper.runs}"


def origin(folder: pathlib.Path) -> dict[str, str]:
    """{"command", "commit", "device"} of a sweep's runs, of a record's README.md, or of a script's summary.json."""
    starts = [last_start(path.parent) for path in folder.glob("*/environment.json")]
    if starts:
        return _most([start for start in starts if start])
    kept = read_json(folder / "summary.json") if (folder / "summary.json").exists() else {}
    if "environment" in kept:
        return _most([kept["environment"]])
    for name in ("README.md", "summary.md"):
        if (folder / name).exists():
            text = (folder / name).read_text(encoding="utf-8")
            lines = re.findall(r"^- (command|commit|device): (.*) \(\d+ runs\)$", text, re.MULTILINE)
            return {key: value.strip("`") for key, value in reversed(lines)}
    return {}


def _most(starts: list[dict]) -> dict[str, str]:
    """What most starts say."""

    def common(values: list[str]) -> str:
        return collections.Counter(values).most_common(1)[0][0] if values else ""

    return {
        "command": common([command_of(start["command"]) for start in starts]),
        "commit": common([str(start["git_commit"])[:9] for start in starts]),
        "device": common([f"{', '.join(start['devices'])} ({start['cpu']})" for start in starts]),
    }
