import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tracing import count, macs, order, shapes

from jaxcnn.architectures.zfnet import CLAIMS, MODELS, ZFNet

WIDTHS = {"zfnet": (3, 96, 256, 384, 384, 256), "zfnet_wide": (3, 96, 256, 512, 1024, 512)}
SLIM = {"num_classes": 5, "widths": (4, 8, 8, 8, 6), "hidden": (24, 24)}


@pytest.mark.parametrize("name", MODELS)
def test_counts_are_those_of_figure_3(name):
    parameters = work = 0
    widths = WIDTHS[name]
    for size, side, c_in, c_out in zip((7, 5, 3, 3, 3), (110, 26, 13, 13, 13), widths[:-1], widths[1:], strict=True):
        parameters += size**2 * c_in * c_out + c_out
        work += side**2 * size**2 * c_in * c_out
    for c_in, c_out in ((6 * 6 * widths[-1], 4096), (4096, 4096), (4096, 1000)):
        parameters += c_in * c_out + c_out
        work += c_in * c_out
    model, claim = MODELS[name](), CLAIMS[name]
    assert (claim.parameters, claim.macs) == (parameters, work)
    assert count(shapes(model, claim.input)[1]["params"]) == parameters
    assert macs(model, claim.input) == macs(MODELS[name](dense_evaluation=True), claim.input) == work


@pytest.mark.parametrize("name", MODELS)
def test_stages_are_as_printed(name):
    (logits, features), _ = shapes(MODELS[name](), (224, 224, 3))
    _, one, two, three, four, five = WIDTHS[name]
    assert [(stage, features[stage].shape[1:]) for stage in order(MODELS[name](), (224, 224, 3))] == [
        ("conv1", (110, 110, one)), ("pool1", (55, 55, one)), ("norm1", (55, 55, one)),
        ("conv2", (26, 26, two)), ("pool2", (13, 13, two)), ("norm2", (13, 13, two)),
        ("conv3", (13, 13, three)), ("conv4", (13, 13, four)), ("conv5", (13, 13, five)),
        ("pool5", (6, 6, five)), ("fc6", (4096,)), ("fc7", (4096,)),
    ]  # fmt: skip
    assert logits.shape == (2, 1000)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, "bfloat16"])
def test_bfloat16_computes_in_bfloat16_only(dtype):
    for dense_evaluation in (False, True):
        model = MODELS["zfnet"](dtype=dtype, num_classes=37, dense_evaluation=dense_evaluation)
        (logits, features), variables = shapes(model, (224, 224, 3))
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
        assert (logits.shape, logits.dtype) == ((2, 37), jnp.float32)
        assert {feature.dtype for feature in features.values()} == {jnp.dtype("bfloat16")}


def test_the_least_image_is_the_least():
    assert shapes(MODELS["zfnet"](), (207, 238, 3))[0][1]["pool5"].shape == (2, 6, 6, 256)
    with pytest.raises(ValueError, match="at least 207x207"):
        shapes(MODELS["zfnet"](), (206, 224, 3))
    with pytest.raises(ValueError, match="207 to 238 pixels"):
        shapes(MODELS["zfnet"](), (224, 239, 3))
    assert shapes(MODELS["zfnet"](dense_evaluation=True), (224, 239, 3))[0][1]["fc7"].shape == (2, 1, 2, 4096)
    assert shapes(MODELS["zfnet"](map_size=None), (47, 60, 3))[0][1]["pool5"].shape == (2, 1, 1, 256)
    with pytest.raises(ValueError, match="at least 47x47"):
        shapes(MODELS["zfnet"](map_size=None), (46, 60, 3))


def test_initialisation():
    model = ZFNet(**SLIM, map_size=None)
    key = jax.random.key(0, impl="rbg")  # compiles in less time
    params = jax.jit(lambda: model.init(key, jnp.zeros((1, 47, 47, 3)), train=False)["params"])()
    for name, layer in params.items():
        assert np.std(layer["kernel"]) == pytest.approx(0.01, rel=0.2), name
        assert not layer["bias"].any(), name


def normalised(x):
    """Section 3.3 of the AlexNet paper, a map at a time."""
    maps = range(x.shape[-1])
    energy = [np.square(x[..., max(c - 2, 0) : c + 3]).sum(-1) for c in maps]
    return np.stack([x[..., c] / (2 + 1e-4 * energy[c]) ** 0.75 for c in maps], axis=-1)


def test_dense_evaluation_is_the_mean_over_windows(draw):
    variables = draw(ZFNet(**SLIM, map_size=2), (90, 90, 3))
    params = variables["params"]
    x = 30 * np.random.default_rng(1).normal(size=(2, 120, 143, 3)).astype(np.float32)
    dense = ZFNet(**SLIM, map_size=2, dense_evaluation=True)
    forward = jax.jit(lambda model, x: model.apply(variables, x, train=False), static_argnums=0)
    small = x[:, :90, :90]
    ordinary, _ = forward(ZFNet(**SLIM, map_size=2), small)
    np.testing.assert_allclose(forward(dense, small)[0], ordinary, rtol=1e-4, atol=1e-3)
    logits, features = forward(dense, x)
    pooled = np.asarray(features["pool5"])
    assert pooled.shape == (2, 3, 4, 6)
    by_window = []
    for row in range(2):
        for column in range(3):
            y = pooled[:, row : row + 2, column : column + 2].reshape(2, -1)
            for layer in ("fc6", "fc7"):
                y = np.maximum(y @ params[layer]["kernel"] + params[layer]["bias"], 0)
            by_window.append(y @ params["fc8"]["kernel"] + params["fc8"]["bias"])
    np.testing.assert_allclose(logits, np.mean(by_window, axis=0), rtol=1e-4, atol=1e-3)
    for layer in ("1", "2"):
        pool = np.asarray(features["pool" + layer], np.float64)
        np.testing.assert_allclose(features["norm" + layer], normalised(pool), rtol=1e-4)


def test_every_parameter_matters(draw):
    model = ZFNet(**SLIM, map_size=None, dropout_rate=0.0)
    x = np.random.default_rng(1).normal(size=(4, 64, 64, 3)).astype(np.float32)
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


@pytest.mark.parity
def test_logits_are_those_of_torch(draw):
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    model = ZFNet(**SLIM)
    params = draw(model, (224, 224, 3))["params"]
    x = np.random.default_rng(2).normal(size=(2, 224, 224, 3)).astype(np.float32)
    logits, features = jax.jit(lambda x: model.apply({"params": params}, x, train=False))(x)
    y = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    for layer, (stride, padding) in enumerate(((2, 1), (2, 0), (1, 1), (1, 1), (1, 1)), start=1):
        kernel = torch.from_numpy(params[f"conv{layer}"]["kernel"].transpose(3, 2, 0, 1).copy())
        y = F.relu(F.conv2d(y, kernel, torch.from_numpy(params[f"conv{layer}"]["bias"]), stride, padding))
        np.testing.assert_allclose(features[f"conv{layer}"], y.permute(0, 2, 3, 1), rtol=1e-3, atol=1e-4)
        if layer in (1, 2, 5):
            y = F.max_pool2d(y, 3, 2, ceil_mode=True)
        if layer <= 2:
            y = F.local_response_norm(y, 5, alpha=5e-4, beta=0.75, k=2.0)  # torch divides alpha by 5
    y = y.permute(0, 2, 3, 1).flatten(1).numpy()
    for layer in ("fc6", "fc7", "fc8"):
        y = y @ params[layer]["kernel"] + params[layer]["bias"]
        y = y if layer == "fc8" else np.maximum(y, 0)
    np.testing.assert_allclose(logits, y, rtol=1e-3, atol=1e-4)
