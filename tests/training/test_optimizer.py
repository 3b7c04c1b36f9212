"""Update rules against numbers worked out by hand and against loops in NumPy, for every convention of the papers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcnn import default_config
from jaxcnn.tasks import CLASSIFICATION
from jaxcnn.training.optimizer import make_optimizer
from jaxcnn.training.state import hyperparameters

GRADIENTS = np.array([[0.5, -2.0], [1.0, 0.1], [-0.7, 0.3], [0.2, 0.0], [1.5, -1.0]], np.float64)
START = np.array([1.0, -0.5])


def optimizer_of(changes, schedule):
    config = default_config()
    config.update_from_flattened_dict({f"optimizer.{key}": value for key, value in changes.items()})
    numbers = hyperparameters(config, CLASSIFICATION, object())
    return make_optimizer(config, schedule), numbers


def descend(changes, start, gradients, schedule):
    """The weights after each update; start and each of the gradients are equal pytrees."""
    make, numbers = optimizer_of(changes, schedule)
    weights = jax.tree.map(jnp.float32, start)
    state, found = make(numbers).init(weights), []
    for gradient in gradients:
        updates, state = make(numbers).update(jax.tree.map(jnp.float32, gradient), state, weights)
        weights = optax.apply_updates(weights, updates)
        found.append(jax.tree.map(np.asarray, weights))
    return found


def constant(rate):
    return lambda step: rate


@pytest.mark.parametrize(("convention", "expected"), [("torch", -0.683197), ("caffe", -1.278069)])
def test_momentum_where_the_rate_changes(convention, expected):
    """The rate is in the buffer (Krizhevsky et al. 2012, section 5) or outside (torch).

    w = 0, g = 1, momentum 0.9, rate 0.1 three times and then 0.01 three times.
    """
    found = descend({"momentum_convention": convention}, 0.0, [1.0] * 6, lambda step: jnp.where(step < 3, 0.1, 0.01))
    np.testing.assert_allclose(found[-1], expected, rtol=1e-5)


def test_the_conventions_agree_at_a_constant_rate():
    torch, caffe = (descend({"momentum_convention": c}, START, GRADIENTS, constant(0.05)) for c in ("torch", "caffe"))
    np.testing.assert_allclose(torch, caffe, rtol=1e-5)


@pytest.mark.parametrize(
    ("decay", "expected"), [("l2", [0.94, 0.8266, 0.666274]), ("decoupled", [0.94, 0.8356, 0.691744])]
)
def test_weight_decay_before_momentum_or_after(decay, expected):
    """L2 or decoupled (Loshchilov and Hutter 2017, arXiv:1711.05101).

    w = 1, g = 0.5, decay 0.1, rate 0.1, momentum 0.9.
    """
    found = descend({"decay": decay, "weight_decay": 0.1}, 1.0, [0.5] * 3, constant(0.1))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_nesterov():
    w, v, expected = START.copy(), np.zeros(2), []
    for g in GRADIENTS:
        v = 0.8 * v + g
        w = w - 0.1 * (g + 0.8 * v)  # Sutskever et al. 2013, as torch writes it
        expected.append(w)
    found = descend({"nesterov": True, "momentum": 0.8}, START, GRADIENTS, constant(0.1))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_adam():
    w, m, s, expected = START.copy(), np.zeros(2), np.zeros(2), []
    for t, g in enumerate(GRADIENTS, start=1):
        m, s = 0.9 * m + 0.1 * g, 0.99 * s + 0.01 * g**2
        w = w - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.99**t)) + 1e-3)  # Kingma and Ba 2014, algorithm 1
        expected.append(w)
    changes = {"name": "adam", "momentum": 0.9, "second_moment": 0.99, "epsilon": 1e-3}
    np.testing.assert_allclose(descend(changes, START, GRADIENTS, constant(0.1)), expected, rtol=1e-5)


@pytest.mark.parametrize("convention", ["tensorflow", "torch"])
@pytest.mark.parametrize("epsilon", [1.0, 1e-3])
def test_rmsprop(convention, epsilon):
    """Tieleman and Hinton 2012; TensorFlow: epsilon inside the root and a buffer from 1; torch: outside and from 0."""
    w, v, expected = START.copy(), np.zeros(2), []
    s = np.ones(2) if convention == "tensorflow" else np.zeros(2)
    for g in GRADIENTS:
        s = 0.9 * s + 0.1 * g**2
        direction = g / np.sqrt(s + epsilon) if convention == "tensorflow" else g / (np.sqrt(s) + epsilon)
        v = 0.8 * v + direction
        w = w - 0.045 * v
        expected.append(w)
    changes = {"name": "rmsprop", "momentum": 0.8, "second_moment": 0.9}
    changes |= {"epsilon": epsilon, "rmsprop_convention": convention}
    np.testing.assert_allclose(descend(changes, START, GRADIENTS, constant(0.045)), expected, rtol=1e-5)


def test_clipping_scales_the_whole_gradient_to_the_norm():
    start, gradient = {"a": 0.0, "b": 0.0}, {"a": 3.0, "b": 4.0}
    (found,) = descend({"clip": 2.5, "momentum": 0.0}, start, [gradient], constant(1.0))
    np.testing.assert_allclose([found["a"], found["b"]], [-1.5, -2.0], rtol=1e-6)
    (found,) = descend({"clip": 6.0, "momentum": 0.0}, start, [gradient], constant(1.0))
    np.testing.assert_allclose([found["a"], found["b"]], [-3.0, -4.0], rtol=1e-6)


def test_clipping_comes_before_weight_decay():
    (found,) = descend({"clip": 1.0, "weight_decay": 0.5, "momentum": 0.0}, 10.0, [4.0], constant(0.1))
    np.testing.assert_allclose(found, 10 - 0.1 * (1 + 0.5 * 10), rtol=1e-6)


@pytest.mark.parametrize("decay", ["l2", "decoupled"])
def test_the_mask_spares_biases_and_batch_norm(decay):
    start = {"kernel": np.ones((2, 2)), "bias": np.ones(2), "scale": np.ones(2)}
    nothing = jax.tree.map(np.zeros_like, start)
    changes = {"decay": decay, "weight_decay": 0.5, "momentum": 0.0}
    (every,) = descend({**changes, "decay_mask": "all"}, start, [nothing], constant(0.1))
    (kernels,) = descend({**changes, "decay_mask": "kernels"}, start, [nothing], constant(0.1))
    assert all((leaf == np.float32(0.95)).all() for leaf in every.values())
    assert (kernels["kernel"] == np.float32(0.95)).all()
    assert (kernels["bias"] == 1).all() and (kernels["scale"] == 1).all()


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_a_hyperparameter_changes_the_update_and_compiles_nothing(name):
    make, numbers = optimizer_of({"name": name, "weight_decay": 0.1}, constant(0.1))
    weights, traces = jnp.float32(START), []

    @jax.jit
    def two(numbers):
        traces.append(1)
        w, state = weights, make(numbers).init(weights)
        for gradient in jnp.float32(GRADIENTS[:2]):
            updates, state = make(numbers).update(gradient, state, w)
            w = optax.apply_updates(w, updates)
        return w

    reference = two(numbers)
    for key in ("learning_rate_scale", "momentum", "weight_decay"):
        assert not np.allclose(two({**numbers, key: numbers[key] / 2}), reference)
    assert len(traces) == 1


def test_the_scale_multiplies_the_rate():
    make, numbers = optimizer_of({}, constant(0.1))
    numbers = {**numbers, "learning_rate_scale": jnp.float32(0.25)}
    weights = jnp.float32(START)
    updates, _ = make(numbers).update(jnp.float32(GRADIENTS[0]), make(numbers).init(weights), weights)
    np.testing.assert_allclose(updates, -0.025 * GRADIENTS[0], rtol=1e-6)
