import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tracing import count, shapes

from jaxcnn.architectures.mlp import CLAIMS, MODELS


def build(size, **options):
    model = MODELS["mlp"](**options)
    return shapes(model, size)


def test_counts_by_hand():
    claim = CLAIMS["mlp"]
    (logits, features), variables = build(claim.input)
    assert claim.parameters == (28 * 28 + 1) * 256 + (256 + 1) * 10 == count(variables)
    kernels = [layer["kernel"].size for layer in variables["params"].values()]
    assert claim.macs == 28 * 28 * 256 + 256 * 10 == sum(kernels)
    assert logits.shape == (2, 10) and {name: f.shape for name, f in features.items()} == {"fc1": (2, 256)}


@pytest.mark.parametrize("size, hidden, classes", [((32, 30, 3), (20, 30, 40), 7), ((5, 4, 2), (), 3)])
def test_any_depth_image_and_number_of_classes(size, hidden, classes):
    (logits, features), variables = build(size, hidden=hidden, num_classes=classes)
    widths = [np.prod(size), *hidden, classes]
    assert count(variables) == sum((a + 1) * b for a, b in itertools.pairwise(widths))
    assert [feature.shape for feature in features.values()] == [(2, width) for width in hidden]
    assert list(features) == [f"fc{layer + 1}" for layer in range(len(hidden))] and logits.shape == (2, classes)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, "bfloat16"])
def test_bfloat16_computes_in_bfloat16_only(dtype):
    (logits, features), variables = build((28, 28, 1), dtype=dtype)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert logits.dtype == jnp.float32
    assert {feature.dtype for feature in features.values()} == {jnp.dtype("bfloat16")}


def test_logits_are_those_of_the_equations_and_every_parameter_matters(draw):
    model = MODELS["mlp"](hidden=(6, 5), activation="tanh", num_classes=3)
    x = np.random.default_rng(0).normal(size=(4, 3, 2, 2)).astype(np.float32)
    params = draw(model, x.shape[1:])["params"]

    def loss(params):
        logits, _ = model.apply({"params": params}, x, train=True)
        return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - logits[:, 0]), logits

    (before, logits), gradients = jax.value_and_grad(loss, has_aux=True)(params)
    y = x.reshape(4, 12)
    for layer in ("fc1", "fc2"):
        y = np.tanh(y @ params[layer]["kernel"] + params[layer]["bias"])
    np.testing.assert_allclose(logits, y @ params["output"]["kernel"] + params["output"]["bias"], rtol=1e-4, atol=1e-5)
    leaves, structure = jax.tree.flatten(params)
    for i, gradient in enumerate(jax.tree.leaves(gradients)):
        assert np.abs(gradient).max() > 1e-6
        without = jax.tree.unflatten(structure, [*leaves[:i], np.zeros_like(leaves[i]), *leaves[i + 1 :]])
        assert abs(loss(without)[0] - before) > 1e-5


def test_dropout_behind_the_hidden_layers(draw):
    model = MODELS["mlp"](hidden=(64,), dropout_rate=0.5)
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 1)).astype(np.float32)
    variables = draw(model, x.shape[1:])
    still, quiet = model.apply(variables, x, train=False)
    moved, noisy = model.apply(variables, x, train=True, rngs={"dropout": jax.random.key(0)})
    np.testing.assert_array_equal(quiet["fc1"], noisy["fc1"])
    assert np.abs(still - moved).max() > 1e-3


def test_batch_norm_stands_before_the_activation_and_small_weights_begin_small():
    model = MODELS["mlp"](hidden=(50, 40), activation="sigmoid", batch_norm=True, deviation=0.02)
    x = np.random.default_rng(0).normal(size=(32, 5, 5, 1)).astype(np.float32)
    variables = model.init(jax.random.key(0), x, train=False)
    assert count(variables["params"]) == 25 * 50 + 2 * 50 + 50 * 40 + 2 * 40 + 41 * 10  # no bias, a scale and a shift
    np.testing.assert_allclose(np.std(variables["params"]["fc1"]["kernel"]), 0.02, rtol=0.1)
    (_, features), _ = model.apply(variables, x, train=True, mutable=["batch_stats"])
    for name in ("fc1", "fc2"):  # what enters a sigmoid has mean 0 and deviation 1, but for epsilon
        inputs = np.log(features[name] / (1 - features[name]))
        np.testing.assert_allclose(np.mean(inputs, axis=0), 0, atol=1e-3)
        assert np.std(inputs, axis=0).min() > 0.5 and np.std(inputs, axis=0).max() < 1.01


def test_dropout_of_pixels(draw):
    model = MODELS["mlp"](hidden=(), input_dropout=0.2, num_classes=100)
    variables = {"params": {"output": {"kernel": np.eye(100, dtype=np.float32), "bias": np.zeros(100, np.float32)}}}
    x = np.ones((50, 10, 10, 1), np.float32)
    pixels, _ = model.apply(variables, x, train=True, rngs={"dropout": jax.random.key(0)})
    assert set(np.unique(pixels)) == {0.0, np.float32(1.25)} and abs(np.mean(pixels == 0) - 0.2) < 0.02
    np.testing.assert_array_equal(model.apply(variables, x, train=False)[0], 1.0)


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="unknown activation 'rellu'; did you mean 'relu'"):
        build((4, 4, 1), activation="rellu")
