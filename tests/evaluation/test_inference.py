"""A function of a network over many images: batches of one size, padded, compiled once."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.data import Arrays, Records
from jaxcnn.data.fit import DataError
from jaxcnn.evaluation.batched import Batched
from jaxcnn.evaluation.inference import Inference
from jaxcnn.training.parallel import Replicas

IMAGES = np.random.default_rng(0).integers(0, 256, (70, 4, 2, 3), np.uint8)
MEAN, STD = [0.25, 0.5, 0.0], [0.5, 2.0, 1.0]


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, *, train: bool):
        assert not train
        return nn.Dense(5)(x.reshape(len(x), -1)), {"sum": x.sum(axis=(1, 2, 3))}


@pytest.fixture(scope="module")
def network():
    variables = Net().init(jax.random.key(0), jnp.zeros((1, 4, 2, 3)), train=False)
    about = {"shape": (4, 2, 3), "classes": tuple("abcde"), "mean": np.float32(MEAN), "std": np.float32(STD)}
    return Inference(Net(), variables, **about)


@pytest.fixture(scope="module")
def expected(network):
    """The logits and the sums of all images, in NumPy."""
    pixels = (IMAGES / 255 - MEAN) / STD
    dense = network.variables["params"]["Dense_0"]
    return pixels.reshape(70, -1) @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"]), pixels.sum(axis=(1, 2, 3))


@pytest.mark.parametrize("images", [IMAGES, IMAGES.astype(np.float32) / 255], ids=["uint8", "float"])
def test_images_are_normalised_and_the_last_batch_is_padded(network, expected, images):
    shapes = []

    def outputs(variables, images):
        shapes.append(images.shape)
        logits, features = network.apply(variables, images)
        return {"logits": logits, **features}

    for _ in range(2):
        found = network.map(outputs, images, batch_size=32)
        np.testing.assert_allclose(found["logits"], expected[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found["sum"], expected[1], rtol=1e-4, atol=1e-5)
        assert all(isinstance(x, np.ndarray) for x in found.values())
    assert shapes == [(32, 4, 2, 3)]  # traced once, for both


def test_apply_is_a_pure_function(network, expected):
    logits, _ = jax.jit(network.apply)(network.variables, IMAGES)
    np.testing.assert_allclose(logits, expected[0], rtol=1e-4, atol=1e-5)
    pixels = IMAGES.astype(np.float32) / 255
    gradient = jax.grad(lambda x: network.apply(network.variables, x)[1]["sum"].sum())(pixels)
    np.testing.assert_allclose(gradient, np.broadcast_to([2, 0.5, 1], IMAGES.shape), rtol=1e-6)


@pytest.mark.parametrize("method", ["shard_map", "pmap"])
def test_all_devices_share_a_batch(network, expected, method):
    """5 images a batch are 8 on as many devices; a shape is compiled once."""
    replicas = Replicas(method)
    batched = Batched(lambda v, x: network.apply(v, x)[0], replicas, batch_size=5)
    variables = replicas.replicate(network.variables)
    for count in (70, 3):
        np.testing.assert_allclose(batched(variables, IMAGES[:count]), expected[0][:count], rtol=1e-4, atol=1e-5)
    assert batched.batch_size == 8 and len(batched.programs) == 1


def test_a_function_of_more_than_images_gets_the_fields_that_it_reads(network):
    labels = np.arange(70) % 2
    records = Records(Arrays("two", {"test": (IMAGES, labels)}, "ab"), "test")

    def function(_, example):
        return example["image"][:, 0, 0, 0] + 1000 * example["label"]

    found = [values for _, _, values in network.stream(function, records, reads=("label",), batch_size=16)]
    np.testing.assert_array_equal(np.concatenate(found), IMAGES[:, 0, 0, 0] + 1000 * labels)


def test_records_that_cannot_be_read_are_left_out_of_a_stream(network, expected):
    class Broken(Arrays):
        def fetch(self, split, ids):
            return [(DataError("broken") if i == 41 else IMAGES[i], 0) for i in ids]

    records = Records(Broken("broken", {"test": (IMAGES, np.zeros(70, int))}, "ab"), "test", on_error="skip")
    done, positions = [], np.arange(69, 29, -1)
    stream = network.stream(
        lambda v, x: network.apply(v, x)[0],
        records,
        positions=positions,
        batch_size=16,
        report=lambda *counts: done.append(counts),
    )
    places, batches, logits = zip(*stream, strict=True)
    read = positions[positions != 41]
    np.testing.assert_array_equal(np.concatenate(places), read)
    np.testing.assert_array_equal(np.concatenate([batch["image"] for batch in batches]), IMAGES[read])
    np.testing.assert_allclose(np.concatenate(logits), expected[0][read], rtol=1e-4, atol=1e-5)
    assert done == [(16, 40), (32, 40), (40, 40)]
