import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tracing import count, macs, order, shapes

from jaxcnn.architectures.nin import CLAIMS, MODELS, NiN

PUBLISHED = {"nin_cifar": 966_986, "nin_imagenet": 7_595_176}  # as counted from the authors' files

# name, kernel size, side of the output, output maps; a pooling has no maps of its own
TABLES = {
    "nin_cifar": (
        ("conv1", 5, 32, 192), ("cccp1", 1, 32, 160), ("cccp2", 1, 32, 96), ("pool1", 0, 16, 96),
        ("conv2", 5, 16, 192), ("cccp3", 1, 16, 192), ("cccp4", 1, 16, 192), ("pool2", 0, 8, 192),
        ("conv3", 3, 8, 192), ("cccp5", 1, 8, 192), ("cccp6", 1, 8, 10),
    ),
    "nin_imagenet": (
        ("conv1", 11, 54, 96), ("cccp1", 1, 54, 96), ("cccp2", 1, 54, 96), ("pool1", 0, 27, 96),
        ("conv2", 5, 27, 256), ("cccp3", 1, 27, 256), ("cccp4", 1, 27, 256), ("pool2", 0, 13, 256),
        ("conv3", 3, 13, 384), ("cccp5", 1, 13, 384), ("cccp6", 1, 13, 384), ("pool3", 0, 6, 384),
        ("conv4", 3, 6, 1024), ("cccp7", 1, 6, 1024), ("cccp8", 1, 6, 1000),
    ),
}  # fmt: skip

SLIM = tuple(
    block._replace(widths=widths)
    for block, widths in zip(MODELS["nin_cifar"].keywords["blocks"], ((8, 7, 6), (8, 8, 8), (8, 8, None)), strict=True)
)


@pytest.mark.parametrize("name", MODELS)
def test_counts_are_those_of_the_table(name):
    parameters, work, c_in = 0, 0, 3
    for _, size, side, c_out in TABLES[name]:
        if size:
            parameters += size**2 * c_in * c_out + c_out
            work += side**2 * size**2 * c_in * c_out
        c_in = c_out
    model, claim = MODELS[name](), CLAIMS[name]
    assert (claim.parameters, claim.macs) == (parameters, work)
    assert count(shapes(model, claim.input)[1]) == parameters == PUBLISHED[name]
    assert macs(model, claim.input) == work


@pytest.mark.parametrize("name", MODELS)
def test_stages(name):
    (logits, features), _ = shapes(MODELS[name](), CLAIMS[name].input)
    expected = [(stage, (2, side, side, maps)) for stage, _, side, maps in TABLES[name]]
    names = order(MODELS[name](), CLAIMS[name].input)
    assert [(stage, features[stage].shape) for stage in names] == expected
    assert logits.shape == (2, TABLES[name][-1][-1])


@pytest.mark.parametrize("dtype", [jnp.bfloat16, "bfloat16"])
@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_computes_in_bfloat16_only(name, dtype):
    (logits, features), variables = shapes(MODELS[name](dtype=dtype, num_classes=37), CLAIMS[name].input)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert (logits.shape, logits.dtype) == ((2, 37), jnp.float32)
    maps = {feature.dtype for feature in features.values() if feature.shape[-1] == 37}
    assert maps == {jnp.dtype("float32")}  # of the classes: their mean are the logits
    assert {feature.dtype for feature in features.values() if feature.shape[-1] != 37} == {jnp.dtype("bfloat16")}


@pytest.mark.parametrize("name, smallest", [("nin_cifar", 4), ("nin_imagenet", 39)])
def test_any_image_that_leaves_a_pixel(name, smallest):
    (logits, features), _ = shapes(MODELS[name](), (smallest, 61, 1))
    assert logits.shape[0] == 2 and features[TABLES[name][-1][0]].shape[1] == 1
    with pytest.raises(ValueError, match=rf"at least {smallest}x{smallest}, got \(2, 61, {smallest - 1}, 3\)"):
        shapes(MODELS[name](), (61, smallest - 1, 3))


def test_cifar_takes_digits():
    (logits, features), _ = shapes(MODELS["nin_cifar"](), (28, 28, 1))
    assert logits.shape == (2, 10) and features["pool2"].shape == (2, 7, 7, 192)


@pytest.mark.parametrize("kernel_init", ["paper", "he"])
def test_initialisation_is_that_of_the_files(kernel_init):
    model = NiN(blocks=MODELS["nin_imagenet"].keywords["blocks"], num_classes=20, kernel_init=kernel_init)
    narrow = {"conv1": 0.01, "conv3": 0.01, "cccp8": 0.01}
    key = jax.random.key(0, impl="rbg")  # compiles in less time
    init = jax.jit(lambda: model.init(key, jnp.zeros((1, 39, 39, 3)), train=False)["params"])
    for name, layer in init().items():
        he = (2 / math.prod(layer["kernel"].shape[:-1])) ** 0.5
        expected = he if kernel_init == "he" else narrow.get(name, 0.05)
        assert np.std(layer["kernel"]) == pytest.approx(expected, rel=0.05), name
        assert not layer["bias"].any()
    with pytest.raises(ValueError, match="unknown kernel_init 'hee'; did you mean 'he'"):
        shapes(NiN(kernel_init="hee"), (8, 8, 3))


def test_every_parameter_matters(draw):
    model = NiN(num_classes=5, blocks=SLIM, dropout_rate=0.0)
    x = np.random.default_rng(1).normal(size=(4, 12, 12, 3)).astype(np.float32)
    params = draw(model, x.shape[1:])["params"]

    def loss(params):
        logits, _ = model.apply({"params": params}, x, train=True)
        return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - logits[:, 0])

    loss_and_gradient = jax.jit(jax.value_and_grad(loss))
    before, gradients = loss_and_gradient(params)
    leaves, structure = jax.tree.flatten(params)
    for i, (path, gradient) in enumerate(jax.tree_util.tree_leaves_with_path(gradients)):
        name = jax.tree_util.keystr(path)
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 1e-6, name
        without = jax.tree.unflatten(structure, [*leaves[:i], np.zeros_like(leaves[i]), *leaves[i + 1 :]])
        assert abs(loss_and_gradient(without)[0] - before) > 1e-5, name


def test_poolings_and_dropout(draw):
    model = NiN(num_classes=5, blocks=SLIM)
    x = np.random.default_rng(1).normal(size=(1, 8, 8, 3)).astype(np.float32)
    variables = draw(model, x.shape[1:])
    run = jax.jit(
        lambda train: model.apply(variables, x, train=train, rngs={"dropout": jax.random.key(0)}), static_argnums=0
    )
    (logits, quiet), (_, noisy) = run(False), run(True)
    changed = {stage for stage in quiet if np.abs(quiet[stage] - noisy[stage]).max() > 1e-4}
    assert changed == set(quiet) - {"conv1", "cccp1", "cccp2", "pool1"}
    assert all(feature.min() >= 0 for feature in quiet.values())
    np.testing.assert_allclose(logits, quiet["cccp6"].mean((1, 2)), rtol=1e-5, atol=1e-6)
    for pooled, stage, reduce in (("pool1", "cccp2", np.max), ("pool2", "cccp4", np.mean)):
        sides = range(quiet[pooled].shape[1])  # windows of 3x3 at stride 2, cut off at the end
        expected = [
            [reduce(quiet[stage][0, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3], (0, 1)) for j in sides] for i in sides
        ]
        np.testing.assert_allclose(quiet[pooled][0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parity
def test_logits_are_those_of_torch(draw):
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    model = NiN(num_classes=5, blocks=SLIM)
    variables = draw(model, (31, 32, 3))
    x = np.random.default_rng(2).normal(size=(2, 31, 32, 3)).astype(np.float32)
    logits, features = jax.jit(lambda x: model.apply(variables, x, train=False))(x)
    y = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    for stage in (row[0] for row in TABLES["nin_cifar"]):
        if stage == "pool1":
            y = F.max_pool2d(y, 3, 2, ceil_mode=True)
        elif stage == "pool2":
            y = F.avg_pool2d(y, 3, 2, ceil_mode=True)
        else:
            layer = variables["params"][stage]
            kernel = torch.from_numpy(layer["kernel"].transpose(3, 2, 0, 1).copy())
            y = F.relu(F.conv2d(y, kernel, torch.from_numpy(layer["bias"]), padding=kernel.shape[-1] // 2))
        np.testing.assert_allclose(features[stage], y.permute(0, 2, 3, 1), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(logits, y.mean((2, 3)), rtol=1e-3, atol=1e-4)
