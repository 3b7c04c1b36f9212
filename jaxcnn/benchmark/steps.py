"""Whole training steps: how long they take to compile and to run, called and inside `lax.scan`, and their memory."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from jaxcnn.architectures import CLAIMS, create
from jaxcnn.benchmark.timing import interleaved
from jaxcnn.operators import multi_head, softmax_cross_entropy
from jaxcnn.training.compilation import compiler_options
from jaxcnn.training.step import auxiliary_logits

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
    """Compiles and times one step of SGD with momentum for every network in whose name a text occurs.

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
    images = jnp.asarray(np.random.default_rng(0).standard_normal((batch, *shape), dtype=np.float32))
    step, state = train_step(model, images)
    programs, seconds = {}, {}
    for kind, function in (("step", step), ("loop", _looped(step))):
        start = time.perf_counter()
        programs[kind] = jax.jit(function).lower(state).compile(compiler_options=compiler_options())
        seconds[kind] = time.perf_counter() - start
    calls = {kind: _call(program, state) for kind, program in programs.items()}
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


def train_step(model, images):
    """(step, state): `step(state) -> state` of SGD with momentum on one batch, auxiliary heads at 0.3."""
    variables = jax.jit(lambda: model.init(jax.random.key(0), images, train=False))()
    optimizer = optax.sgd(0.01, momentum=0.9)

    def loss(params, stats):
        (logits, features), changed = model.apply(
            {"params": params, "batch_stats": stats},
            images,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(1)},
        )
        targets = jax.nn.one_hot(jnp.arange(len(images)) % logits.shape[1], logits.shape[1])
        heads = [logits, *auxiliary_logits(features)]
        weights = [1.0] + [0.3] * (len(heads) - 1)
        return jnp.mean(multi_head(heads, targets, weights=weights, loss=softmax_cross_entropy)), changed

    def step(state):
        params, stats, momentum = state
        gradients, changed = jax.grad(loss, has_aux=True)(params, stats)
        updates, momentum = optimizer.update(gradients, momentum, params)
        return optax.apply_updates(params, updates), changed.get("batch_stats", {}), momentum

    params = variables["params"]
    return step, (params, variables.get("batch_stats", {}), optimizer.init(params))


def _looped(step):
    return lambda state: lax.scan(lambda state, _: (step(state), None), state, length=LOOPS)[0]


def _call(program, state):
    return lambda: jax.block_until_ready(program(state))
