"""The report of a study: one HTML page that needs no other file."""

import dataclasses
from typing import Any

import numpy as np

from jaxcnn.quantity import amount, extent, heading, probability
from jaxcnn.tasks import Kind
from jaxcnn.visualize import page
from jaxcnn.visualize.curves import draw_comparison, draw_seeds
from jaxcnn.visualize.effects import draw_effects
from jaxcnn.visualize.history import finite_values, losses, read_history
from jaxcnn.visualize.narrowing import draw_narrowing

VERDICTS = (
    "A claim is supported or refuted where the two-sided p of the paired t test over the seeds, adjusted by Holm's "
    "method for all claims of the study, is below 0.05; else it is not decided. Intervals are those of one comparison "
    "alone. What n can detect is the difference that the test finds four times in five."
)
ANYTIME = (
    "Seeds were added until the claims were decided or the budget ended. The p of a claim is that of an anytime-valid "
    "t test (the right Haar mixture), adjusted by Holm's method for all claims; a verdict is given where it "
    "is below 0.05. Verdicts and intervals of this page hold whenever one stops (docs/statistics.md)."
)
MARGIN = (
    "No difference matters where two one-sided tests, adjusted with the others, show that it lies within the margin of "
    "the claim."
)
NARROWING = (
    "Estimate and 95 % interval of each claim after every pair of runs, in the order of the seeds; dashed: the margin "
    "within which no difference matters."
)
RESULTS = (
    "n counts the runs that have a value; std is the standard deviation of a sample; the interval is Student's, of the "
    "mean: where runs are normal it holds the true mean 95 times in 100. One value has none, nor have equal ones."
)
ANYTIME_RESULTS = (
    "n counts the runs that have a value; std is the standard deviation of a sample; the interval holds the mean of "
    "normal values 95 times in 100 whenever one stops, and needs six."
)
AGAINST = (
    "Differences are this cell minus the baseline, paired by seed. p: paired t, sign flip (never below 2 / 2^n), and t "
    "adjusted by Holm's method over the cells of the table; what n can detect is at 0.05 over their number."
)
MCNEMAR = (
    "McNemar's test is of two trained networks, seed by seed, on the same test images: discordant are those that only "
    "this cell, only the baseline has right, summed over seeds; one p is made of the middle one, valid however the "
    "seeds depend on each other."
)
EFFECTS = (
    "Mean over the seeds of each level, averaged over the levels of the other factors; the bar is its 95 % interval. "
    "Levels share their seeds: whether two differ is told by a paired comparison, not by bars that overlap."
)


@dataclasses.dataclass(frozen=True, eq=False)
class Cell:
    """One cell of a study; seeds, values and rows are of the finished runs, one entry each, in one order.

    Attributes:
      name, levels: "activation=tanh" and {factor: level}.
      seeds: their seeds.
      values: {metric: [float or None, ...]}.
      tested: {seed: (what identifies its test images, positions of those it has wrong or None)}.
      left: its runs without a result, a line each: "id: waiting", "id: failed: why".
      rows: the rows of metrics.jsonl of each.
      cost: {"parameters", "macs"} of the network; empty where no run is finished.
    """

    name: str
    levels: dict
    seeds: list[int]
    values: dict[str, list]
    tested: dict
    left: list[str]
    rows: list[list[dict]]
    cost: dict

    def of_seed(self, metric: str) -> dict[int, Any]:
        """{seed: value} of the seeds that have one."""
        pairs = zip(self.seeds, self.values[metric], strict=True)
        return {seed: value for seed, value in pairs if value is not None}


@dataclasses.dataclass(frozen=True, eq=False)
class StudyReport:
    """The content of the report of a study.

    `docstring` states claim and protocol, `command` runs it again, `found` is what jaxcnn.sweeps.verdicts.findings says
    of the cells, `kind` is the Kind of the runs' task and `metrics` {name: Measure, with a label} of all values of the
    cells, among them test_NAME, validation_NAME and train_NAME of the Kind's measures.
    """

    title: str
    docstring: str
    command: str
    cells: list[Cell]
    found: dict
    environment: dict
    kind: Kind
    metrics: dict

    @property
    def test(self) -> str:
        """The name of the metric that the study is about."""
        return f"test_{self.kind.main}"

    @property
    def held_out(self) -> str:
        """The name of the same metric on held-out images."""
        return f"validation_{self.kind.main}"

    @property
    def moved(self) -> str:
        """The name of the measure that training moves: the loss, of a game its first player's."""
        return next(iter(losses(self.kind.measures)), self.kind.main)


def study_report(study: StudyReport) -> str:
    """The HTML page of a study: verdicts, then every cell in the order given; no cell is set apart as best."""
    done, left = sum(len(cell.seeds) for cell in study.cells), sum(len(cell.left) for cell in study.cells)
    runs = f"{done} of {done + left} runs have a result" if left else f"{done} runs"
    return page.page(
        study.title,
        subtitle=f"jaxcnn study, {len(study.cells)} cells, {runs}",
        sections=[
            ("Verdicts", _verdicts(study.found)),
            ("Claim and protocol", page.element("pre", study.docstring.strip()) if study.docstring.strip() else None),
            ("Results", _results(study)),
            ("Against the baseline", _comparisons(study.found)),
            ("Effects", _effects(study.found)),
            ("Curves", _curves(study)),
            ("Cost", _cost(study)),
            ("Every run", _every_run(study)),
            ("How to repeat", page.element("pre", study.command) if study.command else None),
            ("Environment", page.folded("entries", study.environment)),
        ],
    )


def _verdicts(found):
    claims = found["claims"]
    if not claims:
        return None
    table = page.table(("claim", "verdict"), [(claim["text"], claim["sentence"]) for claim in claims])
    words = [VERDICTS if found["fixed"] else ANYTIME, *([MARGIN] if any(c["margin"] for c in claims) else [])]
    return page.join(table, page.element("p", " ".join(words), class_="quiet"), _narrowing(found))


def _narrowing(found):
    claims = [claim for claim in found["claims"] if len(claim["path"]) > 1]
    if not claims:
        return None
    drawn = draw_narrowing(claims, found["metrics"])
    return page.figure(drawn, "The interval of every claim as it narrowed", caption=NARROWING)


def _results(study):
    if not study.cells:
        return page.element("p", "This study has no cells.", class_="quiet")
    metrics = {**study.found["metrics"], study.held_out: _described(study.metrics[study.held_out])}
    left = [(cell.name, run) for cell in study.cells for run in cell.left]
    return page.join(
        page.element("p", RESULTS if study.found["fixed"] else ANYTIME_RESULTS, class_="quiet"),
        *(_scores(study.found["cells"], name, metric, name == study.test) for name, metric in metrics.items()),
        page.element("h3", "Runs without a result") if left else None,
        page.table(("cell", "run"), left) if left else None,
    )


def _described(measure):
    return {**measure._asdict(), "ratio": measure.log}


def _scores(cells, name, metric, main):
    """The table of one metric; a paper's figure stands beside the one that the study is about."""
    paper = main and any(cell["paper"] for cell in cells)
    lines = []
    for cell in cells:
        found = cell["metrics"][name]
        numbers = (amount(found["mean"], metric), amount(found["std"], metric), extent(found["interval"], metric))
        lines.append((cell["cell"], found["n"], *numbers, *(_paper(cell["paper"]) if paper else ())))
    header = ("cell", "n", "mean", "std", "95 % interval", *(("paper", "what it is") if paper else ()))
    return page.join(page.element("h3", heading(metric)), page.table(header, lines, numeric=range(1, 5 + paper)))


def _paper(figure):
    return (page.compact(figure[0]), figure[1]) if figure else (None, None)


def _comparisons(found):
    tables = []
    for name, rows in found["comparisons"].items():
        if rows:
            metric = found["metrics"][name]
            tables += [page.element("h3", heading(metric)), _against(rows, metric)]
    if not tables:
        return None
    tested = any(row["mcnemar"] for rows in found["comparisons"].values() for row in rows)
    words = f"The baseline is {found['baseline']}. {AGAINST}{' ' + MCNEMAR if tested else ''}"
    return page.join(page.element("p", words, class_="quiet"), *tables)


def _against(rows, metric):
    scale = {"unit": ""} if metric["ratio"] else metric
    tested = any(row["mcnemar"] for row in rows)
    lines = [
        (
            row["cell"],
            row["n"],
            amount(row["estimate"], scale),
            extent(row["interval"], scale),
            *(probability(row[key]) for key in ("p_t", "p_sign_flip", "p_holm")),
            amount(row["smallest_detectable"], scale),
            *(_mcnemar(row["mcnemar"]) if tested else ()),
        )
        for row in rows
    ]
    unit = metric["unit"] and ", " + metric["unit"]
    estimate = "ratio" if metric["ratio"] else f"difference{unit}"
    header = ("cell", "pairs", estimate, "95 % interval", "p, t", "p, sign flip")
    header += ("p, Holm", "n can detect", *(("discordant", "p, McNemar") if tested else ()))
    return page.table(header, lines, numeric=range(1, len(header)))


def _mcnemar(found):
    if not found:
        return "n/a", "n/a"
    only = (sum(seed[side] for seed in found["seeds"]) for side in ("only_first", "only_second"))
    return " : ".join(map(page.whole, only)), probability(found["p"])


def _effects(found):
    drawn = [
        page.figure(draw_effects(effects, found["metrics"][name]), f"{heading(found['metrics'][name])} of every level")
        for name, effects in found["effects"].items()
        if effects
    ]
    return page.join(*drawn, page.element("p", EFFECTS, class_="quiet")) if drawn else None


def _curves(study):
    curves = {cell.name: cell.rows for cell in study.cells}  # those without rows too: a cell has one colour
    seeds = {cell.name: cell.values[study.test] for cell in study.cells}
    drawn, test, held_out = [], study.metrics[study.test], study.metrics[study.held_out]
    if any(finite_values(values).size for values in seeds.values()):
        words, caption = f"{_capital(test.label)} of every run, by cell", "Each dot a run; the tick is the mean."
        drawn.append(page.figure(draw_seeds(seeds, measure=test), words, caption=caption))
    if any(any(runs) for runs in curves.values()):
        splits = (read_history(rows).split for runs in curves.values() for rows in runs)
        split = next(filter(None, splits), "validation")
        comparison = draw_comparison(curves, kind=study.kind, names=(study.kind.main, study.moved), split=split)
        words = f"{_capital(held_out.label)} and train {study.moved} by epoch, by cell"
        drawn.append(page.figure(comparison, words))
    return page.join(*drawn)


def _capital(words):
    return words[:1].upper() + words[1:]


def _cost(study):
    lines = []
    for cell in study.cells:
        means = [_mean(cell.values[name]) for name in ("steps", "seconds", "images_per_second")]
        words = page.whole(means[0]), page.duration(means[1]), page.whole(means[2])
        lines.append((cell.name, page.whole(cell.cost.get("parameters")), page.whole(cell.cost.get("macs")), *words))
    header = ("cell", "parameters", "multiply-adds of an image", "steps", "training time", "images/s")
    words = "Means over the runs. Time is that of training steps: compilation and evaluation are left out."
    return page.join(page.element("p", words, class_="quiet"), page.table(header, lines, numeric=range(1, 6)))


def _mean(values):
    values = finite_values(values)
    return float(np.mean(values)) if values.size else None


def _every_run(study):
    scored = (study.test, study.held_out, f"train_{study.moved}")
    lines = []
    for cell in study.cells:
        for seed, *values in zip(
            cell.seeds, *(cell.values[name] for name in (*scored, "steps", "seconds")), strict=True
        ):
            *scores, steps, seconds = values
            words = (page.measured(score, study.metrics[name]) for name, score in zip(scored, scores, strict=True))
            lines.append((cell.name, seed, *words, page.whole(steps), page.duration(seconds)))
    if not lines:
        return None
    header = ("cell", "seed", *(study.metrics[name].label for name in scored), "steps", "time")
    return page.details(f"{len(lines)} runs", page.table(header, lines, numeric=range(1, 7)))
