"""One device, eight by pmap and eight by shard_map train the same network."""

import jax
import numpy as np
import pytest

import jaxcnn
from jaxcnn import data

# A relu network amplifies rounding from its first step; tanh does not.
STEPS = {
    "model.batch_norm": "synchronized",
    "duration": "6 steps",
    "evaluation.every": "6 steps",
    "checkpoint.every": "6 steps",
    "schedule.name": "constant",
    "optimizer.learning_rate": 0.05,
    "log_every": 1,
}
ROUNDING = 3e-6  # of a number of order one, after six steps


@pytest.fixture(scope="module")
def trained(stateful_config, tmp_path_factory):
    """trained(method, devices): the Result of six steps."""
    done = {}

    def get(method, devices):
        if (method, devices) not in done:
            workdir = tmp_path_factory.mktemp("run")
            config = stateful_config({**STEPS, "parallel": method})
            done[method, devices] = jaxcnn.train(config, workdir, quiet=True, devices=jax.devices()[:devices])
        return done[method, devices]

    return get


def test_pmap_and_shard_map_give_the_same_bits(trained, assert_same_bits, rows):
    assert_same_bits(trained("pmap", 8).state, trained("shard_map", 8).state)
    assert rows(trained("pmap", 8).workdir) == rows(trained("shard_map", 8).workdir)


@pytest.mark.parametrize("method", ["pmap", "shard_map"])
def test_one_device_and_eight_agree_to_rounding(method, trained, numbers, rows):
    one, eight = numbers(trained("pmap", 1).state), numbers(trained(method, 8).state)
    assert one.keys() == eight.keys()
    moved = max(np.abs(values).max() for name, values in one.items() if ".opt_state" in name)
    assert moved > 1000 * ROUNDING, "so small a momentum would hide any difference"
    for name in one:
        np.testing.assert_allclose(one[name], eight[name], rtol=ROUNDING, atol=ROUNDING, err_msg=name)
    for row, other in zip(rows(trained("pmap", 1).workdir), rows(trained(method, 8).workdir), strict=True):
        assert row.pop("split") == other.pop("split")
        assert row == pytest.approx(other, rel=ROUNDING)


def test_per_replica_statistics_are_averaged_into_one_copy(stateful_config, tmp_path):
    changes = {
        **STEPS,
        "model.batch_norm": "replica",
        "duration": "1 steps",
        "optimizer.learning_rate": 0.0,
        "model.dropout": 0.0,
        "augment.pad_crop": 0,
        "augment.flip": False,
    }
    config = stateful_config(changes)
    found = jaxcnn.train(config, tmp_path, quiet=True).state.batch_stats
    network = jaxcnn.Trained(tmp_path)  # a rate of 0: the parameters are those of the first step
    records = data.load("digits", "train[:60]", image_size=(8, 8))
    images = data.read_all(records)["image"][data.Order(60, seed=config.seed).records(0, 16)]
    images = (images.astype(np.float32) / 255 - network.mean) / network.std
    first = network.model.init(jax.random.key(0), images, train=False)["batch_stats"]

    def statistics(images):
        variables = {"params": network.variables["params"], "batch_stats": first}
        return network.model.apply(variables, images, train=True, mutable=["batch_stats"])[1]["batch_stats"]

    expected = jax.tree.map(lambda *values: np.mean(values, axis=0), *map(statistics, np.split(images, 8)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), expected, found)
    whole = statistics(images)  # what synchronised statistics would have come to
    assert not np.allclose(whole["fc1_norm"]["var"], found["fc1_norm"]["var"], rtol=1e-3)


@pytest.mark.parametrize("method", ["pmap", "shard_map"])
def test_the_gradient_is_the_mean_over_the_global_batch(method, trained, rows):
    # Under shard_map's default checks it would come summed once more: eight times too long.
    expected = rows(trained("pmap", 1).workdir)[0]["gradient_norm"]
    assert rows(trained(method, 8).workdir)[0]["gradient_norm"] == pytest.approx(expected, rel=1e-5)
