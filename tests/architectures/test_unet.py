import jax
import numpy as np
import pytest
from tracing import count, macs, order, shapes

from jaxcnn.architectures import CLAIMS, create
from jaxcnn.operators import conv2d


def layers(width, depth, channels):
    """(level, taps, c_in, c_out) by hand; the weights of the way up meet the pixels of the level below."""
    widths = [width * 2**level for level in range(depth + 1)]
    for level, (before, after) in enumerate(zip([channels, *widths], widths, strict=False)):
        yield from ((level, 9, before, after), (level, 9, after, after))
    for level, after in reversed(list(enumerate(widths[:-1]))):
        yield level + 1, 4, 2 * after, after
        yield from ((level, 9, 2 * after, after), (level, 9, after, after))
    yield 0, 1, width, channels


def test_counts_by_hand():
    model, claim = create("unet_small"), CLAIMS["unet_small"]
    _, variables = shapes(model, claim.input)
    rows = list(layers(32, 3, 3))
    assert claim.parameters == sum(taps * a * b + b for _, taps, a, b in rows) == count(variables)
    assert claim.macs == sum(64 * 64 // 4**n * taps * a * b for n, taps, a, b in rows) == macs(model, claim.input)


def test_the_papers_width_and_depth():
    _, variables = shapes(create("unet_small", width=64, depth=4, channels=2), (16, 16, 1))
    rows = [*layers(64, 4, 1)]
    parameters = sum(taps * a * b + b for _, taps, a, b in rows[:-1]) + 64 * 2 + 2
    assert count(variables) == parameters == 31_030_658  # 23 layers with weights
    assert len(rows) == 23


def test_stages():
    model = create("unet_small", width=4, depth=2)
    (image, features), _ = shapes(model, (13, 10, 3))
    assert image.shape == (2, 13, 10, 3)
    assert {name: features[name].shape[1:] for name in order(model, (13, 10, 3))} == {
        "encoder1": (16, 12, 4), "encoder2": (8, 6, 8), "bottom": (4, 3, 16), "up2": (8, 6, 8), "decoder2": (8, 6, 8),
        "up1": (16, 12, 4), "decoder1": (16, 12, 4),
    }  # fmt: skip


@pytest.fixture(scope="module")
def trial(draw):
    """(run(params), params, images) of a small U-Net; run gives (images, features)."""
    model = create("unet_small", width=4, depth=2, residual=True)
    x = np.random.default_rng(0).uniform(size=(2, 6, 9, 1)).astype(np.float32)
    run = jax.jit(lambda params: model.apply({"params": params}, x, train=False))
    return run, draw(model, (6, 9, 1))["params"], x


@pytest.mark.parametrize("level", [1, 2])
def test_a_level_sees_its_skip_and_what_lies_below_it(level, trial):
    run, params, _ = trial
    _, features = run(params)
    y = np.concatenate([features[f"encoder{level}"], features[f"up{level}"]], axis=-1)
    for layer in (1, 2):
        convolution = params[f"decoder{level}_conv{layer}"]
        y = np.maximum(conv2d(y, convolution["kernel"], convolution["bias"], padding=1), 0)
    np.testing.assert_allclose(features[f"decoder{level}"], y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("part", ["skip", "below"])
def test_without_a_skip_or_what_lies_below_it_the_image_is_another(level, part, trial):
    run, params, _ = trial
    name = f"decoder{level}_conv1"
    kernel = params[name]["kernel"].copy()
    half = kernel.shape[2] // 2
    kernel[:, :, :half] *= part != "skip"
    kernel[:, :, half:] *= part == "skip"
    without, _ = run({**params, name: {**params[name], "kernel": kernel}})
    assert np.abs(without - run(params)[0]).max() > 1e-3


def test_a_residual_network_whose_output_is_zero_returns_its_input(trial):
    run, params, x = trial
    image, _ = run({**params, "output": jax.tree.map(np.zeros_like, params["output"])})
    np.testing.assert_array_equal(image, x)


def test_dropout_at_the_end_of_the_way_down(draw):
    model = create("unet_small", width=4, depth=1, dropout_rate=0.5)
    x = np.random.default_rng(0).uniform(size=(2, 6, 4, 1)).astype(np.float32)
    variables = draw(model, x.shape[1:])
    _, quiet = model.apply(variables, x, train=False)
    _, noisy = model.apply(variables, x, train=True, rngs={"dropout": jax.random.key(0)})
    np.testing.assert_allclose(quiet["encoder1"], noisy["encoder1"], rtol=1e-6)
    assert (np.asarray(noisy["bottom"]) == 0).mean() > (np.asarray(quiet["bottom"]) == 0).mean() + 0.1


def test_what_does_not_fit_a_residual_network_is_refused():
    with pytest.raises(ValueError, match="less the noise: output is 'linear', not 'sigmoid'"):
        create("unet_small", residual=True, output="sigmoid")
    with pytest.raises(ValueError, match="1 channels in, so channels is 0 or 1, not 3"):
        shapes(create("unet_small", width=4, depth=1, residual=True, channels=3), (4, 4, 1))
