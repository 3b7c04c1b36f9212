"""Runs of a study as populations: which train together, and where their common checkpoints lie."""

from __future__ import annotations

import hashlib
import pathlib
import shutil
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from jaxcnn.errors import InputError
from jaxcnn.files import read_json
from jaxcnn.population import MEMBERS, shared_config, train_population
from jaxcnn.sweeps.worker import in_words
from jaxcnn.training.config import to_json
from jaxcnn.training.divergence import Diverged
from jaxcnn.training.processes.preemption import Preempted

if TYPE_CHECKING:
    from jaxcnn.sweeps.study import Run


FOLDER = ".population"


def run_populations(
    runs: Sequence[Run], workdir: pathlib.Path, *, done: Iterable[str] = (), quiet: bool = False
) -> dict[str, str]:
    """Trains those runs together that differ only in their seed and in numbers; the others are left to train alone.

    A population that was interrupted resumes with the members that it had. A run that was begun alone, or that has no
    other like it, is left.

    Args:
      runs: list of Run, those of a study.
      workdir: its directory; a population keeps its checkpoints in .population/ID until it has ended.
      done: the ids of those that need no training.
      quiet: print nothing.
    Returns:
      {run id: what went wrong} of the runs that failed.
    """
    failed = {}
    for folder, members in _populations(runs, workdir, done):
        failed.update(_train(members, workdir, folder, quiet))
    return failed


def _populations(runs, workdir, done):
    """[(folder, runs)]: the populations that were broken off, then the new ones; one whose runs are done is removed."""
    named, begun = {run.id: run for run in runs}, []
    for file in sorted(workdir.glob(f"{FOLDER}/*/{MEMBERS}")):
        ids = read_json(file, list)
        if not all(isinstance(run, str) for run in ids):
            raise InputError(f"{file} is damaged: it holds something else than the ids of runs.")
        # Its runs were ended one by one, or the sweep was killed before the next line; or one went on alone, which the
        # population would undo.
        if set(ids) <= set(done) or any(_latest(workdir / run) > _latest(file.parent) for run in ids):
            shutil.rmtree(file.parent)
        elif named.keys() >= set(ids):
            begun.append((file.parent, [named.pop(run) for run in ids]))
    alike = {}
    for run in named.values():
        if run.id not in done and not any((workdir / run.id / "checkpoints").glob("*")):
            alike.setdefault(to_json(shared_config(run.config)), []).append(run)
    return begun + [(_folder_of(members, workdir), members) for members in alike.values() if len(members) > 1]


def _latest(folder):
    """The step of a folder's latest checkpoint, 0 without one."""
    return max((int(path.name) for path in (folder / "checkpoints").glob("*") if path.name.isdigit()), default=0)


def _folder_of(members, workdir):
    """The folder of a new population."""
    ids = [run.id for run in members]
    return workdir / FOLDER / hashlib.sha256(" ".join(ids).encode()).hexdigest()[:10]


def _train(members, workdir, folder, quiet):
    """Trains one population; returns {run id: what went wrong}."""
    configs, workdirs = [run.config for run in members], [workdir / run.id for run in members]
    try:
        found = train_population(configs, workdirs, folder, quiet=quiet)
    except Preempted:
        raise
    except Exception as error:  # a fault of these runs, of the user's network say, must not hide the others
        return dict.fromkeys((run.id for run in members), in_words(error))
    shutil.rmtree(folder)
    return {run.id: str(end) for run, end in zip(members, found, strict=True) if isinstance(end, Diverged)}
