import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxcnn.operators import ACTIVATIONS, INITIALIZERS, activation, initializer, leaky_relu, scaled_tanh

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
        check_grads(jax.jit(function), (jnp.asarray(X),), order=1)
    x = jnp.asarray(X, jnp.float32)
    np.testing.assert_allclose(jax.jit(function)(x), function(x), rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(function)(x), function(x), rtol=1e-6)
    assert function(x.astype(jnp.bfloat16)).dtype == jnp.bfloat16


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
