"""Evaluation on exactly the N images of a split, for any batch size and device count: masked sums over their masks."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.files import replaced
from jaxcnn.training.compilation import compiled
from jaxcnn.training.parallel import hold_back
from jaxcnn.training.step import DIVISOR, assemble_batch, make_evaluation_step

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from jaxcnn.tasks.task import Kind, Task
    from jaxcnn.training.feed import Feed


def check_measures(kind: Kind, measured: Any) -> None:
    """Raises InputError where what a task measures on a split is not named by its Kind, or lacks what selects."""
    if unknown := [key for key in measured if key not in kind.measures]:
        raise InputError(
            f"the task measures {', '.join(unknown)}, but the measures of its Kind are {', '.join(kind.measures)}: add "
            f"{'it' if len(unknown) == 1 else 'them'} to these."
        )
    if missing := [key for key in kind.selects if key not in measured]:
        raise InputError(
            f"the task selects by {', '.join(missing)}, which its score and finish do not measure: they give "
            f"{', '.join(measured)}."
        )


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The result on one split.

    Attributes:
      n: images seen; those that could not be read are not among them.
      values: {measure: float}, None where it has no value on these data; in the order of the Kind's measures.
      details: JSON that the task keeps beside them.
      rows: {name: (records, ...)} of the task, in the order of the records.
    """

    n: int
    values: dict
    details: dict
    rows: dict


class Evaluator:
    """Compiles the evaluation of a task once, and runs it on as many networks as wanted.

    Args:
      model: a Linen module.
      kind: the Kind of the task.
      task: a Task.
      feed: the Feed of the split.
      batch_size: over all devices.
      deterministic: as config.deterministic.
    """

    def __init__(
        self, model: Any, kind: Kind, task: Task, feed: Feed, *, batch_size: int, deterministic: bool = False
    ) -> None:
        self.kind, self.task, self.feed, self.batch_size, self.program = kind, task, feed, batch_size, None
        step = make_evaluation_step(model, task)
        self.mapped = feed.replicas.map_evaluation(
            lambda variables, data, inputs: step(variables, assemble_batch(data, jax.tree.map(lambda x: x[0], inputs)))
        )
        self.deterministic = deterministic

    def __call__(self, variables: Any) -> list[Evaluation]:
        """The Evaluations of {"params", "batch_stats"}, laid out on the devices: one for each run in them.

        Raises:
          InputError: none of the images could be read.
        """
        total, rows, given = None, [], []
        for inputs in self.feed.evaluation(batch_size=self.batch_size):
            arguments = (variables, self.feed.data, inputs)
            if self.program is None:
                self.program = compiled(self.mapped, *arguments, deterministic=self.deterministic)
            sums, more = self.program(*arguments)
            total = sums if total is None else _added(total, sums)
            rows.append(more)
            given = [*given[-1:], (total, more)]  # the sum of the sums is a program of its own
            hold_back(given)
        runs = self.feed.replicas.runs
        found = [runs(tree) for tree in jax.device_get([total, *rows])]
        return [self._evaluation(total, rows) for total, *rows in zip(*found, strict=True)]

    def _evaluation(self, total, rows):
        count, seen = len(self.feed.records), float(total["means"]["seen"])
        if not seen:
            records = self.feed.records
            raise InputError(
                f"none of the {count:,} images of {records.name}, {records.split}, could be read, "
                f"{records.describe_record(0)} among them: there is nothing to measure."
            )
        rows = {name: np.concatenate([part[name] for part in rows])[:count] for name in rows[0]}
        divided = ((name, x) for name, x in total["means"].items() if name != "seen" and not name.endswith(DIVISOR))
        # in float64: 2 / 3 as Python has it
        means = {name: float(x) / _divisor(total["means"], name, seen) for name, x in divided}
        means |= dict.fromkeys(self.task.undefined)
        arguments = (int(seen), means, total["sums"], rows)
        values = self.task.finish(*arguments)
        check_measures(self.kind, tuple(values))
        values = {name: values[name] for name in self.kind.measures if name in values}
        return Evaluation(int(seen), values, self.task.details(*arguments), rows)


@jax.jit
def _added(total, sums):
    return jax.tree.map(jnp.add, total, sums)


def _divisor(means, name, seen):
    return float(means.get(name + DIVISOR, seen)) or 1.0


def evaluation_row(config: ConfigDict, step: int, split: str, evaluation: Evaluation) -> dict[str, Any]:
    """The evaluation as the JSON object that evaluations.jsonl keeps; `evaluate --json` shows `printed` of it."""
    about = {"architecture": config.model.name, "step": step, "split": split, "n": evaluation.n}
    return {**about, **evaluation.values, **evaluation.details}


def keep_rows(workdir: pathlib.Path, step: int, split: str, evaluation: Evaluation, names: Sequence[str]) -> None:
    """Writes rows of an Evaluation into evaluations/SPLIT-STEP.npz of a run directory, those of task.stored."""
    if names and jax.process_index() == 0:
        (workdir / "evaluations").mkdir(exist_ok=True)
        with replaced(workdir / "evaluations" / f"{split}-{step}.npz") as path, path.open("wb") as file:
            np.savez_compressed(file, **{name: evaluation.rows[name] for name in names})


def printed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without its lists, which are for the log alone: matrices, the numbers of images."""
    return {name: value for name, value in row.items() if not isinstance(value, list)}
