import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.operators import Dropout, dropout


def keys(n, seed=0):
    return jax.random.split(jax.random.key(seed), n)


def test_zeroes_a_share_and_keeps_the_mean():
    y = np.asarray(dropout(keys(4), jnp.ones((4, 100, 100)), rate=0.3))
    assert set(np.unique(y)) == {0.0, np.float32(1) / np.float32(0.7)}
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert y.mean() == pytest.approx(1.0, abs=0.02)
    assert (y[0] != y[1]).any()


def test_the_mask_of_an_image_comes_from_its_own_key():
    x = jnp.ones((4, 50))
    every = dropout(keys(4), x, rate=0.5)
    np.testing.assert_array_equal(dropout(keys(4)[2:3], x[2:3], rate=0.5), every[2:3])
    np.testing.assert_array_equal(every, jax.jit(dropout)(keys(4), x, rate=0.5))
    stacked = jax.vmap(lambda k, x: dropout(k, x, rate=0.5))(keys(4).reshape(2, 2), x.reshape(2, 2, 50))
    np.testing.assert_array_equal(stacked.reshape(4, 50), every)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_a_traced_rate_has_finite_gradients(rate):
    x = jnp.linspace(-1, 1, 200).reshape(2, 100)

    @jax.jit
    def gradients(x, rate):
        return jax.grad(lambda x, rate: jnp.sum(dropout(keys(2), x, rate=rate)), argnums=(0, 1))(x, rate)

    by_x, by_rate = gradients(x, rate)
    np.testing.assert_allclose(by_x, dropout(keys(2), jnp.ones_like(x), rate=rate), rtol=1e-6)
    assert np.isfinite(by_rate)
    if rate == 0:
        np.testing.assert_array_equal(jax.jit(dropout)(keys(2), x, rate=rate), x)


def test_dtype_stays():
    assert dropout(keys(2), jnp.ones((2, 3), jnp.bfloat16), rate=jnp.float32(0.5)).dtype == jnp.bfloat16


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1, 2])
def test_a_rate_outside_is_refused(rate):
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        dropout(keys(2), jnp.ones((2, 3)), rate=rate)


def test_one_key_for_each_image():
    with pytest.raises(ValueError, match="one key for each of 3 images, got 2"):
        dropout(keys(2), jnp.ones((3, 4)), rate=0.5)


class Two(nn.Module):
    dropout_rate: float

    @nn.compact
    def __call__(self, x, *, train):
        first = Dropout(self.dropout_rate)(x, train=train)
        return first, Dropout(self.dropout_rate)(x, train=train)


RUN = {"dropout": jax.random.key(3)}


def test_the_mask_depends_on_the_position_in_the_global_batch():
    x, model = jnp.ones((8, 40)), Two(0.5)
    whole, _ = model.apply({}, x, train=True, rngs=RUN)
    halves = [
        model.apply({"batch": {"position": jnp.arange(i, i + 4)}}, x[:4], train=True, rngs=RUN)[0] for i in (0, 4)
    ]
    np.testing.assert_array_equal(jnp.concatenate(halves), whole)
    assert (halves[0] != halves[1]).any()


def test_the_rows_of_an_image_have_masks_of_their_own_wherever_it_lies():
    """Three regions an image, in one batch of four images or in two of two."""
    model, x = Dropout(0.5), jnp.ones((12, 64))

    def drop(first, stop):
        variables = {"batch": {"position": jnp.arange(first, stop)}}
        return np.asarray(model.apply(variables, x[3 * first : 3 * stop], train=True, rngs=RUN))

    whole = drop(0, 4)
    np.testing.assert_array_equal(np.concatenate([drop(0, 2), drop(2, 4)]), whole)
    assert len(np.unique(whole, axis=0)) == 12


def test_layers_and_keys_differ():
    x = jnp.ones((2, 40))
    first, second = Two(0.5).apply({}, x, train=True, rngs=RUN)
    assert (first != second).any()
    other, _ = Two(0.5).apply({}, x, train=True, rngs={"dropout": jax.random.key(4)})
    assert (first != other).any()


def test_a_traced_rate_is_an_attribute_and_does_not_recompile():
    x, traces = jnp.ones((4, 40)), []

    @jax.jit
    def apply(rate):
        traces.append(rate)
        return Two(0.9).clone(dropout_rate=rate).apply({}, x, train=True, rngs=RUN)[0]

    np.testing.assert_allclose(apply(0.5), Two(0.5).apply({}, x, train=True, rngs=RUN)[0], rtol=1e-6)
    np.testing.assert_array_equal(apply(0.0), x)
    assert len(traces) == 1


def test_evaluation_and_rate_zero_need_no_key():
    x = jnp.ones((4, 40))
    np.testing.assert_array_equal(Two(0.5).apply({}, x, train=False)[0], x)
    np.testing.assert_array_equal(Two(0.0).apply({}, x, train=True)[0], x)
    np.testing.assert_array_equal(Two(0).apply({}, x, train=True)[0], x)
