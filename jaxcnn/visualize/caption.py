"""The line below a picture of a run: which run, which checkpoint, and what it was measured at."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jaxcnn.data.image_files import files_below
from jaxcnn.errors import InputError
from jaxcnn.names import shown
from jaxcnn.quantity import measured, whole
from jaxcnn.tasks import Kind
from jaxcnn.training.rundir.about import measures_there
from jaxcnn.training.rundir.checkpoint import Checkpoints
from jaxcnn.training.rundir.directory import read_config
from jaxcnn.training.rundir.evaluations import read_evaluations
from jaxcnn.training.rundir.log import read_metrics
from jaxcnn.visualize.figure import QUIET, folded

if TYPE_CHECKING:
    from matplotlib.figure import Figure


NAMED = 3  # files at most that are named, and not counted


def caption_of(
    workdir: str | os.PathLike[str], *, checkpoint: str | int = "best", split: str | None = None, drawn: str = ""
) -> str:
    """One line of text: "runs/a: resnet20 on digits, step 300; test: accuracy 97.50 %, n = 360".

    Args:
      workdir: a run directory.
      checkpoint: "best", "latest" or a step.
      split: the split that is drawn; where its evaluation at this step was logged, the first measure of the task is
        said, and of how many images. None for no split.
      drawn: which images are drawn, where they are not all of the split.
    Raises:
      InputError: no run, or no such checkpoint.
    """
    workdir = pathlib.Path(workdir)
    config = read_config(workdir)
    with Checkpoints(workdir / "checkpoints", read_only=True) as checkpoints:
        step = checkpoints.resolve(checkpoint)
    line = f"{workdir}: {config.model.name} on {config.data.name}, step {step}"
    return shown(line + _measured(workdir, step, split) + (f"; drawn: {drawn}" if drawn else ""))


def names_of(paths: Iterable[str | os.PathLike[str]]) -> str:
    """Image files, and those below folders, by name; where they are more than three the first and their number."""
    names = [path.name for path in files_below(paths)[0]]
    return ", ".join(names) if len(names) <= NAMED else f"{names[0]} ... {names[-1]}, n = {whole(len(names))}"


def caption_of_runs(workdirs: Iterable[str | os.PathLike[str]]) -> str:
    """A line for each run: its `caption_of` at its best checkpoint on held-out images; none of a run without one."""
    lines = []
    for workdir in workdirs:
        with contextlib.suppress(InputError):  # it has not evaluated yet, and is drawn all the same
            lines.append(caption_of(workdir, split="validation"))
    return "\n".join(lines)


def _measured(workdir, step, split):
    """What was logged of a split at a step, "" where nothing was."""
    if split is None:
        return ""
    kind = Kind(*measures_there(workdir)[1:], create=None)
    rows = [*read_metrics(workdir), *read_evaluations(workdir)]
    found = (row for row in reversed(rows) if (row.get("split"), row.get("step")) == (split, step))
    # "n" is of an evaluation alone, and "data" of one on another data set
    row = next((row for row in found if row.get(kind.main) is not None and "n" in row and "data" not in row), None)
    if row is None:
        return f"; {split}"
    measure = kind.measures[kind.main]
    return f"; {split}: {measure.label or kind.main} {measured(row[kind.main], measure)}, n = {whole(row['n'])}"


def write_caption(figure: Figure, text: str) -> None:
    """Writes lines below a figure and its legends, no wider than it; it grows by them where it is saved."""
    if figure.legends:  # left alone they move to the foot of the figure that has grown, onto these lines
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    for legend in figure.legends:
        legend.set_bbox_to_anchor((0, 0, 1, 1), transform=figure.transFigure)
    figure.text(0.01, -0.01, folded(figure, text), ha="left", va="top", fontsize=8, color=QUIET)
