"""How time, memory and compilation grow: with steps, images, members, devices, classes and the size of an image."""

import dataclasses
import json
import os
import pathlib
import tempfile
from collections.abc import Callable

import jax
import numpy as np
import scipy.stats

from jaxcnn.architectures import create
from jaxcnn.benchmark import population, steps
from jaxcnn.benchmark.child import run_module
from jaxcnn.benchmark.timing import interleaved
from jaxcnn.training.parallel import Replicas
from jaxcnn.training.setup import set_up

SIZES = {
    "steps": (1, 2, 4, 8, 16),  # in one compiled call, by lax.scan
    "images": (16, 32, 64, 128, 256),  # in a batch
    "members": (1, 2, 4, 8, 16),  # of a population
    "devices": (1, 2, 4, 8),  # each with a batch of its own
    "classes": (10, 100, 1000, 10_000),
    "image size": (16, 32, 64, 128),  # side in pixels; the work grows with its square
}
MEASURES = ("seconds", "bytes", "compile")
BATCH, SIDE = 16, 32
SIMULATED = "--xla_force_host_platform_device_count=8"


def benchmark_growth(*, only: str = "", rounds: int = 5, report: Callable[[dict], None] = print) -> list[dict]:
    """Times a training step of an 8-layer ResNet (16 images of 32x32x3; members: LeNet-5) at several sizes.

    All sizes of a subject are timed in turn in every round. On a CPU the devices are simulated, in a process of their
    own, and share its cores: there time grows with their number.

    Args:
      only: text that the subject contains.
      rounds: measurements of each size.
      report: called with each row as it is done.
    Returns:
      list of dicts: subject; points, a list of {"size", "seconds" (median of a call), "bytes" (of arguments, results
      and temporary arrays on one device), "compile" (seconds, no cache)}; exponents, {measure: see `exponent`}.
    Raises:
      InputError: the process of the simulated devices failed.
    """
    rows = []
    for subject, sizes in SIZES.items():
        if only in subject:
            if subject == "devices" and len(jax.devices()) < max(sizes) and jax.default_backend() == "cpu":
                rows.append(_simulated(rounds))
            else:
                rows.append(_row(subject, sizes, rounds))
            report(rows[-1])
    return rows


def exponent(sizes: list, values: list) -> tuple[float, float] | None:
    """The slope of log(value) over log(size) by least squares, and its standard error; None of fewer than 3 sizes.

    1 is growth in proportion, 0 none. A constant part, as the start of a call, lowers it.
    """
    if len(sizes) < 3:
        return None
    fit = scipy.stats.linregress(np.log(sizes), np.log(values))
    return float(fit.slope), float(fit.stderr)


def _row(subject, sizes, rounds):
    sizes = [size for size in sizes if subject != "devices" or size <= len(jax.devices())]
    made = {size: _made(subject, size) for size in sizes}
    times = interleaved({size: call for size, (_, call, _) in made.items()}, rounds=rounds)
    points = [
        {"size": size, "seconds": float(np.median(times[size])), "bytes": _bytes(program), "compile": compile_s}
        for size, (program, _, compile_s) in made.items()
    ]
    exponents = {key: exponent(sizes, [point[key] for point in points]) for key in MEASURES}
    return {"subject": subject, "points": points, "exponents": exponents}


def _made(subject, size):
    """`program_and_call` of a subject at a size."""
    if subject == "members":
        setup = set_up(population.digits_config("lenet5_common", BATCH), devices=jax.devices()[:1])
        return population.together(setup, steps.first_state(setup), size)
    at = {"steps": 1, "images": BATCH, "devices": 1, "classes": 10, "image size": SIDE, subject: size}
    shape = (at["image size"], at["image size"], 3)
    setup = steps.made_of(create("resnet20", num_classes=at["classes"]).clone(depth=8), shape)
    if subject == "devices":
        setup = dataclasses.replace(setup, replicas=Replicas(setup.config.parallel, jax.devices()[:size]))
    images = np.random.default_rng(0).standard_normal((at["images"] * at["devices"], *shape), dtype=np.float32)
    state = setup.replicas.replicate(steps.first_state(setup))
    inputs = steps.examples(setup, images, steps=at["steps"])
    return steps.program_and_call(steps.chunk(setup, steps=at["steps"]), state, {}, inputs)


def _bytes(program):
    found = program.memory_analysis()
    held = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
    return held + found.temp_size_in_bytes


def _simulated(rounds):
    """The row of 8 simulated devices, from a process in which JAX has them."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} {SIMULATED}".strip()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "rows.json"
        options = ("--only", "devices", "--rounds", rounds, "--output", path)
        run_module("jaxcnn", "benchmark", "growth", *options, XLA_FLAGS=flags)
        return json.loads(path.read_text())["rows"][0]
