"""The parts of the accelerator kit that no verb has: each returns what it found as JSON values."""

import functools
import hashlib
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import data, train
from jaxcnn.architectures import CLAIMS, create
from jaxcnn.benchmark import steps
from jaxcnn.benchmark.population import benchmark_population
from jaxcnn.benchmark.profile import largest_operations, operations_table
from jaxcnn.benchmark.timing import interleaved, ratio
from jaxcnn.files import read_json
from jaxcnn.shipped import shipped
from jaxcnn.training.compilation import compiled, use_persistent_cache
from jaxcnn.training.config import load_config
from jaxcnn.training.rundir.log import read_metrics

FULL, TINY = False, True
SAME_NETWORKS = {FULL: ("lenet5_common", "resnet20", "convnet", "densenet_40_12", "resnet18"), TINY: ("lenet5_common",)}
FLOAT32_ERROR, BFLOAT16_ERROR = 1e-3, 0.1  # of the logits, in the norm; bfloat16 has 8 bits a layer
POPULATION = {FULL: {"resnet20": (128, (1, 4, 16))}, TINY: {"mlp": (8, (2,))}}
PHOTOGRAPHS = {FULL: 2048, TINY: 24}
FED_BATCHES = {FULL: 60, TINY: 2}
SPEED_SEEDS = {FULL: 5, TINY: 1}
DETERMINISTIC_STEPS = {FULL: 200, TINY: 2}


def same_numbers(folder: pathlib.Path, tiny: bool) -> dict:
    """Logits of networks on this device beside the CPU's in float32: in float32 at full precision, and in bfloat16.

    Raises:
      AssertionError: a relative error, in the norm over the logits of 4 images, is above the bound.
    """
    found = {}
    for name in SAME_NETWORKS[tiny]:
        images = np.random.default_rng(0).standard_normal((4, *CLAIMS[name].input), dtype=np.float32)
        model = create(name)
        with jax.default_device(jax.devices("cpu")[0]):
            variables = jax.jit(lambda x, model=model: model.init(jax.random.key(0), x, train=False))(images)
            apply = jax.jit(lambda v, x, model=model: model.apply(v, x, train=False)[0])
            expected = np.asarray(apply(variables, images))
        here = jax.device_put((variables, images), jax.devices()[0])
        errors = {}
        for dtype, precision in (("float32", "highest"), ("bfloat16", "default")):
            model = create(name).clone(dtype=jnp.dtype(dtype))
            with jax.default_matmul_precision(precision):
                logits = jax.jit(lambda v, x, model=model: model.apply(v, x, train=False)[0])(*here)
            errors[dtype] = float(np.linalg.norm(logits - expected) / np.linalg.norm(expected))
        found[name] = errors
        assert errors["float32"] < FLOAT32_ERROR and errors["bfloat16"] < BFLOAT16_ERROR, f"{name}: {errors}"
    return found


def profile_worst(folder: pathlib.Path, tiny: bool) -> dict:
    """The ten largest operations of the training step that is furthest behind PyTorch, else from the peak.

    Raises:
      FileNotFoundError: no part has timed steps yet.
    """
    rows = [row for path in sorted(folder.glob("steps_*.rows.json")) for row in read_json(path)["rows"]]
    if not rows:
        raise FileNotFoundError(f"{folder} has no steps_*.rows.json; run the parts steps_* first")
    beside = [row for row in rows if row["best"]]
    worst = max(beside, key=lambda row: row["ours/torch"][0]) if beside else min(rows, key=lambda row: row["peak"])
    _, call = _training(worst["network"], worst["batch"], worst["precision"])
    call()
    found = largest_operations(call)
    (folder / "profile.md").write_text(f"{worst['network']}, {worst['precision']}\n\n{operations_table(found)}\n")
    return {"network": worst["network"], "precision": worst["precision"], "operations": found}


def population(folder: pathlib.Path, tiny: bool) -> dict:
    """The step of 16 resnet20 in one program; `ratio` is the time a member over that of the run alone."""
    return {"rows": benchmark_population(rounds=1 if tiny else 5, networks=POPULATION[tiny])}


def feed(folder: pathlib.Path, tiny: bool) -> dict:
    """Images/s of resnet50 in bfloat16 on one batch that stays, of the loader alone, and of the loader feeding it.

    The photographs are drawn by the kit: JPEG files of 500x375, cut at random to 224x224.
    """
    network, batch = ("lenet5_common", 8) if tiny else ("resnet50", 256)
    shape = CLAIMS[network].input
    setup, resident = _training(network, batch, "bfloat16")
    program = compiled(steps.chunk(setup), *(arguments := _arguments(setup, batch, shape)))
    state, metrics = arguments[0], ()
    with tempfile.TemporaryDirectory() as photographs:
        _draw_photographs(pathlib.Path(photographs), PHOTOGRAPHS[tiny])
        size = {"image_size": shape[:2], "channels": shape[2]}
        records = data.load(f"folder:{photographs}", "train", **size)
        order = data.Order(len(records), seed=0)
        with data.stream(records, order, batch_size=batch, crop=data.ResizedCrop()) as batches:
            alone = _rate(lambda: next(batches), batch, FED_BATCHES[tiny])

            def fed():
                """A step behind whose start the next batch is read, as in training: the one before has to be done."""
                nonlocal state, metrics
                images = next(batches)["image"]
                last, (state, metrics) = metrics, program(state, {}, steps.examples(setup, images))
                jax.block_until_ready(last)

            with_step = _rate(fed, batch, FED_BATCHES[tiny], finish=lambda: jax.block_until_ready(state))
    step = _rate(resident, batch, FED_BATCHES[tiny])
    return {
        "network": network,
        "batch": batch,
        "step images/s": step,
        "loader images/s": alone,
        "fed images/s": with_step,
    }


def speed(folder: pathlib.Path, tiny: bool) -> dict:
    """Runs configs/cifar10_speed.py with several seeds: last test accuracies, their mean, seconds without compilation.

    A seed that has ended is not run again.
    """
    changes = []
    if tiny:
        changes = ["--config.data.name=digits", "--config.data.image_size=(8, 8)", "--config.duration=2 steps"]
        changes += [
            "--config.model.options.widths=(4,)",
            "--config.batch_size=32",
            "--config.evaluation.batch_size=360",
        ]
        changes += ["--config.data.train=train[:64]", "--config.data.validation=train[64:80]"]
    runs = []
    for seed in range(SPEED_SEEDS[tiny]):
        config = load_config([f"--config={shipped('configs', 'cifar10_speed')}", f"--config.seed={seed}", *changes])
        result = train(config, folder / "speed" / str(seed), quiet=True)
        rows = [row for row in read_metrics(result.workdir) if row.get("split") == "train"]
        runs.append({"seed": seed, "top1": result.test["top1"], "seconds": rows[-1]["seconds"] if rows else None})
    accuracies, seconds = [run["top1"] for run in runs], [run["seconds"] for run in runs if run["seconds"]]
    means = {"mean top1": float(np.mean(accuracies)), "mean seconds": float(np.mean(seconds)) if seconds else None}
    return {"runs": runs, "n": len(runs), **means, "std top1": float(np.std(accuracies, ddof=1)) if runs[1:] else None}


def determinism(folder: pathlib.Path, tiny: bool) -> dict:
    """Two processes that compile and train resnet20 with deterministic kernels end with equal bits; and their price.

    Raises:
      AssertionError: they do not.
    """
    network, runs = _kernels(tiny)
    digests = [_trained_apart(tiny) for _ in range(2)]
    same = {name: digests[0][name] == digests[1][name] for name in runs}
    assert same["deterministic"], "two processes with deterministic kernels differ"
    times = interleaved(runs, rounds=5 if not tiny else 1, slow_s=math.inf)
    price = ratio(times["deterministic"], times["default"])
    return {"network": network, "steps": DETERMINISTIC_STEPS[tiny], "same bits": same, "price": price}


def trained(folder: pathlib.Path, tiny: bool) -> dict:
    """{"default", "deterministic"}: digests of the parameters that training with either kernels ends with."""
    _, runs = _kernels(tiny)
    return {name: hashlib.sha256(b"".join(x.tobytes() for x in run())).hexdigest() for name, run in runs.items()}


def _trained_apart(tiny):
    """What `trained` returns in a process of its own that finds nothing compiled."""
    with tempfile.TemporaryDirectory() as folder:
        kit = pathlib.Path(__file__).with_name("accelerator.py")
        command = [sys.executable, str(kit), "measure", "trained", "--output", folder, *(["--tiny"] if tiny else [])]
        environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": f"{folder}/cache"}
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        return read_json(pathlib.Path(folder) / "trained.rows.json")


def _kernels(tiny):
    """(The network, {"default", "deterministic": f() -> its parameters after DETERMINISTIC_STEPS with them})."""
    network, batch = ("lenet5_common", 8) if tiny else ("resnet20", 128)
    setup, shape = steps.made_of(create(network), CLAIMS[network].input), CLAIMS[network].input
    first, nothing, inputs = _arguments(setup, batch, shape)

    def run(program):
        state = jax.tree.map(jnp.copy, first)  # a step takes its state's memory
        for _ in range(DETERMINISTIC_STEPS[tiny]):
            state, _ = program(state, nothing, inputs)
        return [np.asarray(x) for x in jax.tree.leaves(state.params)]

    runs = {}
    for name in ("default", "deterministic"):
        program = compiled(steps.chunk(setup), first, nothing, inputs, deterministic=name == "deterministic")
        runs[name] = functools.partial(run, program)
    return network, runs


MEASURES: dict[str, Callable[[pathlib.Path, bool], dict]] = {
    "numbers": same_numbers,
    "profile": profile_worst,
    "population": population,
    "feed": feed,
    "speed": speed,
    "determinism": determinism,
    "trained": trained,
}


def measure(name: str, folder: pathlib.Path, tiny: bool) -> dict:
    """Runs one of MEASURES with the compilation cache on."""
    use_persistent_cache()
    return MEASURES[name](folder, tiny)


def _arguments(setup, batch, shape):
    images = np.random.default_rng(0).integers(0, 256, (batch, *shape), dtype=np.uint8)
    return setup.replicas.replicate(steps.first_state(setup)), {}, steps.examples(setup, images)


def _training(network, batch, precision):
    """(Setup, a function that takes a step on a batch that stays on the device)."""
    setup = steps.made_of(create(network).clone(dtype=jnp.dtype(precision)), CLAIMS[network].input)
    _, call, _ = steps.program_and_call(steps.chunk(setup), *_arguments(setup, batch, CLAIMS[network].input))
    return setup, call


def _rate(call, batch, count, finish=lambda: None):
    """Images/s of so many calls, up to the end of `finish`, behind one that is not measured."""
    call()
    finish()
    start = time.perf_counter()
    for _ in range(count):
        call()
    finish()
    return batch * count / (time.perf_counter() - start)


def _draw_photographs(folder, count):
    """JPEG files of smooth noise in two class folders."""
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(count):
        small = Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        path = folder / "train" / "ab"[number % 2] / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        small.resize((500, 375), Image.Resampling.BICUBIC).save(path, quality=90)
