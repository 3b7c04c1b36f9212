import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tracing import count, shapes

from jaxcnn.architectures import create


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


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"3 poolings need images of 8x8, got \(2, 4, 4, 3\)"):
        build((4, 4, 3))
    with pytest.raises(ValueError, match="odd kernel_size, got 4"):
        create("convnet", kernel_size=4)
