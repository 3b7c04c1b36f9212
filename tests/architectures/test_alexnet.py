import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tracing import count, macs, order, shapes

from jaxcnn.architectures.alexnet import CLAIMS, MODELS, AlexNet, AlexNetSmall

PUBLISHED = {"alexnet_owt": 61_100_840}  # torchvision

TABLES = {  # kernel size, map size of the output, input maps, output maps, groups
    "alexnet": (
        (11, 55, 3, 96, 1), (5, 27, 96, 256, 2), (3, 13, 256, 384, 1), (3, 13, 384, 384, 2), (3, 13, 384, 256, 2),
    ),
    "alexnet_one_tower": (
        (11, 55, 3, 96, 1), (5, 27, 96, 256, 1), (3, 13, 256, 384, 1), (3, 13, 384, 384, 1), (3, 13, 384, 256, 1),
    ),
    "alexnet_owt": (
        (11, 55, 3, 64, 1), (5, 27, 64, 192, 1), (3, 13, 192, 384, 1), (3, 13, 384, 256, 1), (3, 13, 256, 256, 1),
    ),
    "alexnet_small": (
        (5, 32, 3, 48, 1), (5, 15, 48, 128, 2), (3, 7, 128, 192, 1), (3, 7, 192, 192, 2), (3, 7, 192, 128, 2),
    ),
}  # fmt: skip
CONNECTIONS = dict.fromkeys(TABLES, ((6 * 6 * 256, 4096), (4096, 4096), (4096, 1000)))
CONNECTIONS["alexnet_small"] = ((3 * 3 * 128, 1024), (1024, 1024), (1024, 10))


@pytest.mark.parametrize("name", MODELS)
def test_counts_are_those_of_the_table(name):
    convolutions, connections = TABLES[name], CONNECTIONS[name]
    parameters = sum(k * k * c_in // g * c_out + c_out for k, _, c_in, c_out, g in convolutions)
    parameters += sum(c_in * c_out + c_out for c_in, c_out in connections)
    work = sum((k * side) ** 2 * c_in // g * c_out for k, side, c_in, c_out, g in convolutions)
    work += sum(c_in * c_out for c_in, c_out in connections)
    model, claim = MODELS[name](), CLAIMS[name]
    assert (claim.parameters, claim.macs) == (parameters, work)
    assert count(shapes(model, claim.input)[1]["params"]) == parameters == PUBLISHED.get(name, parameters)
    assert macs(model, claim.input) == work


@pytest.mark.parametrize("name", MODELS)
def test_stages(name):
    (logits, features), _ = shapes(MODELS[name](), CLAIMS[name].input)
    sides = [side for _, side, *_ in TABLES[name]]
    widths = [c_out for _, _, _, c_out, _ in TABLES[name]]
    halves = [(side - 1) // 2 for side in sides]
    expected = {}
    for layer, (side, half, width) in enumerate(zip(sides, halves, widths, strict=True), start=1):
        expected[f"conv{layer}"] = (side, side, width)
        if layer <= 2 and name != "alexnet_owt":
            expected[f"norm{layer}"] = (side, side, width)
        if layer in (1, 2, 5):
            expected[f"pool{layer}"] = (half, half, width)
    expected["fc6"], expected["fc7"] = ((c_out,) for _, c_out in CONNECTIONS[name][:2])
    assert order(MODELS[name](), CLAIMS[name].input) == list(expected)
    assert {stage: feature.shape[1:] for stage, feature in features.items()} == expected
    assert logits.shape == (2, CONNECTIONS[name][-1][1])


def test_parameters_of_each_layer():
    _, variables = shapes(MODELS["alexnet"](), (227, 227, 3))
    assert {layer: count(leaves) for layer, leaves in variables["params"].items()} == {
        "conv1": 34_944, "conv2": 307_456, "conv3": 885_120, "conv4": 663_936, "conv5": 442_624,
        "fc6": 37_752_832, "fc7": 16_781_312, "fc8": 4_097_000,
    }  # fmt: skip


def test_one_weird_trick_is_as_large_as_its_text_says_and_not_as_its_footnote():
    parameters = {name: CLAIMS[name].parameters for name in CLAIMS}
    assert round(100 * (parameters["alexnet_owt"] / parameters["alexnet"] - 1), 1) == 0.2
    footnote = AlexNet(**{**MODELS["alexnet_owt"].keywords, "widths": (64, 192, 384, 384, 256)})
    assert round(100 * (count(shapes(footnote, (224, 224, 3))[1]["params"]) / parameters["alexnet"] - 1), 1) == 1.4


@pytest.mark.parametrize("name", ["alexnet", "alexnet_owt"])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, "bfloat16"])
def test_bfloat16_computes_in_bfloat16_only(name, dtype):
    for dense_evaluation in (False, True):
        model = MODELS[name](dtype=dtype, num_classes=37, dense_evaluation=dense_evaluation)
        (logits, features), variables = shapes(model, CLAIMS[name].input)
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
        assert (logits.shape, logits.dtype) == ((2, 37), jnp.float32)
        assert {feature.dtype for feature in features.values()} == {jnp.dtype("bfloat16")}


@pytest.mark.parametrize("size, side", [((28, 28, 1), 2), ((32, 32, 3), 3), ((32, 32, 1), 3)])
def test_small_takes_small_images(size, side):
    (logits, features), variables = shapes(MODELS["alexnet_small"](), size)
    assert logits.shape == (2, 10) and features["pool5"].shape == (2, side, side, 128)
    assert variables["params"]["fc6"]["kernel"].shape == (side * side * 128, 1024)


def test_images_of_224_pass_with_a_padding():
    (_, features), variables = shapes(MODELS["alexnet"](padding=2), (224, 224, 3))
    assert features["conv1"].shape == (2, 55, 55, 96) and count(variables) == 60_965_224
    with pytest.raises(ValueError, match=r"at least 227x227 with padding=0, got \(2, 224, 224, 3\)"):
        shapes(MODELS["alexnet"](), (224, 224, 3))


def test_images_that_do_not_fit_are_refused():
    for fits in (227, 258):
        assert shapes(MODELS["alexnet"](), (fits, 227, 3))[0][1]["pool5"].shape == (2, 6, 6, 256)
    with pytest.raises(ValueError, match=r"227 to 258 pixels.*dense_evaluation=True takes larger ones"):
        shapes(MODELS["alexnet"](), (227, 259, 3))
    assert shapes(MODELS["alexnet"](map_size=None), (67, 99, 3))[0][1]["pool5"].shape == (2, 1, 2, 256)
    with pytest.raises(ValueError, match="at least 67x67"):
        shapes(MODELS["alexnet"](map_size=None), (66, 67, 3))
    with pytest.raises(ValueError, match="at least 227x227"):
        shapes(MODELS["alexnet"](dense_evaluation=True), (226, 300, 3))
    with pytest.raises(ValueError, match="needs map_size"):
        MODELS["alexnet_small"](dense_evaluation=True)
    with pytest.raises(ValueError, match="unknown kernel_init 'hee'; did you mean 'he'"):
        MODELS["alexnet"](kernel_init="hee")


@pytest.mark.parametrize("options, deviation, ones", [({}, 0.01, 1.0), ({"kernel_init": "he", "bias": 0.0}, None, 0.0)])
def test_initialisation(options, deviation, ones):
    model = AlexNet(widths=(16, 32, 32, 32, 32), hidden=(256, 256), map_size=None, **options)
    key = jax.random.key(0, impl="rbg")  # compiles in less time
    params = jax.jit(lambda: model.init(key, jnp.zeros((1, 67, 67, 3)), train=False)["params"])()
    for name, layer in params.items():
        fan_in = math.prod(layer["kernel"].shape[:-1])
        expected = 0.01 if name == "fc8" else deviation or (2 / fan_in) ** 0.5
        assert np.std(layer["kernel"]) == pytest.approx(expected, rel=0.06), name
        assert (layer["bias"] == (ones if name in ("conv2", "conv4", "conv5", "fc6", "fc7") else 0)).all(), name


SLIM = {"num_classes": 5, "widths": (4, 8, 8, 8, 6), "hidden": (12, 10)}


def only_centres(params):
    """Kernels of conv2 to conv5 that see one pixel, so that the padding, which a crop has elsewhere, does not count."""
    centred = dict(params)
    for name in ("conv2", "conv3", "conv4", "conv5"):
        kernel = np.zeros_like(params[name]["kernel"])
        middle = kernel.shape[0] // 2
        kernel[middle, middle] = 3 * params[name]["kernel"][middle, middle]
        centred[name] = {**params[name], "kernel": kernel}
    return centred


def normalised(x):
    """Section 3.3 of the AlexNet paper, a map at a time."""
    maps = range(x.shape[-1])
    energy = [np.square(x[..., max(c - 2, 0) : c + 3]).sum(-1) for c in maps]
    return np.stack([x[..., c] / (2 + 1e-4 * energy[c]) ** 0.75 for c in maps], axis=-1)


def test_dense_evaluation_is_the_mean_over_crops(draw):
    model = AlexNet(**SLIM)
    params = only_centres(draw(model, (227, 227, 3))["params"])
    image = 30 * np.random.default_rng(1).normal(size=(1, 259, 291, 3)).astype(np.float32)
    offsets = [(row, column) for row in (0, 32) for column in (0, 32, 64)]
    crops = np.concatenate([image[:, row : row + 227, column : column + 227] for row, column in offsets])
    forward = jax.jit(lambda model, x: model.apply({"params": params}, x, train=False), static_argnums=0)
    dense = AlexNet(**SLIM, dense_evaluation=True)
    by_crop, _ = forward(model, crops)
    assert np.std(by_crop, axis=0).min() > 1e-3
    np.testing.assert_allclose(forward(dense, crops)[0], by_crop, rtol=1e-4, atol=1e-3)
    logits, features = forward(dense, image)
    assert features["fc6"].shape == (1, 2, 3, 12) and features["fc7"].shape == (1, 2, 3, 10)
    np.testing.assert_allclose(logits[0], by_crop.mean(0), rtol=1e-4, atol=1e-3)
    for layer in ("1", "2"):
        conv = np.asarray(features["conv" + layer], np.float64)
        np.testing.assert_allclose(features["norm" + layer], normalised(conv), rtol=1e-4)


def test_dense_evaluation_has_the_same_parameters():
    ordinary, dense = (MODELS["alexnet"](dense_evaluation=option) for option in (False, True))
    expected = jax.tree.map(lambda leaf: leaf.shape, shapes(ordinary, (227, 227, 3))[1])
    assert expected == jax.tree.map(lambda leaf: leaf.shape, shapes(dense, (300, 400, 3))[1])
    assert macs(dense, (227, 227, 3)) == CLAIMS["alexnet"].macs


@pytest.fixture(scope="module")
def trial(draw):
    """(params, loss_and_gradient(params) on a batch) of a slim alexnet_small."""
    model = AlexNetSmall(**{**MODELS["alexnet_small"].keywords, **SLIM, "hidden": (24, 24)}, dropout_rate=0.0)
    x = np.random.default_rng(1).normal(size=(4, 28, 28, 3)).astype(np.float32)

    def loss(params):
        logits, _ = model.apply({"params": params}, x, train=True)
        return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - logits[:, 0])

    return draw(model, x.shape[1:])["params"], jax.jit(jax.value_and_grad(loss))


def test_every_parameter_matters(trial):
    params, loss_and_gradient = trial
    before, gradients = loss_and_gradient(params)
    leaves, structure = jax.tree.flatten(params)
    for i, (path, gradient) in enumerate(jax.tree_util.tree_leaves_with_path(gradients)):
        name = jax.tree_util.keystr(path)
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 1e-6, name
        without = jax.tree.unflatten(structure, [*leaves[:i], np.zeros_like(leaves[i]), *leaves[i + 1 :]])
        assert abs(loss_and_gradient(without)[0] - before) > 1e-5, name


@pytest.mark.parametrize("name, dropped", [("alexnet", {"fc7", "fc8"}), ("alexnet_owt", {"fc6", "fc7"})])
def test_dropout_is_where_the_network_has_it(name, dropped, draw):
    """A layer's output follows from the feature before it, unless a dropout stands between them."""
    model = AlexNet(**{**MODELS[name].keywords, **SLIM, "map_size": None})
    params = draw(model, (67, 67, 3))["params"]
    x = np.random.default_rng(1).normal(size=(1, 67, 67, 3)).astype(np.float32)
    apply = jax.jit(lambda x: model.apply({"params": params}, x, train=True, rngs={"dropout": jax.random.key(3)}))
    logits, features = apply(x)
    outputs = {**features, "fc8": logits}
    found = set()
    for before, layer in (("pool5", "fc6"), ("fc6", "fc7"), ("fc7", "fc8")):
        y = np.asarray(features[before]).reshape(1, -1) @ params[layer]["kernel"] + params[layer]["bias"]
        y = y if layer == "fc8" else np.maximum(y, 0)
        if np.abs(y - outputs[layer]).max() > 1e-3:
            found.add(layer)
    assert found == dropped


@pytest.mark.parity
@pytest.mark.parametrize("name", ["alexnet", "alexnet_owt"])
def test_logits_are_those_of_torch(name, draw):
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    variant = {**MODELS[name].keywords, **SLIM}
    model = AlexNet(**variant)
    size = CLAIMS[name].input
    params = draw(model, size)["params"]
    x = np.random.default_rng(2).normal(size=(2, *size)).astype(np.float32)
    logits, features = jax.jit(lambda x: model.apply({"params": params}, x, train=False))(x)
    w = {k: torch.from_numpy(v["kernel"].transpose(3, 2, 0, 1).copy()) for k, v in params.items() if "conv" in k}
    b = {k: torch.from_numpy(v["bias"]) for k, v in params.items()}
    y = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    for layer in range(1, 6):
        stride, padding = (4, variant.get("padding", 0)) if layer == 1 else (1, 2 if layer == 2 else 1)
        conv = f"conv{layer}"
        y = F.relu(F.conv2d(y, w[conv], b[conv], stride, padding, groups=variant["groups"][layer - 1]))
        np.testing.assert_allclose(features[conv], y.permute(0, 2, 3, 1), rtol=1e-3, atol=1e-4)
        if layer <= 2 and variant["response_norm"]:
            y = F.local_response_norm(y, 5, alpha=5e-4, beta=0.75, k=2.0)  # torch divides alpha by 5
        if layer in (1, 2, 5):
            y = F.max_pool2d(y, 3, 2)
    y = y.permute(0, 2, 3, 1).flatten(1)
    for layer in ("fc6", "fc7", "fc8"):
        y = F.linear(y, torch.from_numpy(params[layer]["kernel"].T.copy()), b[layer])
        y = y if layer == "fc8" else F.relu(y)
    np.testing.assert_allclose(logits, y, rtol=1e-3, atol=1e-4)
