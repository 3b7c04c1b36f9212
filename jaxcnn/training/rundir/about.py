"""data.json and preprocessing.safetensors: what a network was trained on, by which it is used without its data."""

from __future__ import annotations

import operator
import os
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from jaxcnn.data import LABEL
from jaxcnn.errors import InputError
from jaxcnn.files import damage_named, local_path, read_json, replaced, write_json
from jaxcnn.tasks import CLASSIFICATION, Measure

if TYPE_CHECKING:
    from jaxcnn.tasks.task import Kind


STATISTICS = "preprocessing.safetensors"
DATA = "data.json"


def write_data(workdir: pathlib.Path, about: Mapping[str, Any]) -> None:
    """Keeps the record of `about_data`: the network can be used without its data, and resumes on no other data."""
    if jax.process_index() == 0:
        write_json(workdir / DATA, about)


def read_data(workdir: str | os.PathLike[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """(classes, shape) of a run; InputError where it has not begun."""
    found = read_about(workdir)
    return tuple(found["classes"]), tuple(found["shape"])


def read_fields(workdir: str | os.PathLike[str]) -> dict[str, Any]:
    """{name: (shape, dtype)} of what an example of a run holds beside its image."""
    path = local_path(workdir) / DATA
    with damage_named(path, "Restore it, or remove it: train with the config of the run writes it from the data."):
        fields = read_about(workdir).get("fields")
        if fields is None:
            return LABEL
        return {name: (tuple(map(int, shape)), np.dtype(dtype)) for name, (shape, dtype) in fields.items()}


def read_about(workdir: str | os.PathLike[str]) -> dict[str, Any]:
    """The record of a run's data that `write_data` kept; InputError where the run has not begun."""
    path = local_path(workdir) / DATA
    if not path.exists():
        raise InputError(f"the run in {workdir} has not begun to train: it has no {DATA}.")
    about = read_json(path)
    with damage_named(path, "Restore it, or remove it: train with the config of the run writes it from the data."):
        if not all(isinstance(name, str) for name in about["classes"]) or len(about["shape"]) != 3:
            raise ValueError("its classes are no names, or its shape is not that of an image")
        tuple(map(operator.index, about["shape"]))
    return about


def about_task(name: str, kind: Kind) -> dict[str, Any]:
    """The keys of data.json that say by which measures a run is compared: no reader of it imports the task's code.

    Args:
      name: config.task.name.
      kind: its Kind.
    Returns:
      {"task": name, "measures": {name: [unit, higher_is_better, log, label]}, "selects": [names]}; {} of
      classification, which a run without these keys learns.
    """
    if name == "classification" and kind.measures == CLASSIFICATION.measures:
        return {}
    measures = {measure: list(about) for measure, about in kind.measures.items()}
    return {"task": name, "measures": measures, "selects": list(kind.selects)}


def measures_there(workdir: str | os.PathLike[str]) -> tuple[Any, ...]:
    """(name of its task, {name: Measure}, names of those that choose the best checkpoint) of a run, by data.json."""
    path = local_path(workdir) / DATA
    about = read_about(workdir) if path.exists() else {}
    if "task" not in about:
        return "classification", CLASSIFICATION.measures, CLASSIFICATION.selects
    with damage_named(path, "Restore it, or remove it: train with the config of the run writes it from the data."):
        measures = {str(name): _measure(*row) for name, row in about["measures"].items()}
        selects = tuple(about["selects"])
        if unknown := [name for name in selects if name not in measures]:
            raise ValueError(f"{unknown[0]!r} selects, but is not among its measures")
        return str(about["task"]), measures, selects


def _measure(unit, higher_is_better, log, label):
    return Measure(str(unit), bool(higher_is_better), bool(log), str(label))


def write_statistics(workdir: pathlib.Path, mean: Any, std: Any) -> None:
    """Keeps what the images are normalised by, for every later use of the network."""
    if jax.process_index() == 0:
        with replaced(workdir / STATISTICS) as path:
            safetensors.save_file({"mean": np.asarray(mean, np.float32), "std": np.asarray(std, np.float32)}, path)


def read_statistics(workdir: str | os.PathLike[str]) -> tuple[Any, Any] | None:
    """(mean, std) that the run's images are normalised by, or None before its first start computed them."""
    path = local_path(workdir) / STATISTICS
    if not path.exists():
        return None
    with damage_named(path, "Remove it: train with the config of the run computes it again from the data."):
        try:
            tensors = safetensors.load_file(path)
        except (OSError, SafetensorError) as error:
            raise ValueError(error) from error
        if not all(np.isfinite(tensors[name]).all() for name in ("mean", "std")):
            raise ValueError("it holds numbers that are not finite")
        return tensors["mean"], tensors["std"]


def statistics_there(workdir: str | os.PathLike[str]) -> tuple[Any, Any]:
    """`read_statistics` of a run that has begun; InputError where it has none."""
    found = read_statistics(workdir)
    if found is None:
        raise InputError(
            f"the run in {workdir} has no {STATISTICS}, by which images are normalised: train with the config of the "
            "run computes it again from the data."
        )
    return found
