"""A network that restores images, measured on whole images: each at its own size, not cut to that of training.

Papers report so: Set12 has images of 256x256 and 512x512, of which a network of patches restores all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.evaluation.restored import takes_any_size
from jaxcnn.evaluation.tiles import MULTIPLE
from jaxcnn.tasks.pixels import as_float
from jaxcnn.training.learning import make_about, make_task

if TYPE_CHECKING:
    from jaxcnn.evaluation.trained import Trained


def evaluate_whole(
    trained: Trained,
    split: str,
    *,
    name: str = "",
    data_dir: str = "",
    report: Callable[[int, int], object] | None = None,
) -> tuple[int, dict[str, float | None], list[dict[str, float]]]:
    """Measures a network of any size on the whole images of a split, one after another.

    An image is corrupted by its number at its own size; a network gets it mirrored to a multiple of 32 pixels, as in
    `restore_files`. Every image counts alike, whatever its size.

    Args:
      trained: a Trained, of a task that restores images.
      split, name, data_dir: as in `Trained.open`.
      report: called with (images done, all).
    Returns:
      (n, {measure: float or None}, [{measure: float}] of every image, in the order of the records).
    Raises:
      InputError: the network takes images of one size alone, or the data set is not there.
    """
    if not takes_any_size(trained):
        raise InputError(
            f"{trained.config.model.name} of {trained.workdir} takes images of {trained.shape[0]}x{trained.shape[1]} "
            "alone, and can be measured on those: evaluate without --whole."
        )
    records, programs, found = trained.open(split, name=name, data_dir=data_dir).records, {}, []
    for position in range(len(records)):
        record = records.whole(position)
        if record["mask"] > 0:
            batch = {key: np.asarray(value)[None] for key, value in record.items()}
            shape = batch["image"].shape[1:]
            if shape not in programs:
                programs[shape] = jax.jit(_score_at(trained, shape, records.fields_at(shape)))
            scores = jax.device_get(programs[shape](trained.variables, batch))
            found.append({key: float(value[0]) for key, (value, there) in scores.items() if there[0]})
        if report:
            report(position + 1, len(records))
    values = {key: [own[key] for own in found if key in own] for key in trained.kind.measures}
    return len(found), {key: float(np.mean(own)) if own else None for key, own in values.items()}, found


def _score_at(trained, shape, fields):
    """f(variables, batch of one image) -> {measure: (its value (1,), whether the image has one, bool (1,))}."""
    about = make_about(trained.classes, shape, fields, trained.mean, trained.std)
    task, (height, width) = make_task(trained.config, trained.kind, about), shape[:2]
    room = ((0, 0), (0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0))

    def score(variables, batch):
        batch = {name: as_float(x) if x.dtype == np.uint8 else x for name, x in batch.items()}
        batch = task.inputs(batch)
        padded = {"image": jnp.pad(batch["image"], room, mode="symmetric")}
        outputs = trained.model.apply(variables, padded, method=task.infer)
        outputs |= {name: outputs[name][:, :height, :width] for name in ("restored", "output")}
        means = task.score(outputs, batch).means.items()
        weighted = {key: x if isinstance(x, tuple) else (x, jnp.ones_like(x)) for key, x in means}
        return {key: (value / weight, weight > 0) for key, (value, weight) in weighted.items()}

    return score
