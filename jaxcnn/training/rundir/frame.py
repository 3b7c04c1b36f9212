"""The rows of several runs as one pandas frame, for a notebook."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError, how_to_install
from jaxcnn.files import local_path
from jaxcnn.training.rundir.directory import read_config
from jaxcnn.training.rundir.log import read_metrics

if TYPE_CHECKING:
    import pandas


def history(runs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> pandas.DataFrame:
    """One pandas frame of all rows of metrics.jsonl of several runs, of training, held-out evaluations and events.

    Args:
      runs: run directories, or one.
    Returns:
      A pandas.DataFrame: a row for each of theirs, in their order; the column "run" names the run (the folder, or its
      path where two share it), then "split", "step", "epoch" and all other keys. NaN where a row lacks a key and where
      its number was not finite, which "not_finite" then names.
    Raises:
      InputError: pandas is not installed, or a directory holds no run.
    """
    try:
        import pandas
    except ImportError as error:
        raise InputError(f"jaxcnn.history needs pandas: {how_to_install('pandas', 'pandas')}") from error
    found, first = [], ("run", "split", "step", "epoch")
    for name, path in named_runs([runs] if isinstance(runs, str | os.PathLike) else runs).items():
        read_config(path)
        for row in read_metrics(path):
            found.append({"run": name, **row, **dict.fromkeys(row.get("not_finite", ()), math.nan)})
    others = (key for row in found for key in row if key not in first)
    return pandas.DataFrame(found, columns=[*first, *dict.fromkeys(others)])


def named_runs(workdirs: Iterable[str | os.PathLike[str]]) -> dict[str, Any]:
    """{name: path} of run directories: the name is the folder's, or its path where two share it.

    Raises:
      InputError: one is given twice, by whatever path.
    """
    paths = [local_path(workdir) for workdir in workdirs]
    places = [path.resolve() for path in paths]
    if twice := [path for path, place in zip(paths, places, strict=True) if places.count(place) > 1]:
        raise InputError(f"the run directory {twice[0]} is given twice.")
    names = [place.name for place in places]
    return {name if names.count(name) == 1 else str(path): path for name, path in zip(names, paths, strict=True)}
