import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxcnn.operators import LOSSES, rbf_loss, smooth_labels, softmax_cross_entropy, squared_error

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(5, 4)) * 3
TARGETS = RNG.dirichlet(np.ones(4), size=5)


def softmax_cross_entropy_by_loops(logits, targets):
    return [
        -sum(t * np.log(np.exp(z) / sum(np.exp(row))) for z, t in zip(row, target, strict=True))
        for row, target in zip(logits, targets, strict=True)
    ]


def squared_error_by_loops(logits, targets):
    return [sum((z - t) ** 2 for z, t in zip(*rows, strict=True)) for rows in zip(logits, targets, strict=True)]


def rbf_loss_by_loops(logits, targets):
    penalties = -logits
    return [
        sum(t * y for t, y in zip(target, row, strict=True)) + np.log(np.exp(-1.0) + sum(np.exp(-y) for y in row))
        for row, target in zip(penalties, targets, strict=True)
    ]


BY_LOOPS = {
    "rbf_loss": rbf_loss_by_loops,
    "softmax_cross_entropy": softmax_cross_entropy_by_loops,
    "squared_error": squared_error_by_loops,
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name):
    loss = LOSSES[name]
    logits, targets = jnp.asarray(LOGITS, jnp.float32), jnp.asarray(TARGETS, jnp.float32)
    np.testing.assert_allclose(loss(logits, targets), BY_LOOPS[name](LOGITS, TARGETS), rtol=1e-5)
    np.testing.assert_allclose(jax.jit(loss)(logits, targets), loss(logits, targets), rtol=1e-6)
    one_by_one = jax.vmap(lambda z, t: loss(z[None], t[None])[0])(logits, targets)
    np.testing.assert_allclose(one_by_one, loss(logits, targets), rtol=1e-6)
    assert loss(logits.astype(jnp.bfloat16), targets).dtype == jnp.float32
    with jax.enable_x64(True):
        check_grads(jax.jit(loss), (jnp.asarray(LOGITS), jnp.asarray(TARGETS)), order=1)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shapes", [((5, 4), (5, 3)), ((5,), (5,))])
def test_shapes_that_differ_are_refused(name, shapes):
    with pytest.raises(ValueError, match="one shape"):
        LOSSES[name](*map(jnp.ones, shapes))


def test_cross_entropy_at_chance_and_at_large_logits():
    one_hot = jnp.eye(1000)[:2]
    np.testing.assert_allclose(softmax_cross_entropy(jnp.zeros((2, 1000)), one_hot), np.log(1000), rtol=1e-6)
    sure = softmax_cross_entropy(jnp.array([[1e4, 0.0], [0.0, 1e4]]), jnp.array([[1.0, 0], [1, 0]]))
    np.testing.assert_allclose(sure, [0, 1e4])


def test_smoothing_shares_with_every_class():
    np.testing.assert_allclose(smooth_labels(jnp.eye(4)[:1], smoothing=0.2), [[0.85, 0.05, 0.05, 0.05]], rtol=1e-6)
    traced = jax.jit(lambda e: smooth_labels(jnp.eye(4), smoothing=e))
    np.testing.assert_array_equal(traced(0.0), jnp.eye(4))
    np.testing.assert_allclose(traced(1.0), jnp.full((4, 4), 0.25))
    assert smooth_labels(jnp.eye(4, dtype=jnp.bfloat16), smoothing=jnp.float32(0.1)).dtype == jnp.bfloat16


def test_squared_error_is_the_sum():
    assert squared_error(jnp.array([[1.0, 2, 3]]), jnp.zeros((1, 3))).tolist() == [14]


def test_rbf_loss_at_far_penalties():
    far = jnp.array([[0.0, 1e4]])
    np.testing.assert_allclose(rbf_loss(-far, jnp.array([[1.0, 0]])), [np.log(np.exp(-1) + 1)], rtol=1e-6)
    np.testing.assert_allclose(rbf_loss(-far, jnp.array([[0.0, 1]]), rejection=2.0), [1e4 + np.log(np.exp(-2) + 1)])


def test_rbf_loss_pulls_the_right_class_and_pushes_the_others():
    gradient = jax.grad(lambda z: rbf_loss(z, jnp.array([[1.0, 0, 0]]))[0])(jnp.array([[-2.0, -1.0, -5.0]]))[0]
    assert gradient[0] < 0 < gradient[2] < gradient[1]  # by minus the penalty; the nearest rival is pushed most
