import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tracing import count, shapes

from jaxcnn.architectures import create
from jaxcnn.operators import local_response_norm


def build(size=(32, 32, 3), **options):
    model = create("convnet", **options)
    return shapes(model, size)


def parameters(size, widths, convolutions, hidden, kernel_size, classes):
    """[(conv - relu) * N - pool] * M - (fc - relu) * K - fc, counted by hand."""
    (h, w, c), total = size, 0
    for width in widths:
        for _ in range(convolutions):
            total += kernel_size**2 * c * width + width
            c = width
        h, w = h // 2, w // 2
    c *= h * w
    for width in (*hidden, classes):
        total += c * width + width
        c = width
    return total


@pytest.mark.parametrize(
    "size, widths, convolutions, hidden, kernel_size, classes",
    [
        ((32, 32, 3), (32, 64, 128), 2, (256,), 3, 10),
        ((28, 28, 1), (8,), 1, (), 5, 10),
        ((33, 20, 3), (4, 8), 3, (16, 12), 3, 40),
    ],
)
def test_the_family(size, widths, convolutions, hidden, kernel_size, classes):
    options = {"widths": widths, "convolutions": convolutions, "hidden": hidden, "kernel_size": kernel_size}
    (logits, features), variables = build(size, num_classes=classes, **options)
    expected = parameters(size, widths, convolutions, hidden, kernel_size, classes)
    assert count(variables["params"]) == expected
    assert logits.shape == (2, classes)
    assert len(features) == len(widths) * (convolutions + 1) + len(hidden)
    for block, width in enumerate(widths, start=1):
        before, after = ((size[0] >> halvings, size[1] >> halvings) for halvings in (block - 1, block))
        assert features[f"conv{block}_{convolutions}"].shape == (2, *before, width)
        assert features[f"pool{block}"].shape == (2, *after, width)


def test_batch_norm_replaces_the_biases():
    _, plain = build()
    (_, features), normed = build(batch_norm=True)
    channels = 2 * (32 + 64 + 128) + 256
    sizes = [count(v["params"]) for v in (plain, normed)]
    assert sizes[1] - sizes[0] == channels  # scale and bias for a bias
    assert count(normed["batch_stats"]) == 2 * channels
    assert features["fc1"].shape == (2, 256)


def test_dropout_by_a_traced_rate_and_by_position(draw):
    model = create("convnet", widths=(4,), convolutions=1, hidden=(32,), dropout_rate=0.9)
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)
    variables = draw(model, (8, 8, 3))

    @jax.jit
    def train(x, rate, positions):
        scope = {**variables, "batch": {"position": positions}}
        return model.clone(dropout_rate=rate).apply(scope, x, train=True, rngs={"dropout": jax.random.key(2)})[0]

    still = model.apply(variables, x, train=False)[0]
    np.testing.assert_allclose(train(x, 0.0, jnp.arange(4)), still, rtol=1e-5, atol=1e-6)
    whole = train(x, 0.5, jnp.arange(4))
    assert np.abs(whole - still).max() > 1e-3
    halves = [train(x[i : i + 2], 0.5, jnp.arange(i, i + 2)) for i in (0, 2)]
    np.testing.assert_allclose(jnp.concatenate(halves), whole, rtol=1e-4, atol=1e-5)


SMALL = {"widths": (4, 6), "convolutions": 1, "hidden": (5,)}
PLAIN = 3**2 * 3 * 4 + 4 + 3**2 * 4 * 6 + 6 + 6 * 4 * 5 + 5 + 5 * 10 + 10  # two maps of 2x2 are left of 8x8


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({"pooling": "max_overlapping"}, 0),
        ({"pooling": "average"}, 0),
        ({"pooling": "l2"}, 0),
        ({"pooling": "strided"}, 3**2 * 4 * 4 + 4 + 3**2 * 6 * 6 + 6),
        ({"response_norm": True}, 0),
        ({"activation": "prelu"}, 4 + 6 + 5),
        ({"activation": "maxout"}, PLAIN - 5 * 10 - 10),  # every layer but the last is twice as wide
        ({"factorized": True}, 2 * 3 * 6 * 6 // 2 + 3 * 4 * 6 + 6 - 3**2 * 4 * 6),
    ],
    ids=str,
)
def test_options_of_the_ablations(options, more):
    (logits, features), variables = build((8, 8, 3), **SMALL, **options)
    assert count(variables["params"]) == PLAIN + more
    assert features["pool2"].shape == (2, 2, 2, 6) and logits.shape == (2, 10)


WINDOWS = {
    "max": lambda x: x.max(axis=(2, 4)),
    "average": lambda x: x.mean(axis=(2, 4)),
    "l2": lambda x: np.sqrt((x**2).sum(axis=(2, 4))),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_poolings_of_windows_side_by_side(name, draw):
    model = create("convnet", **SMALL, pooling=name)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    _, features = model.apply(draw(model, (8, 8, 3)), x, train=False)
    before = np.asarray(features["conv1_1"]).reshape(2, 4, 2, 4, 2, 4)
    np.testing.assert_allclose(features["pool1"], WINDOWS[name](before), rtol=1e-5, atol=1e-6)


def test_overlapping_windows_and_response_normalisation(draw):
    model = create("convnet", **SMALL, pooling="max_overlapping", response_norm=True)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    _, features = model.apply(draw(model, (8, 8, 3)), x, train=False)
    before = np.asarray(local_response_norm(features["conv1_1"]))
    expected = [[before[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max(axis=(1, 2)) for j in range(4)] for i in range(4)]
    np.testing.assert_array_equal(features["pool1"], np.moveaxis(np.array(expected), 2, 0))


def test_maxout_keeps_the_larger_of_two(draw):
    model = create("convnet", **SMALL, activation="maxout")
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    variables = draw(model, (8, 8, 3))
    _, features = model.apply(variables, x, train=False)
    kernel, bias = (np.asarray(variables["params"]["conv1_1"][name]) for name in ("kernel", "bias"))
    at = (np.tensordot(x[:, 2:5, 3:6], kernel, axes=3) + bias).reshape(2, 4, 2).max(axis=-1)
    np.testing.assert_allclose(features["conv1_1"][:, 3, 4], at, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "variance"), [("he", 2 / 288), ("glorot", 2 / (288 + 576)), ("lecun", 1 / 288), ("normal", 1e-4)]
)
def test_initial_weights(name, variance):
    model = create("convnet", widths=(32, 64), convolutions=1, hidden=(), kernel_init=name)
    params = jax.jit(lambda: model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)), train=False))()["params"]
    found = np.var(params["conv2_1"]["kernel"])  # of 18,432 weights: 1 % is one standard error
    np.testing.assert_allclose(found, variance, rtol=0.04)


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"3 poolings need images of 8x8, got \(2, 4, 4, 3\)"):
        build((4, 4, 3))
    with pytest.raises(ValueError, match="odd kernel_size, got 4"):
        create("convnet", kernel_size=4)
    for key, word in (("pooling", "max"), ("kernel_init", "he"), ("activation", "relu")):
        with pytest.raises(ValueError, match=f"'{word}'"):
            build(**{key: f"{word}x"})
