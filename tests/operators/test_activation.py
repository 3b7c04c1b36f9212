import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxcnn.operators import (
    ACTIVATIONS,
    INITIALIZERS,
    PReLU,
    activation,
    initializer,
    leaky_relu,
    maxout,
    prelu,
    scaled_tanh,
    softmax,
)

X = np.array([-3.0, -1.0, -0.25, 0.5, 1.0, 2.0])

BY_HAND = {
    "elu": np.where(X > 0, X, np.exp(X) - 1),
    "identity": X,
    "leaky_relu": np.where(X > 0, X, 0.01 * X),
    "relu": np.where(X > 0, X, 0),
    "scaled_tanh": 1.7159 * np.tanh(2 * X / 3),
    "sigmoid": 1 / (1 + np.exp(-X)),
    "tanh": np.tanh(X),
}


def test_every_activation_is_here():
    assert set(ACTIVATIONS) == set(BY_HAND) == set(INITIALIZERS)


@pytest.mark.parametrize("name", BY_HAND)
def test_values_gradients_jit_and_vmap(name):
    function = activation(name)
    with jax.enable_x64(True):
        np.testing.assert_allclose(function(jnp.asarray(X)), BY_HAND[name], rtol=1e-12)
        check_grads(jax.jit(function), (jnp.asarray(X),), order=1, modes=["rev"])
    x = jnp.asarray(X, jnp.float32)
    np.testing.assert_allclose(jax.jit(function)(x), function(x), rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(function)(x), function(x), rtol=1e-6)
    assert jax.eval_shape(function, x.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_scaled_tanh_meets_its_targets():
    np.testing.assert_allclose(scaled_tanh(jnp.array([-1.0, 1.0])), [-1, 1], atol=2e-5)


def test_options():
    assert leaky_relu(jnp.array(-2.0), slope=0.25) == -0.5
    np.testing.assert_allclose(scaled_tanh(jnp.array(0.5), amplitude=2.0, slope=1.0), 2 * np.tanh(0.5), rtol=1e-6)


@pytest.mark.parametrize("find", [activation, initializer])
def test_a_wrong_name_is_answered_with_the_nearest(find):
    with pytest.raises(ValueError, match=r"unknown activation 'rleu'; did you mean 'relu'.*scaled_tanh"):
        find("rleu")


@pytest.mark.parametrize("name, scale", [("relu", 2 / 300), ("tanh", 1 / 350), ("sigmoid", 16 / 350)])
def test_initialisers_have_the_variance_of_their_source(name, scale):
    weights = initializer(name)(jax.random.key(0), (300, 400), jnp.float32)
    assert np.var(weights) == pytest.approx(scale, rel=0.02)


IMAGE = np.random.default_rng(0).permutation(48).reshape(2, 2, 2, 6) / 10 - 2.35  # no ties, no zeros
SLOPES = np.array([0.25, 0, -1, 2, 0.5, 0.1])

BEYOND = {
    "prelu": (lambda x: prelu(x, jnp.asarray(SLOPES, x.dtype)), np.where(IMAGE > 0, IMAGE, SLOPES * IMAGE)),
    "maxout": (lambda x: maxout(x, pieces=3), np.stack([IMAGE[..., :3].max(-1), IMAGE[..., 3:].max(-1)], axis=-1)),
    "softmax": (softmax, np.exp(IMAGE) / np.exp(IMAGE).sum(-1, keepdims=True)),
    "softmax_axis": (lambda x: softmax(x, axis=1), np.exp(IMAGE) / np.exp(IMAGE).sum(1, keepdims=True)),
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_is_not_elementwise(name):
    function, expected = BEYOND[name]
    with jax.enable_x64(True):
        np.testing.assert_allclose(function(jnp.asarray(IMAGE)), expected, rtol=1e-12)
        check_grads(jax.jit(function), (jnp.asarray(IMAGE),), order=1, modes=["rev"])
    x = jnp.asarray(IMAGE, jnp.float32)
    np.testing.assert_allclose(jax.jit(function)(x), function(x), rtol=1e-6)
    mapped = jax.vmap(lambda image: function(image[None])[0])(x)
    np.testing.assert_allclose(mapped, function(x), rtol=1e-6)
    short = x.astype(jnp.bfloat16)
    assert function(short).dtype == jnp.bfloat16
    np.testing.assert_allclose(function(short).astype(jnp.float32), function(short.astype(jnp.float32)), rtol=2**-7)


def test_prelu_learns_a_slope_for_each_channel():
    x = jnp.asarray(IMAGE, jnp.float32)
    y, variables = PReLU().init_with_output(jax.random.key(0), x)
    assert variables["params"]["slopes"].tolist() == [0.25] * 6
    np.testing.assert_allclose(y, leaky_relu(x, slope=0.25), rtol=1e-6)
    gradient = jax.grad(lambda v: jnp.sum(PReLU().apply(v, x)))(variables)["params"]["slopes"]
    np.testing.assert_allclose(gradient, np.minimum(IMAGE, 0).sum((0, 1, 2)), rtol=1e-5)
    assert PReLU(shared=True).init(jax.random.key(0), x)["params"]["slopes"].shape == (1,)
    assert PReLU().apply(variables, x.astype(jnp.bfloat16)).dtype == jnp.bfloat16
    at_zero = jax.grad(lambda x: prelu(x, jnp.array([0.25]))[0])(jnp.zeros(1))
    assert at_zero.tolist() == [0.25]


def test_softmax_of_large_numbers():
    y = softmax(jnp.array([1e4, 1e4, -1e4]))
    assert y.tolist() == [0.5, 0.5, 0]
    gradient = jax.grad(lambda x: softmax(x)[0])(jnp.array([1e4, 1e4, -1e4]))
    np.testing.assert_allclose(gradient, [0.25, -0.25, 0])


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"expected slopes \(6,\) or \(1,\)"):
        prelu(jnp.ones((2, 6)), jnp.ones(3))
    with pytest.raises(ValueError, match="6 channels are no whole number of groups of 4"):
        maxout(jnp.ones((2, 6)), pieces=4)
