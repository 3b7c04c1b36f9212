"""Gathers what lies in a run directory into a report: report.html and curves.png."""

import numpy as np
from PIL import Image, UnidentifiedImageError

from jaxcnn import trust
from jaxcnn.errors import InputError
from jaxcnn.evaluation.restored import restored_examples
from jaxcnn.evaluation.trained import Trained
from jaxcnn.files import local_path, write_text
from jaxcnn.tasks import Kind
from jaxcnn.training.rundir.checkpoint import Checkpoints
from jaxcnn.training.rundir.directory import last_start, measures_there, read_config, read_data, read_evaluations
from jaxcnn.training.rundir.log import read_metrics
from jaxcnn.training.setup import load_records
from jaxcnn.visualize.curves import draw_curves
from jaxcnn.visualize.examples import Example
from jaxcnn.visualize.history import classifies, restores
from jaxcnn.visualize.report import Picture, RunReport, run_report

EXAMPLE_IMAGES = 512
RESTORED_IMAGES = 6
PICTURES = "pictures"  # the folder of a run whose PNGs its report shows


def write_report(workdir):
    """Writes report.html, one self-contained page, and curves.png into a run directory.

    Of a classifier the examples are held-out images, of a network that restores images the first ones of the test split
    (of validation without one); they are left out where the data set is not there any more. Code
    that the run names and the user has not allowed is not executed; a sentence says what is left out for it. Of a task
    the report reads the measures that the run directory holds. Pictures are the PNGs of the run's folder `pictures`,
    by name.

    Returns:
      The path of report.html.
    Raises:
      InputError: no run, no checkpoint yet, or a damaged picture.
    """
    workdir = local_path(workdir)
    config = read_config(workdir)
    task, *kind = measures_there(workdir)
    kind = Kind(*kind, create=None)
    step, parameters, shown, left_out = _of_network(workdir, kind)
    classes, _ = read_data(workdir)
    evaluations = read_evaluations(workdir)
    counted = next((row for row in reversed(evaluations) if "confusion" in row), None)
    rows = read_metrics(workdir)
    report = RunReport(
        name=f"{config.model.name} on {config.data.name}",
        config=config.to_dict(),
        environment=last_start(workdir) or {},
        rows=rows,
        evaluations=[{k: v for k, v in row.items() if k != "confusion"} for row in evaluations],
        classes=classes,
        confusion=np.array(counted["confusion"]) if counted else None,
        confusion_split=counted["split"] if counted else "",
        examples=shown if classifies(kind) and shown else [],
        checkpoint_step=step,
        parameters=parameters,
        pictures=tuple(_picture(file) for file in sorted((workdir / PICTURES).glob("*.png"))),
        left_out=left_out,
        task=task,
        kind=kind,
        restored=shown if restores(kind) else None,
    )
    path = workdir / "report.html"
    write_text(path, run_report(report))
    draw_curves(rows, kind=kind, path=workdir / "curves.png")
    return path


def _picture(file):
    try:
        with Image.open(file, formats=["PNG"]) as image:
            image.load()
            command = image.text.get("Description", "")
    except (UnidentifiedImageError, OSError, SyntaxError) as error:  # SyntaxError is Pillow's for a broken chunk
        raise InputError(f"{file} is no whole PNG ({error}); draw it again or remove it.") from error
    return Picture(file.stem, file.read_bytes(), command)


def _of_network(workdir, kind):
    """(step of the best checkpoint, number of parameters, what is shown of it, sentences about what was left out)."""
    shows = _shows(kind)
    try:
        trained = Trained(workdir)
    except trust.Untrusted as error:
        with Checkpoints(workdir / "checkpoints", read_only=True) as checkpoints:
            missed = f"Parameters and {shows[0].lower()}" if shows else "The parameters"
            return checkpoints.resolve("best"), None, None, (f"{missed} are left out. {error}",)
    if not shows:
        return trained.step, trained.parameters(), None, ()
    try:
        return trained.step, trained.parameters(), shows[1](trained), ()
    except trust.Untrusted as error:
        return trained.step, trained.parameters(), None, (f"{shows[0]} are left out. {error}",)


def _shows(kind):
    """(What a report shows of a network of this kind, f(trained) that makes it), or None."""
    if classifies(kind):
        return "Predictions", _examples
    return ("Restored images", _restored) if restores(kind) else None


def _restored(trained):
    split = "test" if trained.config.data.test else "validation"
    try:
        return restored_examples(trained, split, count=RESTORED_IMAGES)
    except trust.Untrusted:
        raise
    except (InputError, OSError):  # a loader of the user's own may say so by any OSError
        return None


def _examples(trained):
    try:
        records = load_records(trained.config, "validation")
    except trust.Untrusted:
        raise
    except (InputError, OSError):  # a loader of the user's own may say so by any OSError
        return []
    chosen = np.random.default_rng(0).permutation(len(records))[:EXAMPLE_IMAGES]
    batch = records.read(np.sort(chosen))
    probabilities = trained.probabilities(batch["image"])
    return [
        Example(image, int(label), row)
        for image, label, row, mask in zip(batch["image"], batch["label"], probabilities, batch["mask"], strict=True)
        if mask
    ]
