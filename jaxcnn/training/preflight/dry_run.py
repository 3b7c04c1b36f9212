"""The needs of a run: shapes, parameters and memory, without training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import jax

from jaxcnn.analysis import summarize
from jaxcnn.progress import waiting
from jaxcnn.training.before import blank_before
from jaxcnn.training.compilation import compiled, use_persistent_cache
from jaxcnn.training.normalise import image_statistics
from jaxcnn.training.setup import set_up
from jaxcnn.training.state import draw_state
from jaxcnn.training.step import make_chunk

if TYPE_CHECKING:
    from ml_collections import ConfigDict


def describe(config: ConfigDict) -> Iterator[str]:
    """Yields lines: data, stages of the model, parameters, and the bytes of state, data and the compiled step."""
    use_persistent_cache()
    setup = set_up(config)
    config = setup.config
    for split in ("train", "validation", "test"):
        if config.data[split]:
            yield f"{split}: {config.data[split]}, {len(setup.records(split)):,} images of {_times(setup.shape)}"
    yield from setup.notes()
    devices, every = _count(setup.replicas.count, "device"), _count(setup.steps("evaluation.every"), "step")
    yield (
        f"{setup.total} steps of {config.batch_size} on {devices}, {setup.steps_per_epoch:.2f} steps an epoch; "
        f"evaluation every {every}"
    )
    totals = summarize(setup.model, setup.shape, batch=config.batch_size)
    for stage in totals["stages"]:
        yield f"  {stage['stage']:<12} {_times(stage['shape']):<20} {_mib(stage['bytes'])}"
    yield f"{config.model.name}: {totals['parameters']:,} parameters"
    with waiting("drawing the first state"):
        feed = setup.feed("train")
        state = draw_state(setup)
    yield f"state (parameters, optimizer): {_mib(sum(x.nbytes for x in jax.tree.leaves(state)))} a device"
    yield f"data: {_mib(sum(x.nbytes for x in feed.data.values()))} a device" if feed.resident else "data: streamed"
    task, data = setup.task(*image_statistics(config, feed)), feed.data
    if task.before is not None:
        data = {**data, **setup.replicas.replicate(blank_before(setup, task, feed, state))}
    step = setup.train_step(task)
    source = feed.training(start=0, batch_size=config.batch_size)
    chunk = setup.replicas.map(make_chunk(step, steps=1))
    program = compiled(chunk, state, data, source.take(1), deterministic=config.deterministic)
    source.close()
    memory = program.memory_analysis()
    yield f"temporary memory of a training step: {_mib(memory.temp_size_in_bytes)} a device"


def _count(number, word):
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _times(shape):
    return "x".join(map(str, shape))


def _mib(size):
    return f"{size / 2**20:.2f} MiB" if math.isfinite(size) else "unknown"
