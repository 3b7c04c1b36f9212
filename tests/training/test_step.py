"""The step: what counts, what does not, and what it keeps, on a network of 690 parameters."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.tasks.classification import top_k_correct
from jaxcnn.training.loop import evaluation_variables
from jaxcnn.training.setup import set_up
from jaxcnn.training.state import create_state
from jaxcnn.training.step import make_chunk

ONE = jax.devices()[:1]
QUICK = {"xla_backend_optimization_level": 0}  # half the time to compile


class Bench:
    """One step after another of a config's network, on batches that the test gives."""

    def __init__(self, config, *, devices=ONE, model=None, **about):
        self.setup = set_up(config, devices=devices)
        self.setup = dataclasses.replace(self.setup, model=model or self.setup.model)
        self.task = self.setup.kind.create(self.setup.about()._replace(**about))
        step = self.setup.train_step(self.task)
        self.mapped = self.setup.replicas.map(make_chunk(step, steps=1), donate=False)
        self.state, self.programs = self.setup.replicas.replicate(create_state(self.setup)), {}

    def step(self, batch, state=None):
        """(state, metrics) after a step from `state`, or from the start."""
        state = self.state if state is None else state
        inputs = self.setup.replicas.shard({key: value[None] for key, value in batch.items()})
        shape = batch["image"].shape
        if shape not in self.programs:
            self.programs[shape] = self.mapped.lower(state, {}, inputs).compile(compiler_options=QUICK)
        state, metrics = self.programs[shape](state, {}, inputs)
        return state, {key: float(value[0]) for key, value in metrics.items()}


def make_batch(n, seed=0, mask=None):
    generator = np.random.default_rng(seed)
    return {
        "image": generator.integers(0, 256, (n, 8, 8, 1), dtype=np.uint8),
        "label": generator.integers(0, 10, n).astype(np.int32),
        "mask": np.ones(n, np.float32) if mask is None else np.asarray(mask, np.float32),
        "index": np.arange(n, dtype=np.int32),
    }


def select(batch, rows):
    return {key: value[rows] for key, value in batch.items()}


def assert_same(left, right, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), left, right)


def distance(left, right):
    return max(jax.tree.leaves(jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), left, right)))


def logits_of(bench, batch):
    images = batch["image"].astype(np.float32) / 255
    variables = {"params": bench.state.params, "batch_stats": bench.state.batch_stats}
    return np.asarray(bench.setup.model.apply(variables, images, train=False)[0], np.float64)


def log_softmax(logits):
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_equal_logits_do_not_all_count():
    """Ties go to the lower class index."""
    logits, labels = jnp.zeros((7, 7)), jnp.arange(7)
    np.testing.assert_array_equal(top_k_correct(logits, labels, k=1), [1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(top_k_correct(logits, labels, k=5), [1, 1, 1, 1, 1, 0, 0])


def test_a_row_with_a_nan_is_wrong():
    logits = jnp.array([[3.0, 1.0, jnp.nan], [jnp.nan, 1.0, 0.0], [3.0, 1.0, 0.0], [jnp.inf, 1.0, 0.0]])
    np.testing.assert_array_equal(top_k_correct(logits, jnp.array([0, 0, 0, 0]), k=1), [0, 0, 1, 1])
    np.testing.assert_array_equal(top_k_correct(logits, jnp.array([0, 0, 2, 2]), k=3), [0, 0, 1, 1])


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_equals_a_stable_sort(k):
    generator = np.random.default_rng(0)
    logits = generator.integers(0, 4, (200, 8)).astype(np.float32)  # many ties
    labels = generator.integers(0, 8, 200)
    first = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    expected = (first == labels[:, None]).any(axis=1)
    np.testing.assert_array_equal(top_k_correct(jnp.asarray(logits), jnp.asarray(labels), k=k), expected)


def norm(tree):
    return np.sqrt(sum((np.asarray(leaf, np.float64) ** 2).sum() for leaf in jax.tree.leaves(tree)))


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_metrics_are_sums_over_the_batch(tiny_config, smoothing):
    """The target is (1 - e) one_hot + e / K: Szegedy et al. 2015, arXiv:1512.00567, section 7."""
    bench, batch = Bench(tiny_config({"loss.label_smoothing": smoothing})), make_batch(12)
    _, metrics = bench.step(batch)
    logits = logits_of(bench, batch)
    targets = (1 - smoothing) * np.eye(10)[batch["label"]] + smoothing / 10
    assert metrics["loss"] == pytest.approx(-(targets * log_softmax(logits)).sum(), rel=1e-5)
    ranked = np.argsort(-logits, axis=1, kind="stable")
    assert metrics["top1"] == (ranked[:, 0] == batch["label"]).sum()
    assert metrics["top5"] == (ranked[:, :5] == batch["label"][:, None]).sum()
    assert metrics["seen"] == 12
    assert metrics["learning_rate"] == pytest.approx(0.1)


def test_the_gradient_is_that_of_the_mean_loss(tiny_config):
    bench, batch = Bench(tiny_config({"optimizer.momentum": 0.0, "optimizer.learning_rate": 0.5})), make_batch(6)

    def mean_loss(params):
        logits, _ = bench.setup.model.apply({"params": params}, batch["image"].astype(np.float32) / 255, train=False)
        return -jnp.mean(jnp.sum(jax.nn.one_hot(batch["label"], 10) * jax.nn.log_softmax(logits), axis=1))

    gradient = jax.grad(mean_loss)(bench.state.params)
    state, metrics = bench.step(batch)
    moved = jax.tree.map(lambda old, new: (old - new) / 0.5, bench.state.params, state.params)
    assert_same(moved, gradient, rtol=1e-3, atol=1e-6)
    assert metrics["gradient_norm"] == pytest.approx(norm(gradient), rel=1e-4)


@pytest.mark.parametrize("width", [4, 400])
def test_a_norm_is_of_all_parameters_small_and_large(tiny_config, width):
    bench = Bench(tiny_config({"model.options": {"widths": (4,), "convolutions": 1, "hidden": (width,)}}))
    sizes = {x.size for x in jax.tree.leaves(bench.state.params)}
    assert min(sizes) == 4 and (max(sizes) > 4096) == (width == 400)
    state, metrics = bench.step(make_batch(6))
    assert metrics["parameter_norm"] == pytest.approx(norm(state.params), rel=1e-6)


@pytest.mark.parametrize("devices", [pytest.param(1, marks=pytest.mark.long), 4])
def test_masked_records_count_nowhere(tiny_config, devices):
    kept = np.array([0, 2, 3, 6, 7])
    batch = make_batch(8, mask=np.isin(np.arange(8), kept))
    bench = Bench(tiny_config({"optimizer.weight_decay": 0.01}), devices=jax.devices()[:devices])
    state, metrics = bench.step(batch)
    expected, wanted = Bench(tiny_config({"optimizer.weight_decay": 0.01})).step(select(batch, kept))
    assert wanted["seen"] == metrics["seen"] == 5
    assert_same(metrics, wanted, rtol=1e-5)
    assert_same(state.params, expected.params, rtol=1e-4, atol=1e-6)
    every, _ = bench.step({**batch, "mask": np.ones(8, np.float32)})
    assert distance(every.params, state.params) > 1e-4  # the masked ones would have changed it


@pytest.mark.parametrize("parts", [pytest.param(1, marks=pytest.mark.long), 2])
def test_images_that_were_left_out_do_not_enter_batch_norm(tiny_config, parts):
    """A batch of 64 with 16 left out trains as the 48 alone do; each part has as many of them."""

    def config(accumulate):
        made = tiny_config({"data.on_error": "skip", "optimizer.accumulate": accumulate})
        made.model.options.batch_norm = True
        return made

    mask = np.arange(64) % 4 > 0
    batch = make_batch(64, mask=mask)
    batch["image"][~mask] = 0  # as they are given
    state, metrics = Bench(config(parts)).step(batch)
    expected, wanted = Bench(config(parts)).step(select(batch, mask))
    assert_same(metrics, wanted, rtol=1e-5)
    assert_same(state.batch_stats, expected.batch_stats, rtol=1e-5, atol=1e-7)
    assert_same(state.params, expected.params, rtol=1e-4, atol=1e-6)


BLOCKS = """
from typing import Any

import flax.linen as nn
from jaxcnn.operators import BatchNorm, Dropout


class Block(nn.Module):
    norm: Any

    @nn.compact
    def __call__(self, x, train):
        x = self.norm(name="norm")(nn.Conv(4, (3, 3), name="conv")(x), train=train)
        return Dropout(0.5)(nn.relu(x), train=train)


class Rematerialised(nn.Module):
    remat: bool = True
    norm: Any = BatchNorm

    @nn.compact
    def __call__(self, x, *, train: bool):
        block = nn.remat(Block, static_argnums=(2,)) if self.remat else Block
        return nn.Dense(10, name="output")(block(self.norm, name="block")(x, train).mean(axis=(1, 2))), {}
"""


def test_inside_remat_modules_know_which_images_they_have(tiny_config, user_package):
    """What was left out enters no statistics, and an image's dropout is that of its place, on two devices too."""
    user_package("jaxcnn_test_step", BLOCKS)
    batch = make_batch(64, mask=(mask := np.arange(64) % 4 > 0))
    batch["image"][~mask] = 0

    def step(remat, devices):
        options = {"model.name": "jaxcnn_test_step:Rematerialised", "model.options": {"remat": remat}}
        config = tiny_config({"data.on_error": "skip", "model.batch_norm": "synchronized", **options})
        return Bench(config, devices=jax.devices()[:devices]).step(batch)

    expected, wanted = step(False, 1)
    for devices in (1, 2):
        state, metrics = step(True, devices)
        assert_same(metrics, wanted, rtol=1e-5)
        assert_same(state.batch_stats, expected.batch_stats, rtol=1e-5, atol=1e-7)
        assert_same(state.params, expected.params, rtol=1e-4, atol=1e-6)


def test_a_batch_of_nothing_changes_nothing(tiny_config):
    bench = Bench(tiny_config())
    state, metrics = bench.step(make_batch(4, mask=np.zeros(4)))
    assert (metrics["seen"], metrics["loss"], metrics["gradient_norm"]) == (0, 0, 0)
    assert_same(state.params, bench.state.params, rtol=0)


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_parts_equal_one_batch(tiny_config, parts):
    batch = make_batch(8, mask=[1, 1, 1, 1, 1, 1, 0, 1])
    whole, wanted = Bench(tiny_config()).step(batch)
    cut, metrics = Bench(tiny_config({"optimizer.accumulate": parts})).step(batch)
    assert_same(metrics, wanted, rtol=1e-5)
    assert_same(cut.params, whole.params, rtol=1e-4, atol=1e-6)


def test_the_average_of_weights_and_statistics(tiny_config):
    config = tiny_config({"optimizer.ema": 0.75})
    config.model.options.batch_norm = True
    bench = Bench(config)
    state, average = bench.state, jax.tree.map(np.asarray, evaluation_variables(bench.state))
    for decay in (2 / 11, 3 / 12, 4 / 13, 0.75):  # min(0.75, (1 + t) / (10 + t)) after the update of number t
        if decay == 0.75:
            state = state.replace(step=state.step + 23)  # t = 27: 28 / 37
        state, _ = bench.step(make_batch(4, seed=int(state.step)), state)
        new = {"params": state.params, "batch_stats": state.batch_stats}
        average = jax.tree.map(lambda a, p, d=decay: d * a + (1 - d) * np.asarray(p), average, new)
    assert evaluation_variables(state) is state.ema
    assert_same(state.ema, average, rtol=1e-5, atol=1e-7)
    assert min(distance(state.ema[name], getattr(state, name)) for name in ("params", "batch_stats")) > 1e-3
    assert Bench(tiny_config()).state.ema is None


def test_the_mean_of_the_weights_since_a_step(tiny_config):
    config = tiny_config({"optimizer.swa": "10%"})  # of 20 steps
    config.model.options.batch_norm = True
    bench = Bench(config)
    state, since = bench.state, []
    for step in range(1, 6):
        state, _ = bench.step(make_batch(4, seed=step), state)
        since = [*since, state.params] if step > 2 else [state.params]
        mean = jax.tree.map(lambda *weights: np.mean(weights, axis=0), *since)
        assert_same(state.ema["params"], mean, rtol=1e-5, atol=1e-7)
        assert_same(state.ema["batch_stats"], state.batch_stats, rtol=0)  # until an evaluation, see test_swa.py
    assert len(since) == 4 and distance(state.ema["params"], state.params) > 1e-3


def test_bfloat16_computes_but_keeps_float32(tiny_config):
    def config(dtype):
        made = tiny_config({"model.dtype": dtype})
        made.model.options.batch_norm = True
        return made

    low, high, batch = Bench(config("bfloat16")), Bench(config("float32")), make_batch(16)
    images = jnp.zeros((2, 8, 8, 1))
    variables = {"params": low.state.params, "batch_stats": low.state.batch_stats}
    logits, features = low.setup.model.apply(variables, images, train=False)
    assert features["conv1_1"].dtype == jnp.bfloat16 and logits.dtype == jnp.float32
    state, metrics = low.step(batch)
    kept = (state.params, state.batch_stats, state.opt_state)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(kept)} <= {"float32", "int32"}
    assert distance(state.batch_stats, low.state.batch_stats) > 0
    _, wanted = high.step(batch)
    assert metrics["loss"] == pytest.approx(wanted["loss"], rel=0.02) and metrics["loss"] != wanted["loss"]


class First(nn.Module):
    """Its logits are the first pixel; the scale is there to be trained."""

    num_classes: int = 10

    @nn.compact
    def __call__(self, x, *, train: bool):
        scale = self.param("scale", nn.initializers.ones, ())
        return scale * jnp.broadcast_to(x[:, 0, 0, :1], (x.shape[0], self.num_classes)), {}


def drawn(tiny_config, *, steps=1, **changes):
    """(steps, 8): the number that a random augmentation put into each image, read one image at a time."""
    devices = changes.pop("devices", ONE)
    config = tiny_config({"optimizer.learning_rate": 0.0, **changes})

    def augment(key, image, magnitude):
        return jnp.full_like(image, jax.random.uniform(key))

    bench = Bench(config, devices=devices, model=First(), loss=lambda logits, _: logits[:, 0], augment=augment)
    start, rows = bench.state, []
    for step in range(steps):
        state = dataclasses.replace(start, step=start.step + step)
        rows.append([bench.step(make_batch(8, mask=np.eye(8)[i]), state)[1]["loss"] for i in range(8)])
    return np.array(rows)


def test_augmentation_depends_on_the_step_and_the_position_and_on_nothing_else(tiny_config):
    found = drawn(tiny_config, steps=2)
    assert len(np.unique(found)) == 16
    np.testing.assert_array_equal(drawn(tiny_config), found[:1])
    np.testing.assert_array_equal(drawn(tiny_config, devices=jax.devices()[:8]), found[:1])
    np.testing.assert_array_equal(drawn(tiny_config, **{"optimizer.accumulate": 4}), found[:1])
    assert (drawn(tiny_config, seed=1) != found[:1]).all()


def test_a_masked_image_counts_nowhere_even_where_its_loss_is_not_a_number(tiny_config):
    def loss(logits, _):
        return jnp.where(logits[:, 0] == 0, jnp.nan, logits[:, 0])

    bench, batch = Bench(tiny_config(), model=First(), loss=loss), make_batch(4, mask=(1, 1, 1, 0))
    batch["image"] = np.where(batch["mask"][:, None, None, None] > 0, batch["image"] | 1, np.uint8(0))
    state, metrics = bench.step(batch)
    assert metrics["loss"] == pytest.approx(batch["image"][:3, 0, 0, 0].sum() / 255, rel=1e-6)
    assert np.isfinite(metrics["gradient_norm"]) and all(map(np.all, map(np.isfinite, jax.tree.leaves(state.params))))


def test_a_hyperparameter_changes_the_result_and_never_recompiles(tiny_config):
    brighter = (("brightness", 1.0, 0.5),)
    changes = {"optimizer.weight_decay": 0.1, "loss.label_smoothing": 0.1, "augment.operations": brighter}
    changes["model.dropout"] = 0.5  # 0 stays 0
    bench, batch = Bench(tiny_config(changes)), make_batch(8)
    inputs = bench.setup.replicas.shard({key: value[None] for key, value in batch.items()})
    program = bench.mapped.lower(bench.state, {}, inputs).compile()  # which cannot trace again

    def two_steps(numbers):
        state = bench.state.replace(hyperparameters=bench.setup.replicas.replicate(numbers))
        for _ in range(2):
            state, _ = program(state, {}, inputs)
        return state.params

    numbers = {name: np.asarray(value) for name, value in bench.state.hyperparameters.items()}
    named = {"learning_rate_scale", "momentum", "weight_decay", "label_smoothing", "dropout", "augment_magnitude"}
    assert set(numbers) == named
    reference = two_steps(numbers)
    assert distance(two_steps(numbers), reference) == 0
    for name, value in numbers.items():
        assert distance(two_steps({**numbers, name: value * np.float32(0.5)}), reference) > 1e-5, name


def test_a_chunk_of_steps_is_its_steps_one_by_one(tiny_config):
    bench, batches = Bench(tiny_config()), [make_batch(8, seed=seed) for seed in range(3)]
    state, rows = bench.state, []
    for batch in batches:
        state, metrics = bench.step(batch, state)
        rows.append(metrics["loss"])
    step = bench.setup.train_step(bench.task)
    chunk = bench.setup.replicas.map(make_chunk(step, steps=3), donate=False)
    inputs = bench.setup.replicas.shard({key: np.stack([b[key] for b in batches]) for key in batches[0]})
    together, metrics = chunk(bench.state, {}, inputs)
    np.testing.assert_allclose(metrics["loss"], rows, rtol=1e-5)
    assert_same(together.params, state.params, rtol=1e-4, atol=1e-6)
    assert int(together.step) == 3


class TwoHeads(nn.Module):
    """Two constants for logits: those of the output and those of an auxiliary head."""

    num_classes: int = 10

    @nn.compact
    def __call__(self, x, *, train: bool):
        heads = [
            jnp.broadcast_to(self.param(name, nn.initializers.zeros, (1, 10)), (x.shape[0], 10))
            for name in ("main", "aux")
        ]
        return heads[0], {"aux1": heads[1], "auxiliary": x}


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_an_auxiliary_head_learns_with_its_weight_and_the_loss_is_that_of_the_output(tiny_config, weight):
    config = tiny_config({"optimizer.momentum": 0.0, "optimizer.learning_rate": 1.0})
    bench, batch = Bench(config, model=TwoHeads(), auxiliary_weight=weight), make_batch(4)
    moved, metrics = bench.step(batch)
    # the gradient of the mean cross-entropy at equal logits: 1 / 10 minus the share of the class
    step = np.bincount(batch["label"], minlength=10)[None] / 4 - 0.1
    np.testing.assert_allclose(moved.params["main"], step, atol=1e-6)
    np.testing.assert_allclose(moved.params["aux"], weight * step, atol=1e-6)
    assert metrics["loss"] == pytest.approx(4 * np.log(10), rel=1e-5)
