import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxcnn.operators import (
    LOSSES,
    distillation,
    focal,
    multi_head,
    rbf_loss,
    smooth_labels,
    softmax_cross_entropy,
    squared_error,
)

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


def focal_by_loops(logits, targets):
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return [
        -sum(t * (1 - q) ** 2 * np.log(q) for t, q in zip(target, row, strict=True))
        for target, row in zip(targets, p, strict=True)
    ]


BY_LOOPS = {
    "focal": focal_by_loops,
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
        check_grads(jax.jit(loss), (jnp.asarray(LOGITS), jnp.asarray(TARGETS)), order=1, modes=["rev"])


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


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_focal_loss_of_a_sure_class_has_no_gradient(gamma):
    """Not even where 1 - p is 0 in float32, and (1 - p)**0.5 has no derivative."""
    one_hot, loss = jnp.eye(3)[:1], lambda z: focal(z, jnp.eye(3)[:1], gamma=gamma)[0]
    np.testing.assert_array_equal(jax.grad(loss)(jnp.array([[200.0, 0.0, 0.0]])), jnp.zeros((1, 3)))
    even = jnp.zeros((1, 3))
    np.testing.assert_allclose(focal(even, one_hot, gamma=gamma), (2 / 3) ** gamma * np.log(3), rtol=1e-6)


def test_a_negative_gamma_is_refused():
    with pytest.raises(ValueError, match="gamma must be 0 or more, got -1"):
        focal(jnp.zeros((1, 3)), jnp.eye(3)[:1], gamma=-1)


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


TEACHER = RNG.normal(size=(5, 4)) * 3


def distillation_by_loops(logits, teacher, temperature):
    losses = []
    for z, v in zip(logits, teacher, strict=True):
        p = [np.exp(a / temperature) / sum(np.exp(b / temperature) for b in v) for a in v]
        q = [np.exp(a / temperature) / sum(np.exp(b / temperature) for b in z) for a in z]
        losses.append(-sum(a * np.log(b) for a, b in zip(p, q, strict=True)))
    return np.array(losses)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_distillation(temperature):
    logits, teacher = jnp.asarray(LOGITS, jnp.float32), jnp.asarray(TEACHER, jnp.float32)
    expected = distillation_by_loops(LOGITS, TEACHER, temperature)
    np.testing.assert_allclose(
        distillation(logits, teacher, temperature=temperature, squared_temperature=False), expected, rtol=1e-5
    )
    traced = jax.jit(lambda z, v, t: distillation(z, v, temperature=t))(logits, teacher, temperature)
    np.testing.assert_allclose(traced, temperature**2 * expected, rtol=1e-5)
    one_by_one = jax.vmap(lambda z, v: distillation(z[None], v[None], temperature=temperature)[0])(logits, teacher)
    np.testing.assert_allclose(one_by_one, traced, rtol=1e-5)
    assert distillation(logits.astype(jnp.bfloat16), teacher).dtype == jnp.float32
    with jax.enable_x64(True):
        teacher = jnp.asarray(TEACHER)
        check_grads(
            jax.jit(lambda z: distillation(z, teacher, temperature=temperature)), (jnp.asarray(LOGITS),), order=1
        )
        np.testing.assert_array_equal(jax.grad(lambda v: jnp.sum(distillation(jnp.asarray(LOGITS), v)))(teacher), 0)


def test_recorded_probabilities_are_softened_by_their_power():
    """Li and Hoiem 2016, eq. 3: y'_k = y_k ** (1 / T) / sum_j y_j ** (1 / T)."""
    softened = TARGETS**0.5 / (TARGETS**0.5).sum(-1, keepdims=True)
    logits = jnp.asarray(LOGITS, jnp.float32)
    expected = softmax_cross_entropy(logits / 2, jnp.asarray(softened, jnp.float32))
    recorded = jnp.log(jnp.asarray(TARGETS, jnp.float32))
    np.testing.assert_allclose(distillation(logits, recorded, squared_temperature=False), expected, rtol=1e-4)


def test_the_squared_temperature_keeps_the_size_of_the_gradient():
    logits, teacher = jnp.zeros((1, 4)), jnp.asarray(TEACHER[:1], jnp.float32)
    gradients = [
        jax.jit(jax.grad(lambda z, t=t: distillation(z, teacher - teacher.mean(), temperature=t)[0]))(logits)
        for t in (100.0, 1000.0)
    ]
    np.testing.assert_allclose(*gradients, rtol=0.1)
    np.testing.assert_allclose(gradients[1], -(teacher - teacher.mean()) / 4, rtol=0.05)  # Hinton et al., eq. 4
    with pytest.raises(ValueError, match="temperature must be positive"):
        distillation(logits, teacher, temperature=0)


def test_three_untrained_heads_of_googlenet():
    heads, targets = [jnp.zeros((2, 1000))] * 3, jnp.eye(1000)[:2]
    np.testing.assert_allclose(multi_head(heads, targets, weights=(1, 0.3, 0.3)), 1.6 * np.log(1000), rtol=1e-6)


def test_heads_are_added_by_their_weights():
    heads = [jnp.asarray(LOGITS, jnp.float32), jnp.asarray(TEACHER, jnp.float32)]
    targets = jnp.asarray(TARGETS, jnp.float32)
    total = jax.jit(lambda h, t, w: multi_head(h, t, weights=w, loss=squared_error))(heads, targets, (0.5, 2.0))
    first, second = (squared_error(head, targets) for head in heads)
    np.testing.assert_allclose(total, 0.5 * first + 2 * second, rtol=1e-5)
    with pytest.raises(ValueError, match="2 heads and 1 weights"):
        multi_head(heads, targets, weights=(1,))
