"""Gathers what lies in a run directory into a report: report.html and curves.png."""

import json
import pathlib

import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.training.metrics import read_metrics
from jaxcnn.training.rundir import read_evaluations
from jaxcnn.training.setup import load_records
from jaxcnn.training.trained import Trained
from jaxcnn.visualize.curves import draw_curves
from jaxcnn.visualize.examples import Example
from jaxcnn.visualize.report import RunReport, run_report

EXAMPLE_IMAGES = 512


def write_report(workdir):
    """Writes report.html, one self-contained page, and curves.png into a run directory.

    The examples are held-out images; they are left out where the data set is not there any more.

    Returns:
      The path of report.html.
    Raises:
      InputError: no run, or no checkpoint yet.
    """
    workdir = pathlib.Path(workdir)
    trained = Trained(workdir)
    evaluations = read_evaluations(workdir)
    counted = next((row for row in reversed(evaluations) if "confusion" in row), None)
    environment = json.loads((workdir / "environment.json").read_text())["starts"][-1]
    rows = read_metrics(workdir)
    report = RunReport(
        name=f"{trained.config.model.name} on {trained.config.data.name}",
        config=trained.config.to_dict(),
        environment=environment,
        rows=rows,
        evaluations=[{k: v for k, v in row.items() if k != "confusion"} for row in evaluations],
        classes=trained.classes,
        confusion=np.array(counted["confusion"]) if counted else None,
        confusion_split=counted["split"] if counted else "",
        examples=_examples(trained),
        checkpoint_step=trained.step,
        parameters=trained.parameters(),
    )
    path = workdir / "report.html"
    path.write_text(run_report(report))
    draw_curves(rows, path=workdir / "curves.png")
    return path


def _examples(trained):
    try:
        records = load_records(trained.config, "validation")
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
