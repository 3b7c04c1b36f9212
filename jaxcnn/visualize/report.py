"""The report of one run: an HTML page that needs no other file."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from jaxcnn.analysis.proportion import wilson_interval
from jaxcnn.evaluation.detected import Detected
from jaxcnn.evaluation.restored import Restored
from jaxcnn.evaluation.written import Written
from jaxcnn.tasks import CLASSIFICATION, Kind
from jaxcnn.training.selection import OF_IMAGES, few_images
from jaxcnn.visualize import class_sections, detection_sections, label_sections, latent, page, restorations, texts
from jaxcnn.visualize.curves import draw_curves, panels_of
from jaxcnn.visualize.examples import Example
from jaxcnn.visualize.history import (
    best_row,
    classifies,
    detects,
    extensions,
    first_bad_row,
    labels,
    measures_of,
    number,
    read_history,
    restores,
    says_texts,
    series,
    train_at_evaluations,
)
from jaxcnn.visualize.samples import samples_section

__all__ = ["Example", "Picture", "RunReport", "run_report"]

LAST_ROWS = 12
COLUMNS = {"top1": "top-1", "top5": "top-5"}  # of measures whose column has another name than their key
CLASS_COLUMNS = {
    "balanced accuracy": ("class_scores", "balanced_accuracy"),
    "macro F1": ("class_scores", "f1"),
    "ECE": ("calibration", "ece"),
    "ECE, scaled": ("calibration", "scaled", "ece"),
}  # of the table of evaluations: where the number lies in a row


class Picture(NamedTuple):
    """A picture that was drawn of the run: its name, a PNG at 150 dpi, the command that drew it (may be empty)."""

    name: str
    png: bytes
    command: str


@dataclasses.dataclass(frozen=True, eq=False)
class RunReport:
    """The content of the report of a run.

    Attributes:
      name: the title.
      config, environment: nested dicts, shown key by key.
      rows: of metrics.jsonl.
      evaluations: rows of evaluations.jsonl.
      classes: their names.
      confusion: (K, K), a row a true class, counted on `confusion_split`; None where none was counted.
      examples: images with their predictions; of a classifier.
      calibration: (split, `jaxcnn.evaluation.calibration.calibration` of images of it, whether the temperature was
        fitted on these), of a classifier, or None.
      checkpoint_step: of the checkpoint whose network the report shows.
      parameters: the number of trained parameters; left out where None.
      pictures: those that were drawn of the run.
      left_out: sentences that say which parts are missing and why.
      task: config.task.name.
      kind: its Kind, of which the measures and the selection are read.
      restored: a jaxcnn.evaluation.restored.Restored, of a network that restores images, or None.
      written: a jaxcnn.evaluation.written.Written, of a network that reads or writes texts, or None.
      detected: a jaxcnn.evaluation.detected.Detected, of a network that finds objects, or None.
      code: (jaxcnn.visualize.latent.Coded, jaxcnn.evaluation.latent.Walks) of an autoencoder, or None.
      samples: [jaxcnn.training.samples.Samples], by step, of a network that generates.
      measured: rows of `evaluate --classifier`, of a network that generates.
      pca: (components, summed squared error of a test image), of PCA with as many as the code has numbers, or None.
    """

    name: str
    config: dict
    environment: dict
    rows: list[dict]
    evaluations: list[dict]
    classes: tuple[str, ...]
    confusion: np.ndarray | None
    confusion_split: str
    examples: list[Example]
    checkpoint_step: int
    parameters: int | None = None
    calibration: tuple[str, dict, bool] | None = None
    pictures: tuple[Picture, ...] = ()
    left_out: tuple[str, ...] = ()
    task: str = "classification"
    kind: Kind = CLASSIFICATION
    restored: Restored | None = None
    written: Written | None = None
    detected: Detected | None = None
    code: tuple | None = None
    pca: tuple[int, float] | None = None
    samples: tuple = ()
    measured: tuple[dict, ...] = ()

    def last_with(self, key: str) -> tuple[dict, str]:
        """`last_with` of this report's evaluations and checkpoint."""
        return last_with(key, self.evaluations, self.checkpoint_step)


def last_with(key: str, evaluations: list[dict], step: int) -> tuple[dict, str]:
    """(The last row that has something under a key, its split); one of this step before others, whose step is named.

    Without one ({}, "").
    """
    rows = [row for row in evaluations if row.get(key)]
    for row in reversed(rows):
        if row.get("step") == step:
            return row, row["split"]
    return (rows[-1], f"{rows[-1]['split']} at step {rows[-1].get('step')}") if rows else ({}, "")


def run_report(run: RunReport) -> str:
    """The HTML page of one run. A piece that is missing leaves its section out; numbers not finite show as NaN."""
    history = read_history(run.rows)
    return page.page(
        run.name,
        subtitle=f"jaxcnn run{_task_words(run)}, checkpoint of step {run.checkpoint_step}",
        tiles=list(_run_tiles(run, history)),
        notices=list(_notices(run, history)),
        sections=[
            ("Learning curves", _curves(run, history)),
            ("By epoch" if history.held_out else "By step", _progress(run, history)),
            ("Evaluations", _evaluations(run)),
            *((heading, section(run)) for heading, section in _sections_of(run.kind)),
            ("Samples", samples_section(run)),
            ("Pictures", _pictures(run)),
            ("Configuration", page.folded("keys", run.config)),
            ("Environment", page.folded("entries", run.environment)),
        ],
    )


def _sections_of(kind):
    """((heading, f(RunReport) -> Html or None), ...) that only runs of this kind have."""
    if classifies(kind):
        return class_sections.SECTIONS
    if detects(kind):
        return detection_sections.SECTIONS
    if says_texts(kind):
        return texts.SECTIONS
    if labels(kind):
        return label_sections.SECTIONS
    return (*restorations.SECTIONS, *latent.SECTIONS) if restores(kind) else ()


def _task_words(run):
    return "" if run.task == "classification" else f" of task {run.task}"


def _notices(run, history):
    yield from run.left_out
    bad = first_bad_row(history)
    if bad is not None:
        yield f"The train loss is not a finite number at step {bad['step']} (epoch {_epoch(bad)})."
    for row in history.events:
        if row["event"] == "rows lost":
            yield f"The metrics.jsonl of the steps before {row['step']} was lost: the curves begin there."
        if row["event"] == "damaged":
            yield f"The checkpoint of step {row['checkpoint']} was damaged; the run resumed from step {row['step']}."
    yield from _said_while_training(history)
    for row in extensions(history):
        yield (
            f"The run was made longer at step {row['step']} (epoch {_epoch(row)}): from '{row['old']}' "
            f"({row['old_steps']} steps) to '{row['new']}' ({row['new_steps']} steps). The schedule from there on is "
            f"that of the new duration: learning rate {page.compact(row['new_rate'])} instead of "
            f"{page.compact(row['old_rate'])} at that step."
        )
    best = best_row(history, run.kind)
    if classifies(run.kind) and best is not None and (few := few_images(best["top1"], best.get("n", 0))):
        yield few[0].upper() + few[1:]
    looks = sum(bool(row.get("final")) for row in run.evaluations)
    if looks > 1:
        yield (
            f"The test split was looked at {looks} times: at the end of each duration. Whoever made the run longer "
            "knew the earlier result."
        )


def _said_while_training(history):
    """What the run said of itself while it trained: each sentence once, with the last step at which it was said."""
    said = {row["text"]: row["step"] for row in history.events if row["event"] == "notice"}
    for text, step in said.items():
        yield f"{text[0].upper()}{text[1:]} (said at step {step})."


def _epoch(row):
    """Evaluations fall on whole steps, which are near whole epochs: two decimals."""
    return page.compact(round(number(row, "epoch"), 2))


def _headline(run, history):
    """(name, Measure) of the measure that selects, else of the first that held-out rows have; None without any."""
    names = run.kind.selects or measures_of(history.held_out, run.kind)
    return (names[0], run.kind.measures[names[0]]) if names else None


def _run_tiles(run, history):
    if headline := _headline(run, history):
        yield from _score_tiles(run, history, *headline)
    if run.parameters is not None:
        yield "Parameters", page.whole(run.parameters), ""
    rate = series(history.train, "images_per_second")
    if np.isfinite(rate).any():
        yield "Images per second", page.whole(np.nanmedian(rate)), "median of the train rows"
    if math.isfinite(history.seconds):
        yield "Training time", page.duration(history.seconds), "steps only"
    compiled = series([row for row in history.events if row["event"] == "compiled"], "seconds")
    if np.isfinite(compiled).any():
        programs = np.isfinite(compiled).sum()
        yield "Compile time", page.duration(np.nansum(compiled)), f"{programs} program{'s' if programs > 1 else ''}"


def _score_tiles(run, history, name, measure):
    label, best = measure.label or name, best_row(history, run.kind)
    if best is not None:
        where = f"{'best' if run.kind.selects else 'latest'} of {history.split}"
        where += f", epoch {_epoch(best)}, step {best['step']}{_interval(best, name)}"
        yield f"Held-out {label}", page.measured(best.get(name), measure), where
    tests = [row for row in run.evaluations if row.get("split") == "test"]
    if tests:
        test = next((row for row in reversed(tests) if row.get("step") == run.checkpoint_step), tests[-1])
        note = f"n = {page.whole(test.get('n'))}, step {test.get('step')}{_interval(test, name, n=False)}"
        yield f"Test {label}", page.measured(test.get(name), measure), note


def _interval(row, name, *, n=True):
    """Of how many images a number is, and Wilson's interval where it is the share of these that are right."""
    if not row.get("n"):
        return ""
    words = f"; n = {page.whole(row['n'])}" if n else ""
    if name not in OF_IMAGES or row.get(name) is None:
        return words
    low, high = wilson_interval(round(row[name] * row["n"]), row["n"])
    return f"{words}; 95 % interval {100 * low:.2f} to {page.percent(high)}"


def _curves(run, history):
    if not history.train and not history.held_out:
        return page.element("p", "This run has logged no metrics.", class_="quiet")
    gap = _gap_words(run, history)
    caption = "Train: mean of the rows since the previous evaluation, each row faintly. " if gap else ""
    panels = ", ".join(panel.name for panel in panels_of(run.kind, run.rows))
    names = " and ".join(filter(None, (panels, "learning rate")))
    alt = f"{names[0].upper()}{names[1:]} of {run.name}, train against {history.split or 'nothing'}"
    return page.figure(draw_curves(run.rows, kind=run.kind), alt, caption=f"{caption}{gap}")


def _gap_words(run, history):
    if not (headline := _headline(run, history)):
        return ""
    name, measure = headline
    train, held_out = train_at_evaluations(history, name), series(history.held_out, name)
    both = np.flatnonzero(np.isfinite(train) & np.isfinite(held_out))
    if not both.size:
        return ""
    train, held_out = train[both[-1]], held_out[both[-1]]
    label, gap = measure.label or name, train - held_out
    gap = f"{100 * gap:.2f} points" if measure.unit == "points" else page.measured(gap, measure)
    return (
        f"At the last evaluation train {label} is {page.measured(train, measure)} and {history.split} {label} "
        f"{page.measured(held_out, measure)}: a gap of {gap}."
    )


def _progress(run, history):
    header, lines = _held_out_lines(run, history) if history.held_out else _train_lines(run, history)
    if not lines:
        return None
    numeric = range(len(header))
    last = page.table(header, lines[-LAST_ROWS:], numeric=numeric)
    if len(lines) <= LAST_ROWS:
        return last
    words = f"The last {LAST_ROWS} of {len(lines)} rows."
    every = page.details(f"All {len(lines)} rows", page.table(header, lines, numeric=numeric))
    return page.join(page.element("p", words, class_="quiet"), last, every)


def _held_out_lines(run, history):
    """(header, lines): a line for each evaluation, with the train value of losses and of what selects beside it."""
    columns, header = [], []
    trained, held = (measures_of(rows, run.kind) for rows in (history.train, history.held_out))
    for name in measures_of([*history.train, *history.held_out], run.kind):
        if name in trained and (name in ("loss", *run.kind.selects) or name not in held):
            header.append(f"train {_column(name)}")
            columns.append(_cells(train_at_evaluations(history, name), run.kind.measures[name]))
        if name in held:
            header.append(f"{history.split} {_column(name)}")
            columns.append(_cells((row.get(name) for row in history.held_out), run.kind.measures[name]))
    rate_steps, rates = series(history.train, "step"), []
    for row in history.held_out:
        before = int(np.searchsorted(rate_steps, row["step"], side="right")) - 1
        rates.append(page.compact(history.train[before].get("learning_rate") if before >= 0 else None))
    places = ((_epoch(row), row["step"]) for row in history.held_out)
    lines = [(*place, *cells) for place, *cells in zip(places, *columns, rates, strict=True)]
    return ("epoch", "step", *header, "learning rate"), lines


def _train_lines(run, history):
    names = measures_of(history.train, run.kind)
    header = ("epoch", "step", *(f"train {_column(name)}" for name in names))
    header += ("learning rate", "gradient norm", "images/s")
    lines = [
        (
            _epoch(row),
            row["step"],
            *(page.measured(row.get(name), run.kind.measures[name]) for name in names),
            page.compact(row.get("learning_rate")),
            page.compact(row.get("gradient_norm")),
            page.whole(row.get("images_per_second")),
        )
        for row in history.train
    ]
    return header, lines


def _column(name):
    return COLUMNS.get(name, name)


def _cells(values, measure):
    return [page.measured(value, measure) for value in values]


def _evaluations(run):
    if not run.evaluations:
        return None
    names = measures_of(run.evaluations, run.kind)
    more = [(name, path) for name, path in CLASS_COLUMNS.items() if any(_at(row, path) for row in run.evaluations)]
    header = ("architecture", "split", "step", "n", *map(_column, names), *(name for name, _ in more))
    lines = [
        (
            *(row.get(key) for key in ("architecture", "split", "step")),
            page.whole(row.get("n")),
            *(page.measured(row.get(name), run.kind.measures[name]) for name in names),
            *(page.percent(_at(row, path)) for _, path in more),
        )
        for row in run.evaluations
    ]
    return page.table(header, lines, numeric=range(2, len(header)))


def _at(row, path):
    """The number at the end of the keys of a path; None where one is missing."""
    for key in path:
        row = row.get(key) if isinstance(row, dict) else None
    return row


def _pictures(run):
    """Every picture under its name, with its command below it."""
    if not run.pictures:
        return None
    plates = []
    for name, png, command in run.pictures:
        caption = page.element("code", command) if command else None
        plates += [page.element("h3", name), page.plate(png, name, caption=caption, class_="drawn photographs")]
    return page.join(*plates)
