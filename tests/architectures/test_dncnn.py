import jax
import numpy as np
import pytest
from tracing import count, macs, order, shapes

from jaxcnn.analysis import analyse
from jaxcnn.architectures import CLAIMS, create


def test_counts_by_hand():
    model, claim = create("dncnn"), CLAIMS["dncnn"]
    _, variables = shapes(model, claim.input)
    assert claim.parameters == (9 * 64 + 64) + 15 * (9 * 64 * 64 + 2 * 64) + 9 * 64 == count(variables["params"])
    assert claim.macs == 40 * 40 * (9 * 64 + 15 * 9 * 64 * 64 + 9 * 64) == macs(model, claim.input)
    colour = shapes(create("dncnn", depth=20), (40, 40, 3))[1]["params"]  # CDnCNN-B's depth
    assert count(colour) == (9 * 3 * 64 + 64) + 18 * (9 * 64 * 64 + 2 * 64) + 9 * 64 * 3


def test_a_layer_of_depth_d_sees_2d_plus_1_pixels():
    found = analyse(create("dncnn"), (40, 40, 1)).stages
    assert [found[f"conv{layer}"][2].size for layer in (1, 2, 17)] == [(3, 3), (5, 5), (35, 35)]
    assert found["image"][2].size == (35, 35) and found["image"][2].stride == (1, 1)


def test_stages_and_the_layers_that_are_normalised():
    model = create("dncnn", depth=4, width=6)
    (_, features), variables = shapes(model, (7, 5, 1))
    assert {name: features[name].shape[1:] for name in order(model, (7, 5, 1))} == {
        "conv1": (7, 5, 6), "conv2": (7, 5, 6), "conv3": (7, 5, 6), "conv4": (7, 5, 1),
    }  # fmt: skip
    assert set(variables["batch_stats"]) == {"norm2", "norm3"}
    assert [name for name, layer in variables["params"].items() if name[0] == "c" and "bias" in layer] == ["conv1"]


def convolve(x, kernel):
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    h, w = x.shape[1] - 2, x.shape[2] - 2
    return sum(x[:, u : u + h, v : v + w] @ kernel[u, v] for u in range(3) for v in range(3))


@pytest.mark.parametrize("residual", [True, False])
def test_the_image_is_that_of_the_equations(residual, draw):
    model = create("dncnn", depth=3, width=5, residual=residual)
    x = np.random.default_rng(0).uniform(size=(2, 6, 7, 2)).astype(np.float32)
    variables = draw(model, x.shape[1:])
    (image, features), state = jax.jit(lambda v: model.apply(v, x, train=True, mutable=["batch_stats"]))(variables)
    params = jax.tree.map(np.float64, variables["params"])
    y = np.maximum(convolve(x, params["conv1"]["kernel"]) + params["conv1"]["bias"], 0)
    y = convolve(y, params["conv2"]["kernel"])
    mean, variance = y.mean((0, 1, 2)), y.var((0, 1, 2))
    y = (y - mean) / np.sqrt(variance + 1e-4) * params["norm2"]["scale"] + params["norm2"]["bias"]
    y = convolve(np.maximum(y, 0), params["conv3"]["kernel"])
    np.testing.assert_allclose(features["conv3"], y, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(image, x - y if residual else y, rtol=1e-4, atol=1e-4)
    kept = 0.05 * variables["batch_stats"]["norm2"]["mean"] + 0.95 * mean
    np.testing.assert_allclose(state["batch_stats"]["norm2"]["mean"], kept, rtol=1e-4, atol=1e-4)


def test_weights_of_every_layer_are_drawn_by_64_channels():
    model = create("dncnn", depth=3)
    params = jax.jit(lambda: model.init(jax.random.key(0), np.zeros((1, 4, 4, 1)), train=False))()["params"]
    for layer, tolerance in (("conv1", 0.1), ("conv2", 0.02), ("conv3", 0.1)):
        assert np.std(params[layer]["kernel"]) == pytest.approx((2 / (9 * 64)) ** 0.5, rel=tolerance), layer


def test_a_depth_without_a_last_layer_is_refused():
    with pytest.raises(ValueError, match="depth is at least 2"):
        create("dncnn", depth=1)
