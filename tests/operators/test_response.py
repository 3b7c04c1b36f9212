import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from jaxcnn.operators import local_contrast_norm, local_response_norm


def response_by_loops(x, size, k, alpha, beta):
    y = np.zeros_like(x)
    for c in range(x.shape[-1]):
        neighbours = range(max(0, c - size // 2), min(x.shape[-1], c + size // 2 + 1))
        y[..., c] = x[..., c] / (k + alpha * sum(x[..., j] ** 2 for j in neighbours)) ** beta
    return y


@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 99),
    channels=st.integers(1, 7),
    size=st.sampled_from([1, 3, 5]),
    k=st.floats(0.5, 2),
    alpha=st.floats(0, 2),
    beta=st.floats(0, 1),
)
def test_response_equals_loops(seed, channels, size, k, alpha, beta):
    x = np.random.default_rng(seed).normal(size=(2, 2, 3, channels)).astype(np.float32)
    y = jax.jit(lambda x: local_response_norm(x, size=size, k=k, alpha=alpha, beta=beta))(x)
    np.testing.assert_allclose(y, response_by_loops(x, size, k, alpha, beta), rtol=1e-5, atol=1e-6)


def test_alpha_scales_the_sum_or_the_mean():
    x, ones = jnp.array([1.0, 2, 3]).reshape(1, 1, 1, 3), {"size": 3, "k": 1.0, "alpha": 1.0, "beta": 1.0}
    np.testing.assert_allclose(local_response_norm(x, **ones).ravel(), [1 / 6, 2 / 15, 3 / 14], rtol=1e-6)
    divided = local_response_norm(x, divide_by_size=True, **ones)
    np.testing.assert_allclose(divided.ravel(), [0.3750, 0.3529, 0.5625], atol=5e-5)


def test_the_default_is_alexnet():
    x = np.random.default_rng(0).normal(size=(1, 2, 2, 7)).astype(np.float32) * 50
    np.testing.assert_allclose(local_response_norm(x), response_by_loops(x, 5, 2, 1e-4, 0.75), rtol=1e-5)


def contrast_by_loops(x, window, sigma, across, epsilon=1e-4):
    h, w, channels = x.shape[1:]
    reach = window // 2

    def mean(values, b, i, j, c):
        top = bottom = 0.0
        for p in range(-reach, reach + 1):
            for q in range(-reach, reach + 1):
                if 0 <= i + p < h and 0 <= j + q < w:
                    for d in range(channels) if across else (c,):
                        weight = np.exp(-(p * p + q * q) / (2 * sigma**2))
                        top += weight * values[b, i + p, j + q, d]
                        bottom += weight
        return top / bottom

    v, s = np.zeros(x.shape), np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        v[place] = x[place] - mean(x, *place)
    for place in np.ndindex(x.shape):
        s[place] = np.sqrt(mean(v**2, *place))
    return v / np.maximum(np.maximum(s, s.mean((1, 2), keepdims=True)), epsilon)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 99),
    size=st.tuples(st.integers(3, 5), st.integers(3, 5)),
    window=st.sampled_from([1, 3, 5]),
    sigma=st.sampled_from([None, 0.8, 2.0]),
    across=st.booleans(),
)
def test_contrast_equals_loops(seed, size, window, sigma, across):
    x = np.random.default_rng(seed).normal(size=(2, *size, 2)).astype(np.float32) + 3
    y = jax.jit(lambda x: local_contrast_norm(x, window=window, sigma=sigma, across_features=across))(x)
    expected = contrast_by_loops(x, window, window / 4 if sigma is None else sigma, across)
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("level", [0.0, 0.37, 255.0])
def test_an_image_without_contrast_stays_zero_to_its_border(level):
    y = jax.jit(local_contrast_norm)(jnp.full((1, 12, 12, 3), level))
    assert np.abs(y).max() < 1e-6


def test_contrast_does_not_change_with_brightness_and_contrast():
    x = jnp.asarray(np.random.default_rng(1).normal(size=(1, 10, 10, 2)), jnp.float32)
    norm = jax.jit(local_contrast_norm)
    np.testing.assert_allclose(norm(30 * x + 100), norm(x), rtol=1e-3, atol=1e-4)


FUNCTIONS = {
    "response": lambda x: local_response_norm(x, size=3, alpha=0.5),
    "contrast": lambda x: local_contrast_norm(x, window=3),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_jit_vmap_and_bfloat16(name):
    function = jax.jit(FUNCTIONS[name])
    rng = np.random.default_rng(2)
    with jax.enable_x64(True):
        check_grads(function, (jnp.asarray(rng.normal(size=(1, 4, 3, 4))),), order=1, modes=["rev"])
    x = jnp.asarray(rng.normal(size=(3, 2, 4, 3, 4)), jnp.float32)
    expected = np.stack([function(image) for image in np.asarray(x)])
    np.testing.assert_allclose(jax.jit(jax.vmap(function))(x), expected, rtol=1e-5, atol=1e-6)
    short = x[0].astype(jnp.bfloat16)
    y, exact = function(short), function(short.astype(jnp.float32))
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(jnp.float32), exact, rtol=2**-8)  # rounded once, at the end
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(function(x) ** 2 + function(x))))(jnp.zeros_like(x[0]))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    "function, options, said",
    [
        (local_response_norm, {"size": 4}, "odd"),
        (local_response_norm, {"size": -1}, "odd"),
        (local_response_norm, {"k": 0}, "positive k"),
        (local_contrast_norm, {"window": 2}, "odd"),
        (local_contrast_norm, {"sigma": 0}, "positive sigma"),
        (local_contrast_norm, {"epsilon": 0}, "positive sigma and epsilon"),
    ],
)
def test_errors(function, options, said):
    with pytest.raises(ValueError, match=said):
        function(jnp.ones((1, 2, 2, 3)), **options)
    with pytest.raises(ValueError, match="expected images"):
        function(jnp.ones((2, 2, 3)))
