import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from jaxcnn.operators import max_pool, max_pool_with_switches, unpool

GEOMETRY = {
    "seed": st.integers(0, 99),
    "window": st.tuples(st.integers(2, 3), st.integers(2, 3)),
    "stride": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    "sides": st.tuples(*[st.tuples(st.integers(0, 1), st.integers(0, 1))] * 2),
    "ceil": st.booleans(),
}


@settings(max_examples=4, deadline=None, derandomize=True)
@given(**GEOMETRY)
def test_switches_are_the_first_largest_of_their_windows(seed, window, stride, sides, ceil):
    x = np.random.default_rng(seed).integers(-2, 2, size=(2, 5, 6, 3)).astype(np.float32)  # many ties
    options = {"window": window, "stride": stride, "padding": sides, "ceil": ceil}
    pooled, switches = jax.jit(lambda x: max_pool_with_switches(x, **options))(x)
    np.testing.assert_array_equal(pooled, max_pool(x, **options))
    pooled, switches = np.asarray(pooled), np.asarray(switches)
    assert switches.dtype == jnp.int32
    for b, i, j, c in np.ndindex(pooled.shape):
        top, left = i * stride[0] - sides[0][0], j * stride[1] - sides[1][0]
        places = [
            (r, s)
            for r in range(max(top, 0), min(top + window[0], 5))
            for s in range(max(left, 0), min(left + window[1], 6))
        ]
        best = max(places, key=lambda place, b=b, c=c: x[b, *place, c])  # the first of the largest
        assert divmod(int(switches[b, i, j, c]), 6) == best


@settings(max_examples=3, deadline=None, derandomize=True)
@given(**GEOMETRY)
def test_unpooling_equals_loops_and_is_the_transpose(seed, window, stride, sides, ceil):
    x = np.random.default_rng(seed).normal(size=(2, 5, 6, 3)).astype(np.float32)
    options = {"window": window, "stride": stride, "padding": sides, "ceil": ceil}

    @jax.jit
    def both(x):
        pooled, switches = max_pool_with_switches(x, **options)
        signal = jnp.cos(10 * pooled)
        gradients = [
            jax.vjp(pool, x)[1](signal)[0]
            for pool in (lambda x: max_pool(x, **options), lambda x: max_pool_with_switches(x, **options)[0])
        ]
        return switches, signal, unpool(signal, switches, shape=x.shape), gradients

    switches, signal, back, gradients = jax.tree.map(np.asarray, both(x))
    expected = np.zeros((2, 5 * 6, 3))
    for b, i, j, c in np.ndindex(signal.shape):
        expected[b, switches[b, i, j, c], c] += signal[b, i, j, c]
    for result in (back, *gradients):
        np.testing.assert_allclose(result, expected.reshape(x.shape), rtol=1e-5, atol=1e-5)


def test_each_image_goes_back_by_its_own_switches():
    x = np.array([0, 5, 0, 0, 0, 0, 7, 0], np.float32).reshape(2, 2, 2, 1)
    pooled, switches = jax.jit(lambda x: max_pool_with_switches(x, window=2))(x)
    assert switches.ravel().tolist() == [1, 2]
    np.testing.assert_array_equal(unpool(pooled, switches, shape=(2, 2)), x)


def test_padding_nan_and_minus_infinity():
    x = jnp.full((1, 3, 3, 1), -jnp.inf)
    pooled, switches = jax.jit(lambda x: max_pool_with_switches(x, window=2, padding=1))(x)
    assert (pooled == -jnp.inf).all() and switches.ravel().tolist() == [0, 1, 3, 4]
    x = jnp.array([1.0, jnp.nan, 5.0, jnp.nan]).reshape(1, 2, 2, 1)
    pooled, switches = jax.jit(lambda x: max_pool_with_switches(x, window=2))(x)
    assert np.isnan(pooled).all() and switches.item() == 1


def test_gradients_jit_vmap_and_dtype():
    @jax.jit
    def there_and_back(x):
        pooled, switches = max_pool_with_switches(x, window=3, stride=2, padding=1)
        return unpool(pooled**2, switches, shape=x.shape)

    with jax.enable_x64(True):
        x = np.random.default_rng(0).permutation(200).reshape(2, 5, 5, 4) / 20  # no ties within a difference step
        check_grads(there_and_back, (jnp.asarray(x),), order=1, modes=["rev"])
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, 2, 5, 5, 4)), jnp.float32)
    expected = np.stack([there_and_back(image) for image in np.asarray(x)])
    np.testing.assert_allclose(jax.jit(jax.vmap(there_and_back))(x), expected, rtol=1e-6)
    assert jax.eval_shape(there_and_back, x[0].astype(jnp.bfloat16)).dtype == jnp.bfloat16


@pytest.mark.parametrize("shape", [(1, 4, 4, 3), (2, 4, 4, 2)])
def test_a_shape_of_another_image_is_refused(shape):
    pooled, switches = jnp.ones((1, 2, 2, 2)), jnp.zeros((1, 2, 2, 2), jnp.int32)
    with pytest.raises(ValueError, match="do not belong together"):
        unpool(pooled, switches, shape=shape)
    with pytest.raises(ValueError, match="do not belong together"):
        unpool(pooled, switches[:, :1], shape=(4, 4))
