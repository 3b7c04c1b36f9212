"""The cost of augmentation: every operation, and the recipe of CIFAR, beside the training step that it is part of."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxcnn.architectures import create
from jaxcnn.augment import OPERATIONS, horizontal_flip, pad_crop
from jaxcnn.benchmark.steps import chunk, examples, first_state, made_of, program_and_call
from jaxcnn.benchmark.timing import interleaved, ratio
from jaxcnn.tasks.pixels import as_float, normalise
from jaxcnn.training.compilation import compiled

BATCH, SHAPE = 128, (32, 32, 3)
RECIPE = "pad-crop, flip, normalise"
IN_STEP = "pad-crop, flip in the step"
STEP = "training step of resnet20"


def benchmark_augment(
    *, only: str = "", rounds: int = 7, report: Callable[[dict[str, Any]], object] = print
) -> list[dict[str, Any]]:
    """Times augmentation of a batch of 128 images of 32x32x3, each operation at its medium magnitude.

    The row IN_STEP is what random crops and flips add to the step that they are compiled into: a compiler that computes
    them anew for each reader shows there alone.

    Args:
      only: text that the name of a row contains.
      rounds: measurements of each.
      report: called with each row as it is done.
    Returns:
      list of dicts: name, seconds (median for the batch), and "of a step": its share of a training step of resnet20 on
      such a batch without augmentation, timed in the same rounds, (median, (lower quartile, upper quartile)).
    """
    images = np.random.default_rng(0).integers(0, 256, (BATCH, *SHAPE), dtype=np.uint8)
    step, rows = _step(images), []
    for name, function in {**_functions(), IN_STEP: None}.items():
        if only in name:
            seconds, of_step = _seconds(function, images, step, rounds)
            row = {"name": name, "seconds": float(np.median(seconds)), "of a step": ratio(seconds, of_step)}
            rows.append(row)
            report(row)
    return rows


def _seconds(function, images, step, rounds):
    """(Seconds of a function of the images, or of what crops and flips add to the step; of the step), a round each."""
    call = _step(images, pad_crop=4, flip=True) if function is None else _compiled(function, images)
    times = interleaved({"call": call, STEP: step}, rounds=rounds)
    return times["call"] - times[STEP] if function is None else times["call"], times[STEP]


def _step(images, **augment):
    setup = made_of(create("resnet20"), SHAPE)
    setup.config.augment.update(augment)
    _, call, _ = program_and_call(chunk(setup), first_state(setup), {}, examples(setup, images))
    return call


def _functions():
    def recipe(key, image):
        crop_key, flip_key = jax.random.split(key)
        return horizontal_flip(flip_key, pad_crop(crop_key, image, padding=4))

    found = {RECIPE: lambda images: normalise(_mapped(recipe)(images), np.full(3, 0.5), np.full(3, 0.25))}
    for name, operation in OPERATIONS.items():
        found[name] = _mapped(functools.partial(operation.function, magnitude=operation.magnitudes[1]))
    return found


def _mapped(function):
    keys = jax.random.split(jax.random.key(0), BATCH)
    return lambda images: jax.vmap(function)(keys, as_float(images))


def _compiled(function, argument):
    argument = jax.device_put(argument)  # or each call copies it there
    program = compiled(jax.jit(function), argument)
    return lambda: jax.block_until_ready(program(argument))
