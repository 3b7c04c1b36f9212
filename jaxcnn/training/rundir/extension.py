"""Making a run longer: a start whose duration is not the one that its checkpoint was written under."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError
from jaxcnn.training.duration import duration_in_steps
from jaxcnn.training.rundir.directory import read_config
from jaxcnn.training.rundir.log import read_metrics
from jaxcnn.training.schedule import make_schedule

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from jaxcnn.training.setup import Setup


EVENT = "extended"


@dataclasses.dataclass(frozen=True)
class Extension:
    """A run that resumes under a longer duration from the last state of a shorter one.

    The new config holds from that state on: the schedule is the one that a run of the new duration has at that step,
    and every share ("50%") is a share of the new duration.

    Attributes:
      step: updates done when the run was made longer.
      old, new: config.duration before and after, as written.
      old_steps, new_steps: both in steps.
      old_rate, new_rate: the learning rate at this step under each, before a plateau's scale.
    """

    step: int
    old: str
    new: str
    old_steps: int
    new_steps: int
    old_rate: float
    new_rate: float

    def event(self) -> dict[str, Any]:
        """The row of metrics.jsonl."""
        return {"event": EVENT, **dataclasses.asdict(self)}


def check_extension(workdir: pathlib.Path, setup: Setup) -> None:
    """Raises InputError where the run of a directory is longer already than the config says."""
    if not (workdir / "config.json").exists():
        return
    old = read_config(workdir).duration
    old_steps = _steps(setup, old)
    if setup.total < old_steps:
        raise InputError(
            f"config.duration is '{setup.config.duration}' ({setup.total} steps), but the run in {workdir} has '{old}' "
            f"({old_steps} steps): an extension makes a run longer, never shorter."
        )


def extension_of(memory: Any, setup: Setup, step: int) -> Extension | None:
    """The Extension that resumes from a checkpoint; None where the checkpoint has the duration of the config.

    It follows from the checkpoint alone: a start that was killed before its first checkpoint finds it again.

    Args:
      memory: the JSON of the checkpoint, see Record.memory.
      setup: the Setup of this start.
      step: of the checkpoint.
    """
    config = setup.config.copy_and_resolve_references()
    old = memory["config"]["duration"]
    if old == config.duration:
        return None
    config.duration, old_steps = old, _steps(setup, old)
    before = make_schedule(config, steps_per_epoch=setup.steps_per_epoch, total=old_steps)
    rates = (float(schedule(step)) for schedule in (before, setup.schedule()))
    return Extension(step, old, setup.config.duration, old_steps, setup.total, *rates)


def first_duration(workdir: pathlib.Path, config: ConfigDict) -> str:
    """The config.duration that a run began with."""
    return next((row["old"] for row in read_metrics(workdir) if row.get("event") == EVENT), config.duration)


def _steps(setup, duration):
    return duration_in_steps(duration, key="duration", steps_per_epoch=setup.steps_per_epoch, total=0)
