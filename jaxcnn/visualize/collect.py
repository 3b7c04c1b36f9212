"""Gathers what lies in a run directory into a report: report.html and curves.png."""

import os
import pathlib
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from jaxcnn import trust
from jaxcnn.errors import InputError
from jaxcnn.evaluation.calibration import calibration_of
from jaxcnn.evaluation.class_scores import scores_of
from jaxcnn.evaluation.detected import detected_examples
from jaxcnn.evaluation.latent import choose_pairs, latent_of, pca_beside, walk
from jaxcnn.evaluation.restored import restored_examples
from jaxcnn.evaluation.trained import Trained
from jaxcnn.evaluation.written import labelled_examples, written_examples
from jaxcnn.files import local_path, write_text
from jaxcnn.tasks import Kind
from jaxcnn.training.rundir.about import measures_there, read_data
from jaxcnn.training.rundir.checkpoint import Checkpoints
from jaxcnn.training.rundir.directory import read_config
from jaxcnn.training.rundir.environment import last_start
from jaxcnn.training.rundir.evaluations import read_evaluations, read_measured_samples
from jaxcnn.training.rundir.log import read_metrics
from jaxcnn.training.samples import kept_samples
from jaxcnn.training.splits import load_records
from jaxcnn.visualize.caption import caption_of_runs, write_caption
from jaxcnn.visualize.curves import draw_curves
from jaxcnn.visualize.examples import Example
from jaxcnn.visualize.figure import save_figure
from jaxcnn.visualize.history import classifies, detects, labels, restores, says_texts
from jaxcnn.visualize.latent import read_codes
from jaxcnn.visualize.report import Picture, RunReport, last_with, run_report

EXAMPLE_IMAGES = 512
RESTORED_IMAGES = 6
TEXTS = 24
DETECTED_IMAGES = {"count": 256, "shown": 8, "mistakes": 6}
WALKED_IMAGES, WALKS, WALK_STEPS = 100, 6, 9
PICTURES = "pictures"  # the folder of a run whose PNGs its report shows


def write_report(workdir: str | os.PathLike[str]) -> pathlib.Path:
    """Writes report.html, one self-contained page, and curves.png into a run directory.

    Of a classifier the examples are held-out images, of a network that restores images, says texts or labels, or finds
    objects, the first ones of the test split (of validation without one), of an autoencoder walks between codes of that
    split too, and the error of PCA; of a detector the surest mistakes in 256 images of that split too. They are left
    out where the data set is not there any more. Code that the run names and the user has not allowed is not executed;
    a sentence says what is left out for it. Of a task the report reads the measures that the run directory holds.
    Pictures are the PNGs of the run's folder `pictures`, by name.

    Returns:
      The path of report.html.
    Raises:
      InputError: no run, no checkpoint yet, or a damaged picture.
    """
    workdir = local_path(workdir)
    config = read_config(workdir)
    task, *kind = measures_there(workdir)
    kind = Kind(*kind, create=None)
    step, parameters, found, left_out = _of_network(workdir, kind)
    shown: dict[str, Any] = {"examples": [], **found}
    classes, shape = read_data(workdir)
    evaluations = read_evaluations(workdir)
    counted, split = last_with("confusion", evaluations, step)
    rows = read_metrics(workdir)
    report = RunReport(
        name=f"{config.model.name} on {config.data.name}",
        config=config.to_dict(),
        environment=last_start(workdir) or {},
        rows=rows,
        evaluations=[_evaluation(row, classes) for row in evaluations],
        classes=classes,
        confusion=np.array(counted["confusion"]) if counted else None,
        confusion_split=split,
        checkpoint_step=step,
        parameters=parameters,
        calibration=_calibration(evaluations, step, found.get("examples")),
        pictures=tuple(_picture(file) for file in sorted((workdir / PICTURES).glob("*.png"))),
        left_out=left_out,
        task=task,
        kind=kind,
        samples=tuple(kept_samples(workdir, shape)),
        measured=tuple(read_measured_samples(workdir)),
        **shown,
    )
    path = workdir / "report.html"
    write_text(path, run_report(report))
    figure = draw_curves(rows, kind=kind)
    write_caption(figure, caption_of_runs([workdir]))
    save_figure(figure, workdir / "curves.png")
    return path


def _evaluation(row, classes):
    """A row of evaluations.jsonl without its matrix, whose scores take its place."""
    return {**{k: v for k, v in row.items() if k != "confusion"}, **scores_of(classes, row)}


def _calibration(evaluations, step, examples):
    """`RunReport.calibration` as the last evaluation of the checkpoint has it, else of the examples; or None."""
    for row in reversed(evaluations):
        if row.get("calibration") and row.get("step") == step:
            return row["split"], row["calibration"], row["split"] == "validation"
    if not examples:
        return None
    logits = np.log(np.maximum([one.probabilities for one in examples], np.finfo(np.float32).tiny))
    found = calibration_of(logits, [one.label for one in examples])
    return found and ("validation", found, True)


def _picture(file):
    try:
        with Image.open(file, formats=["PNG"]) as image:
            image.load()
            command = image.text.get("Description", "")  # ty: ignore[missing-attribute]  a PNG has texts
    except (UnidentifiedImageError, OSError, SyntaxError) as error:  # SyntaxError is Pillow's for a broken chunk
        raise InputError(f"{file} is no whole PNG ({error}); draw it again or remove it.") from error
    return Picture(file.stem, file.read_bytes(), command)


def _of_network(workdir, kind):
    """(step of the best checkpoint, number of parameters, parts of the RunReport, sentences about what is left out)."""
    shows = _shows(kind)
    try:
        trained = Trained(workdir)
    except trust.Untrusted as error:
        with Checkpoints(workdir / "checkpoints", read_only=True) as checkpoints:
            missed = f"Parameters and {shows[0].lower()}" if shows else "The parameters"
            return checkpoints.resolve("best"), None, {}, (f"{missed} are left out. {error}",)
    if not shows:
        return trained.step, trained.parameters(), {}, ()
    try:
        return trained.step, trained.parameters(), shows[1](trained), ()
    except trust.Untrusted as error:
        return trained.step, trained.parameters(), {}, (f"{shows[0]} are left out. {error}",)


def _shows(kind):
    """(What a report shows of a network of this kind, f(trained) -> parts of the RunReport), or None."""
    if classifies(kind):
        return "Predictions", _examples
    if detects(kind):
        return "Found objects", _detected
    if says_texts(kind):
        return "Texts", _texts
    if labels(kind):
        return "Labels", _labels
    return ("Restored images", _restored) if restores(kind) else None


def _where_there(find):
    """find(trained, split) of the test split, of validation without one; {} where the data set is not there."""

    def found(trained):
        try:
            return find(trained, "test" if trained.config.data.test else "validation")
        except trust.Untrusted:
            raise
        except (InputError, OSError):  # a loader of the user's own may say so by any OSError
            return {}

    return found


@_where_there
def _restored(trained, split):
    return {"restored": restored_examples(trained, split, count=RESTORED_IMAGES), **_code(trained, split)}


@_where_there
def _texts(trained, split):
    return {"written": written_examples(trained, split, count=TEXTS)}


@_where_there
def _labels(trained, split):
    return {"written": labelled_examples(trained, split, count=TEXTS)}


@_where_there
def _detected(trained, split):
    return {"detected": detected_examples(trained, split, **DETECTED_IMAGES)}


def _code(trained, split):
    """What is shown of a network's code, {} where it has none or there are no two images."""
    records = trained.open(split).records
    try:
        latent = latent_of(trained)
        coded = read_codes(trained, latent, records, count=WALKED_IMAGES)
    except ValueError:
        return {}
    walks = walk(trained, latent.decode, coded.codes, choose_pairs(coded.labels, WALKS), steps=WALK_STEPS)
    return {"code": (coded, walks), "pca": pca_beside(trained, split) if split == "test" else None}


def _examples(trained):
    try:
        records = load_records(trained.config, "validation")
    except trust.Untrusted:
        raise
    except (InputError, OSError):  # a loader of the user's own may say so by any OSError
        return {}
    chosen = np.random.default_rng(0).permutation(len(records))[:EXAMPLE_IMAGES]
    batch = records.read(np.sort(chosen))
    probabilities = trained.probabilities(batch["image"])
    examples = [
        Example(image, int(label), row)
        for image, label, row, mask in zip(batch["image"], batch["label"], probabilities, batch["mask"], strict=True)
        if mask
    ]
    return {"examples": examples}
