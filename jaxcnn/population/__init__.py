"""Runs that differ only in their seed and in numbers, trained together in one program."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax

from jaxcnn import trust
from jaxcnn.errors import InputError
from jaxcnn.files import local_path, read_json, write_json
from jaxcnn.lock import hold
from jaxcnn.population.layout import Members
from jaxcnn.population.train import train_members
from jaxcnn.progress import hushed
from jaxcnn.training.compilation import use_persistent_cache
from jaxcnn.training.config import flatten
from jaxcnn.training.learning import make_kind
from jaxcnn.training.rundir.checkpoint import Checkpoints
from jaxcnn.training.rundir.code import keep_code
from jaxcnn.training.rundir.directory import full_disk_named, open_run
from jaxcnn.training.setup import set_up
from jaxcnn.training.validate import validate

if TYPE_CHECKING:
    from ml_collections import ConfigDict


# Keys that may differ between members, with the value that the shared program is built with; each member's own value is
# in its state. At a rate of 1 the learning-rate scale of a member is its rate.
OWN = {
    "seed": 0,
    "augment.magnitude": 1.0,
    "model.dropout": 0.5,
    "optimizer.learning_rate": 1.0,
    "optimizer.momentum": 0.9,
    "optimizer.weight_decay": 0.0,
}

MEMBERS = "members.json"


def own_keys(config: ConfigDict) -> dict[str, Any]:
    """OWN and the numbers of the config's task, which are 0 in the shared program."""
    return {**OWN, **dict.fromkeys(make_kind(config).numbers.values(), 0.0)}


def shared_config(config: ConfigDict) -> ConfigDict:
    """The config with its members' own keys reset; runs with equal results can share a population."""
    own, config, flat = own_keys(config), config.copy_and_resolve_references(), flatten(config)
    with config.unlocked():
        config.update_from_flattened_dict({key: value for key, value in own.items() if flat.get(key) is not None})
    return config


def train_population(
    configs: Sequence[ConfigDict],
    workdirs: Sequence[str | os.PathLike[str]],
    folder: Any,
    *,
    quiet: bool = False,
    devices: Any = None,
) -> list[Any]:
    """Trains runs together, or resumes them; each ends with a run directory as `train` alone leaves it.

    A member draws the same numbers and sees the same batches as the run alone on one device. Its rows of seconds and
    images/s are its share of the time of all. One that diverges is frozen and changes nothing for the others.

    Args:
      configs: their configs; equal but for the keys of OWN.
      workdirs: the run directory of each.
      folder: where the checkpoints of them all go and members.json, the names of the run directories in their order;
        the same call resumes from there.
      quiet: print nothing.
      devices: the devices over which the members are laid; None takes all.
    Returns:
      A list with a Result for each member, or the Diverged that it came to.
    Raises:
      InputError: the config, the data or a directory do not fit, or another process trains there; nothing was lost.
      Preempted: SIGTERM or Ctrl-C came; everything is saved.
    """
    use_persistent_cache()
    for config in configs:
        trust.allow_config(config)
        validate(config)
    shared = shared_config(configs[0])
    if any(flatten(shared_config(config)) != flatten(shared) for config in configs):
        raise InputError(f"the members of a population differ only in {', '.join(own_keys(configs[0]))}.")
    if shared.model.dropout is not None and not any(config.model.dropout for config in configs):
        shared.model.dropout = 0.0  # then no masks are made
    shared.augment.magnitude = min(config.augment.magnitude for config in configs)  # operations have a largest one
    if shared.finetune.source or shared.evaluation.patience:
        raise InputError(
            "the members of a population begin from their own draws and end together: config.finetune.source and "
            "config.evaluation.patience are for runs alone (a study of them: --runner local)."
        )
    if jax.process_count() > 1:
        raise InputError("a population trains in one process.")
    members = Members(len(configs), devices)
    with hushed(quiet):
        setup = set_up(shared, devices=list(members.mesh.devices.flat)[:1])
    if setup.bare_task.before is not None or setup.bare_task.begin is not None:
        raise InputError(
            f"task {shared.task.name} records answers of the network that a run begins with: it is for runs alone (a "
            "study of them: --runner local)."
        )
    configs = [_with_own(setup.config, config) for config in configs]
    workdirs, folder = [local_path(workdir) for workdir in workdirs], local_path(folder)
    with contextlib.ExitStack() as held:
        for place in (folder, *workdirs):
            held.enter_context(hold(place, what="run"))
        _check_begun(folder, workdirs)
        for config, workdir in zip(configs, workdirs, strict=True):
            open_run(workdir, config, setup.about_data)
            keep_code(workdir, config)
        with full_disk_named(folder):
            write_json(folder / MEMBERS, [workdir.name for workdir in workdirs])
        kept = Checkpoints(folder / "checkpoints", rank=setup.kind.rank)
        with full_disk_named(folder), kept as checkpoints, hushed(quiet):
            return train_members(setup, configs, workdirs, folder, members, checkpoints, quiet=quiet)


def _check_begun(folder, workdirs):
    """Raises InputError where a population was begun in the folder by other run directories, or one is gone."""
    if not (folder / MEMBERS).exists():
        return
    names, begun = [workdir.name for workdir in workdirs], read_json(folder / MEMBERS, list)
    if names != begun:
        raise InputError(
            f"{folder} holds a population of {', '.join(map(str, begun))}; these run directories are "
            f"{', '.join(names)}. Give those with which it was begun, in their order; or another folder."
        )
    lost = [str(workdir) for workdir in workdirs if not (workdir / "config.json").exists()]
    if lost and (folder / "checkpoints").exists():
        raise InputError(
            f"{folder} holds a population that was begun, but there is no run in {', '.join(lost)}. Put it "
            "back, or begin again with another folder and other run directories."
        )


def _with_own(resolved, config):
    """The resolved config of the population with a member's own values."""
    flat, own = flatten(config), resolved.copy_and_resolve_references()
    own.update_from_flattened_dict({key: flat[key] for key in own_keys(config) if flat.get(key) is not None})
    return own
