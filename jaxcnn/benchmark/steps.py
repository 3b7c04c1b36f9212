"""Whole training steps beside PyTorch's: time to compile and to run, called and inside `lax.scan`, and memory."""

from __future__ import annotations

import dataclasses
import importlib.util
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.architectures import CLAIMS, create
from jaxcnn.benchmark.peak import share_of_peak
from jaxcnn.benchmark.timing import geometric_mean, interleaved, ratio
from jaxcnn.data import Arrays, Records
from jaxcnn.operators import softmax_cross_entropy
from jaxcnn.tasks import TASKS
from jaxcnn.training.compilation import compiled
from jaxcnn.training.config import default_config
from jaxcnn.training.finetune.plan import Plan
from jaxcnn.training.parallel import Replicas
from jaxcnn.training.setup import Setup
from jaxcnn.training.state import draw_state
from jaxcnn.training.step import make_chunk

NETWORKS = {  # images in a batch that a CPU trains in seconds
    "lenet5_common": 128,
    "convnet": 128,
    "resnet20": 128,
    "alexnet": 16,
    "vgg_d": 4,
    "googlenet": 8,
    "inception_v3": 4,
    "resnet18": 8,
    "resnet50": 8,
    "resnet152": 4,
    "densenet121": 8,
}
ON_ACCELERATOR = {  # images in a batch that fill one
    "lenet5_common": 1024,
    "convnet": 1024,
    "resnet20": 1024,
    "alexnet": 512,
    "vgg_d": 128,
    "googlenet": 256,
    "inception_v3": 128,
    "resnet18": 256,
    "resnet50": 256,
    "resnet152": 128,
    "densenet121": 128,
}
LOOPS = 4
LEARNING_RATE = 0.01
PRECISIONS = ("float32", "bfloat16")
RATIOS = {"ours/torch": "step", "loop/torch": "loop"}


def benchmark_steps(
    *, only: str = "", rounds: int = 5, precision: str = "float32", report: Callable[[dict[str, Any]], object] = print
) -> list[dict[str, Any]]:
    """Compiles and times the training step of a run for every network in whose name a text occurs.

    Where PyTorch is installed, its step of the same network runs in turn in the same rounds: the same layers and
    parameters, forward in training mode with dropout, loss, gradients and SGD with momentum, in float32 or by autocast.
    Ours also measures accuracy and norms. On an accelerator the images lie there, batches are those of ON_ACCELERATOR,
    and PyTorch's step is compiled too.

    Args:
      only: text that the name contains.
      rounds: measurements of each.
      precision: what the layers compute in, float32 or bfloat16.
      report: called with each row as it is done.
    Returns:
      list of dicts: network, batch, input, precision; compile (seconds, no cache), step and loop (median seconds of a
      step called from Python and inside lax.scan), images_s, temporary (bytes that the program takes besides its
      arguments), peak (the share of `matrix_peak` that the step's products reach); torch, a dict from PyTorch's
      contenders to median seconds, best, the name of its fastest, and the ratios ours/torch and loop/torch to that with
      their quartiles, all of these None without PyTorch.
    """
    rows = []
    for name, batch in NETWORKS.items():
        if only in name:
            batch = batch if jax.default_backend() == "cpu" else ON_ACCELERATOR.get(name, batch)
            rows.append(_measure(name, batch, rounds, precision))
            report(rows[-1])
    return rows


def summarize(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """{ratio: its geometric mean over the rows that have it, or None}, and n, how many have."""
    beside = [row for row in rows if row["best"]]
    means = {key: geometric_mean([row[key][0] for row in beside]) if beside else None for key in RATIOS}
    return {**means, "n": len(beside)}


def _measure(name, batch, rounds, precision):
    model, shape = create(name), CLAIMS[name].input
    setup = made_of(model.clone(dtype=jnp.dtype(precision)), shape)
    state, images = first_state(setup), np.random.default_rng(0).standard_normal((batch, *shape), dtype=np.float32)
    programs, calls, seconds = {}, {}, {}
    for kind, steps in (("step", 1), ("loop", LOOPS)):
        arguments = setup.replicas.replicate(state), {}, examples(setup, images, steps=steps)
        programs[kind], calls[kind], seconds[kind] = program_and_call(chunk(setup, steps=steps), *arguments)
    calls |= _torch_contenders(name, images, np.arange(batch) % len(setup.classes), precision)
    times = interleaved(calls, rounds=rounds)
    times["loop"] = times["loop"] / LOOPS
    medians = {kind: float(np.median(t)) for kind, t in times.items()}
    return {
        "network": name,
        "batch": batch,
        "input": shape,
        "precision": precision,
        "compile": seconds["step"],
        "step": medians["step"],
        "loop": medians["loop"],
        "images_s": batch / medians["step"],
        "temporary": programs["step"].memory_analysis().temp_size_in_bytes,
        "peak": share_of_peak(CLAIMS[name].macs, batch, medians["step"], precision),
        **_beside(times, medians),
    }


def _torch_contenders(name, images, labels, precision):
    if importlib.util.find_spec("torch") is None:
        return {}
    from jaxcnn.benchmark import torch_steps

    accelerator = jax.default_backend() != "cpu"
    options = {"precision": precision, "accelerator": accelerator, "learning_rate": LEARNING_RATE}
    return torch_steps.contenders(name, images, labels, **options)


def _beside(times, medians):
    others = {kind: seconds for kind, seconds in medians.items() if kind.startswith("torch")}
    best = min(others, key=others.__getitem__, default=None)
    ratios = {key: ratio(times[ours], times[best]) if best else None for key, ours in RATIOS.items()}
    return {"torch": others or None, "best": best, **ratios}


def made_of(
    model: Any, shape: Sequence[int], *, task: str = "classification", options: dict[str, Any] | None = None
) -> Setup:
    """The Setup of a run of this model with the default config, on one device: SGD with momentum.

    The classes are as many as the last axis of what the model returns has places; for their images, of `shape`, stands
    one that is black. `task` and `options` are config.task.name and config.task.options.
    """
    config = default_config()
    config.optimizer.learning_rate = LEARNING_RATE
    config.task.name, config.task.options = task, options or {}
    image = jax.ShapeDtypeStruct((1, *shape), np.float32)
    (result, _), _ = jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x, train=False), image)
    black = np.zeros((1, *shape), np.uint8), np.zeros(1, np.int32)
    images = Arrays("black", {"train": black}, tuple(map(str, range(result.shape[-1]))))
    return Setup(
        config=config,
        train=Records(images, "train"),
        shape=tuple(shape),
        crop=None,
        held_out={},
        model=model,
        kind=TASKS[task],
        loss=softmax_cross_entropy,
        replicas=Replicas(config.parallel, jax.devices()[:1]),
        steps_per_epoch=1.0,
        total=1,
        plan=Plan(),
    )


def chunk(setup: Setup, *, steps: int = 1) -> Callable[..., Any]:
    """The mapped f(state, data, inputs) of so many training steps, of images that are normalised."""
    return setup.replicas.map(make_chunk(setup.train_step(setup.bare_task), steps=steps))


def first_state(setup: Setup) -> Any:
    """The state of a Setup before the first step, on the host."""
    return jax.device_get(dataclasses.replace(draw_state(setup), key=None)).replace(key=jax.random.key(0))


def examples(setup: Setup, images: np.ndarray, *, steps: int = 1) -> Any:
    """The inputs of a chunk: these images (n, h, w, c) in each of its steps, labelled in turn."""
    n, classes = len(images), len(setup.classes)
    batch = {
        "image": images,
        "label": np.arange(n, dtype=np.int32) % classes,
        "mask": np.ones(n, np.float32),
        "index": np.arange(n, dtype=np.int32),
    }
    return setup.replicas.shard({name: np.stack([x] * steps) for name, x in batch.items()})


def program_and_call(
    mapped: Callable[..., Any], state: Any, data: Any, inputs: Any
) -> tuple[Any, Callable[[], None], float]:
    """(The program, a function of which each call continues from the one before, seconds to compile)."""
    start = time.perf_counter()
    program = compiled(mapped, state, data, inputs)
    seconds = time.perf_counter() - start
    held = [jax.tree.map(jnp.copy, state)]  # a program takes away the arrays that it is given

    def call():
        held[0], _ = program(held[0], data, inputs)
        jax.block_until_ready(held[0])

    return program, call, seconds
