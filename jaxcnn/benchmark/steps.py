"""Whole training steps: how long they take to compile and to run, called and inside `lax.scan`, and their memory."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.architectures import CLAIMS, create
from jaxcnn.benchmark.timing import interleaved
from jaxcnn.data import Arrays, Records
from jaxcnn.operators import softmax_cross_entropy
from jaxcnn.tasks import TASKS
from jaxcnn.training.compilation import compiled
from jaxcnn.training.config import default_config
from jaxcnn.training.finetune.plan import Plan
from jaxcnn.training.parallel import Replicas
from jaxcnn.training.setup import Setup
from jaxcnn.training.state import create_state
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
LOOPS = 4


def benchmark_steps(*, only="", rounds=5, report=print):
    """Compiles and times the training step of a run for every network in whose name a text occurs.

    Args:
      only: text that the name contains.
      rounds: measurements of each.
      report: called with each row as it is done.
    Returns:
      list of dicts: network, batch, input; compile (seconds, no cache), step and loop (median seconds of a step called
      from Python and inside lax.scan), images_s, temporary (bytes that the program takes besides its arguments).
    """
    rows = []
    for name, batch in NETWORKS.items():
        if only in name:
            rows.append(_measure(name, batch, rounds))
            report(rows[-1])
    return rows


def _measure(name, batch, rounds):
    model, shape = create(name), CLAIMS[name].input
    setup = made_of(model, shape)
    state, images = first_state(setup), np.random.default_rng(0).standard_normal((batch, *shape), dtype=np.float32)
    programs, calls, seconds = {}, {}, {}
    for kind, steps in (("step", 1), ("loop", LOOPS)):
        arguments = setup.replicas.replicate(state), {}, examples(setup, images, steps=steps)
        programs[kind], calls[kind], seconds[kind] = program_and_call(chunk(setup, steps=steps), *arguments)
    times = {kind: float(np.median(t)) for kind, t in interleaved(calls, rounds=rounds).items()}
    return {
        "network": name,
        "batch": batch,
        "input": shape,
        "compile": seconds["step"],
        "step": times["step"],
        "loop": times["loop"] / LOOPS,
        "images_s": batch / times["step"],
        "temporary": programs["step"].memory_analysis().temp_size_in_bytes,
    }


def made_of(model, shape, *, task="classification", options=None):
    """The Setup of a run of this model with the default config, on one device: SGD with momentum.

    The classes are as many as the last axis of what the model returns has places; for their images, of `shape`, stands
    one that is black. `task` and `options` are config.task.name and config.task.options.
    """
    config = default_config()
    config.optimizer.learning_rate = 0.01
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


def chunk(setup, *, steps=1):
    """The mapped f(state, data, inputs) of so many training steps, of images that are normalised."""
    return setup.replicas.map(make_chunk(setup.train_step(setup.bare_task), steps=steps))


def first_state(setup):
    """The state of a Setup before the first step, on the host."""
    create = jax.jit(lambda: create_state(setup))
    return jax.device_get(create().replace(key=None)).replace(key=jax.random.key(0))


def examples(setup, images, *, steps=1):
    """The inputs of a chunk: these images (n, h, w, c) in each of its steps, labelled in turn."""
    n, classes = len(images), len(setup.classes)
    batch = {
        "image": images,
        "label": np.arange(n, dtype=np.int32) % classes,
        "mask": np.ones(n, np.float32),
        "index": np.arange(n, dtype=np.int32),
    }
    return setup.replicas.shard({name: np.stack([x] * steps) for name, x in batch.items()})


def program_and_call(mapped, state, data, inputs):
    """(The program, a function of which each call continues from the one before, seconds to compile)."""
    start = time.perf_counter()
    program = compiled(mapped, state, data, inputs)
    seconds = time.perf_counter() - start
    held = [jax.tree.map(jnp.copy, state)]  # a program takes away the arrays that it is given

    def call():
        held[0], _ = program(held[0], data, inputs)
        jax.block_until_ready(held[0])

    return program, call, seconds
