"""The report of one run: an HTML page that needs no other file."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from jaxcnn.training.selection import few_images
from jaxcnn.visualize import page
from jaxcnn.visualize.confusion import draw_confusion, most_confused
from jaxcnn.visualize.curves import draw_curves
from jaxcnn.visualize.examples import Example, class_name, example_grids
from jaxcnn.visualize.history import (
    best_row,
    extensions,
    first_bad_row,
    number,
    read_history,
    series,
    train_at_evaluations,
)

__all__ = ["Example", "Picture", "RunReport", "run_report"]

LAST_ROWS = 12
LOWEST_CLASSES = 40


class Picture(NamedTuple):
    """One that was drawn of the run: its name, a PNG at 150 dpi, the command that drew it (may be empty)."""

    name: str
    png: bytes
    command: str


@dataclasses.dataclass(frozen=True, eq=False)
class RunReport:
    """What the report of a run is made of; `rows` are those of metrics.jsonl, `evaluations` those of the evaluate verb.

    confusion is (K, K), a row a true class, counted on `confusion_split`; None where nobody counted. `parameters` is
    the number of trained parameters, left out where None. `left_out` are sentences about what is not there and why.
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
    pictures: tuple[Picture, ...] = ()
    left_out: tuple[str, ...] = ()


def run_report(run: RunReport) -> str:
    """The HTML page of one run. A piece that is missing leaves its section out; numbers not finite show as NaN."""
    history = read_history(run.rows)
    return page.page(
        run.name,
        subtitle=f"jaxcnn run, checkpoint of step {run.checkpoint_step}",
        tiles=list(_run_tiles(run, history)),
        notices=list(_notices(run, history)),
        sections=[
            ("Learning curves", _curves(run, history)),
            ("By epoch" if history.held_out else "By step", _progress(history)),
            ("Evaluations", _evaluations(run)),
            ("Predictions", example_grids(run.examples, run.classes) if run.examples else None),
            ("Confusion", _confusion(run)),
            ("Accuracy by class", _per_class(run)),
            ("Pictures", _pictures(run)),
            ("Configuration", page.folded("keys", run.config)),
            ("Environment", page.folded("entries", run.environment)),
        ],
    )


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
    for row in extensions(history):
        yield (
            f"The run was made longer at step {row['step']} (epoch {_epoch(row)}): from '{row['old']}' "
            f"({row['old_steps']} steps) to '{row['new']}' ({row['new_steps']} steps). The schedule from there on is "
            f"that of the new duration: learning rate {page.compact(row['new_rate'])} instead of "
            f"{page.compact(row['old_rate'])} at that step."
        )
    best = best_row(history)
    if best is not None and (few := few_images(best["top1"], best.get("n", 0))):
        yield few[0].upper() + few[1:]
    looks = sum(bool(row.get("final")) for row in run.evaluations)
    if looks > 1:
        yield (
            f"The test split was looked at {looks} times: at the end of each duration. Whoever made the run longer "
            "knew the earlier result."
        )


def _epoch(row):
    """Evaluations fall on whole steps, which are near whole epochs: two decimals."""
    return page.compact(round(number(row, "epoch"), 2))


def _run_tiles(run, history):
    best = best_row(history)
    if best is not None:
        where = f"best of {history.split}, epoch {_epoch(best)}, step {best['step']}"
        yield "Held-out accuracy", page.percent(best["top1"]), where
    tests = [row for row in run.evaluations if row.get("split") == "test"]
    if tests:
        test = next((row for row in reversed(tests) if row.get("step") == run.checkpoint_step), tests[-1])
        note = f"n = {page.whole(test.get('n'))}, step {test.get('step')}"
        yield "Test accuracy", page.percent(test.get("top1")), note
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


def _curves(run, history):
    if not history.train and not history.held_out:
        return page.element("p", "This run has logged no metrics.", class_="quiet")
    gap = _gap_words(history)
    caption = "Train: mean of the rows since the previous evaluation, each row faintly. " if gap else ""
    alt = f"Loss, top-1 error and learning rate of {run.name}, train against {history.split or 'nothing'}"
    return page.figure(draw_curves(run.rows), alt, caption=f"{caption}{gap}")


def _gap_words(history):
    train, held_out = train_at_evaluations(history, "top1"), series(history.held_out, "top1")
    both = np.flatnonzero(np.isfinite(train) & np.isfinite(held_out))
    if not both.size:
        return ""
    last = both[-1]
    return (
        f"At the last evaluation train accuracy is {100 * train[last]:.2f} % and {history.split} accuracy "
        f"{100 * held_out[last]:.2f} %: a gap of {100 * (train[last] - held_out[last]):.2f} points."
    )


def _progress(history):
    header, lines = _held_out_lines(history) if history.held_out else _train_lines(history)
    if not lines:
        return None
    numeric = range(len(header))
    last = page.table(header, lines[-LAST_ROWS:], numeric=numeric)
    if len(lines) <= LAST_ROWS:
        return last
    words = f"The last {LAST_ROWS} of {len(lines)} rows."
    every = page.details(f"All {len(lines)} rows", page.table(header, lines, numeric=numeric))
    return page.join(page.element("p", words, class_="quiet"), last, every)


def _held_out_lines(history):
    split = history.split
    header = (
        "epoch",
        "step",
        "train loss",
        f"{split} loss",
        "train top-1",
        f"{split} top-1",
        f"{split} top-5",
        "learning rate",
    )
    loss, top1 = train_at_evaluations(history, "loss"), train_at_evaluations(history, "top1")
    rate_steps = series(history.train, "step")
    lines = []
    for row, train_loss, train_top1 in zip(history.held_out, loss, top1, strict=True):
        before = int(np.searchsorted(rate_steps, row["step"], side="right")) - 1
        rate = history.train[before].get("learning_rate") if before >= 0 else None
        lines.append(
            (
                _epoch(row),
                row["step"],
                page.decimal(train_loss),
                page.decimal(row.get("loss")),
                page.percent(train_top1),
                page.percent(row.get("top1")),
                page.percent(row.get("top5")),
                page.compact(rate),
            )
        )
    return header, lines


def _train_lines(history):
    header = ("epoch", "step", "train loss", "train top-1", "train top-5", "learning rate", "gradient norm", "images/s")
    lines = [
        (
            _epoch(row),
            row["step"],
            page.decimal(row.get("loss")),
            page.percent(row.get("top1")),
            page.percent(row.get("top5")),
            page.compact(row.get("learning_rate")),
            page.compact(row.get("gradient_norm")),
            page.whole(row.get("images_per_second")),
        )
        for row in history.train
    ]
    return header, lines


def _evaluations(run):
    if not run.evaluations:
        return None
    header = ("architecture", "split", "step", "n", "loss", "top-1", "top-5")
    lines = [
        (
            row.get("architecture"),
            row.get("split"),
            row.get("step"),
            page.whole(row.get("n")),
            page.decimal(row.get("loss")),
            page.percent(row.get("top1")),
            page.percent(row.get("top5")),
        )
        for row in run.evaluations
    ]
    return page.table(header, lines, numeric=range(2, 7))


def _confusion(run):
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


def _per_class(run):
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
    )


def _class_accuracies(run):
    """(split, [(class, accuracy, its counts)]) of the confusion matrix, else of the last evaluation that has them."""
    if run.confusion is not None and run.classes:
        right, seen = np.diagonal(run.confusion).tolist(), np.sum(run.confusion, axis=1).tolist()
        return run.confusion_split, [
            (name, hits / count if count else math.nan, f"({hits:g} of {count:g})")
            for name, hits, count in zip(run.classes, right, seen, strict=True)
        ]
    scored = next((row for row in reversed(run.evaluations) if row.get("per_class")), {"per_class": {}})
    per_class = scored["per_class"]
    return scored.get("split"), [(name, number(per_class, name), "") for name in per_class]


def _pictures(run):
    """Every picture under its name, with its command below it."""
    if not run.pictures:
        return None
    plates = []
    for name, png, command in run.pictures:
        caption = page.element("code", command) if command else None
        plates += [page.element("h3", name), page.plate(png, name, caption=caption, class_="drawn photographs")]
    return page.join(*plates)
