"""Limits of a config's values that depend on its images, its steps or the machine."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxcnn import trust
from jaxcnn.augment import make_operation
from jaxcnn.errors import InputError, input_errors
from jaxcnn.training.validate import LARGEST

if TYPE_CHECKING:
    from ml_collections import ConfigDict


SAMPLE = 256  # images in a batch of those that the statistics are measured on
WORKERS_PER_CORE = 16  # more only wait for each other, even where each waits for a slow disk


def check_images(config: ConfigDict, shape: Sequence[int]) -> None:
    """Raises InputError where the images of a config do not fit its operations, its padding or this machine's memory.

    Args:
      config: a config with its batch size and data filled in.
      shape: (h, w, c) of an image.
    """
    pad, resize = config.augment.pad_crop, config.data.resize
    if pad >= min(shape[:2]):
        raise InputError(
            f"config.augment.pad_crop is {pad}, but the images are {shape[0]}x{shape[1]}: a window could lie in the "
            "padding alone. It is less than a side; 4 is usual for 32x32."
        )
    _check_operations(config.augment.operations, tuple(shape))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    images = max(4 * config.batch_size / jax.process_count(), SAMPLE)  # bytes a value: float32 in a step, else uint8
    for key, value, needed in (
        ("image_size", tuple(shape[:2]), images * math.prod(shape)),
        ("resize", resize, resize**2 * shape[2]),
    ):
        if needed > memory:
            what = f"a batch of {config.batch_size} images" if key == "image_size" else "one image"
            raise InputError(
                f"config.data.{key} is {value}: {what} would take {needed / 2**30:,.0f} GiB, and this machine has "
                f"{memory / 2**30:,.0f} GiB of memory."
            )


def _check_operations(entries, shape):
    key, image, magnitude = jax.eval_shape(lambda: (jax.random.key(0), jnp.zeros(shape), jnp.float32(0)))
    for name, _, _, *options in entries:
        if not (trust.is_code(name) or options):  # ours, as tested
            continue
        with input_errors("config.augment.operations"):
            function = make_operation(name, **dict(*options))
        where = f"config.augment.operations: {name} of an image {shape}"
        with trust.slips_named(where, name):
            try:
                found = jax.eval_shape(lambda k, i, m: function(k, i, magnitude=m), key, image, magnitude)  # noqa: B023
            except TypeError as error:
                if trust.is_code(name):
                    raise
                reason = " ".join(str(error).split())
                raise InputError(f"{where}: one of {dict(*options)} is of another kind: {reason}") from error
        if getattr(found, "shape", None) != shape:
            raise InputError(
                f"{where} gives {getattr(found, 'shape', type(found).__name__)}; it gives an image of the same shape."
            )


def check_steps(config: ConfigDict, total: int, steps: Callable[..., int]) -> None:
    """Raises InputError where durations of a config do not fit into its run.

    Args:
      config: a run's config.
      total: steps of the run.
      steps: f(duration, key) -> int.
    """
    if total > LARGEST[int]:
        raise InputError(f"config.duration is '{config.duration}', {total} steps; a run has at most {LARGEST[int]}.")
    schedule = config.schedule
    warmup = steps(schedule.warmup, "schedule.warmup")
    if warmup > total:
        raise InputError(
            f"config.schedule.warmup is '{schedule.warmup}', {warmup} steps, but the run has {total} "
            f"(config.duration '{config.duration}'): it would never reach its learning rate."
        )
    swa = config.optimizer.swa
    if swa and steps(swa, "optimizer.swa") >= total:
        raise InputError(
            f"config.optimizer.swa is '{swa}', {steps(swa, 'optimizer.swa')} steps, but the run has {total}: no "
            "weights would be averaged."
        )
    for pattern, duration in config.finetune.unfreeze:
        if (begin := steps(duration, "finetune.unfreeze")) >= total:
            raise InputError(
                f"config.finetune.unfreeze lets '{pattern}' learn from '{duration}', step {begin}, but the run has "
                f"{total} (config.duration '{config.duration}'): it would stay frozen."
            )
    boundaries = [steps(boundary, "schedule.boundaries") for boundary in schedule.boundaries]
    if boundaries != sorted(boundaries):
        raise InputError(
            f"config.schedule.boundaries is {schedule.boundaries}, which are the steps "
            f"{', '.join(map(str, boundaries))}; each is later than the one before it."
        )


def check_workers(config: ConfigDict) -> None:
    """Raises InputError where this machine has too few cores for the workers of a config that starts on it."""
    workers, cores = config.data.workers, os.cpu_count() or 1
    if workers > WORKERS_PER_CORE * cores:
        raise InputError(
            f"config.data.workers is {workers}, but this machine has {cores} cores; more than {WORKERS_PER_CORE} "
            f"processes a core ({WORKERS_PER_CORE * cores} here) only wait for each other."
        )
