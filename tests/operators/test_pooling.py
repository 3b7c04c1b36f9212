import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from jaxcnn.operators import SubSampling, average_pool, global_average_pool, max_pool, sub_sampling


def pool_by_loops(x, window, stride, sides, reduce):
    """reduce takes a list of the values in a window, None where there is only padding."""
    n, height, width, c = x.shape
    (top, bottom), (left, right) = sides
    h = (height + top + bottom - window[0]) // stride[0] + 1
    w = (width + left + right - window[1]) // stride[1] + 1
    y = np.zeros((n, h, w, c))
    for b, i, j, k in np.ndindex(y.shape):
        rows = [i * stride[0] + u - top for u in range(window[0])]
        columns = [j * stride[1] + v - left for v in range(window[1])]
        y[b, i, j, k] = reduce(
            [x[b, r, s, k] if 0 <= r < height and 0 <= s < width else None for r in rows for s in columns]
        )
    return y


def existing(values):
    return [value for value in values if value is not None]


REDUCERS = {
    "max": (max_pool, {}, lambda values: max(existing(values))),
    "counted": (average_pool, {"count_padding": True}, lambda values: sum(existing(values)) / len(values)),
    "existing": (average_pool, {"count_padding": False}, lambda values: np.mean(existing(values))),
}


@pytest.mark.parametrize("name", REDUCERS)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 99),
    window=st.tuples(st.integers(2, 3), st.integers(2, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    sides=st.tuples(*[st.tuples(st.integers(0, 1), st.integers(0, 1))] * 2),
)
def test_pooling_equals_loops(name, seed, window, stride, sides):
    pool, options, reduce = REDUCERS[name]
    x = np.random.default_rng(seed).normal(size=(2, 5, 6, 2)).astype(np.float32)
    y = pool(x, window=window, stride=stride, padding=sides, **options)
    np.testing.assert_allclose(y, pool_by_loops(x, window, stride, sides, reduce), rtol=1e-5, atol=1e-6)


def test_corner_of_an_average_over_ones():
    ones = jnp.ones((1, 4, 4, 1))
    counted = average_pool(ones, window=3, stride=1, padding=1)
    assert counted[0, 0, 0, 0] == pytest.approx(0.4444, abs=1e-4)
    assert average_pool(ones, window=3, stride=1, padding=1, count_padding=False)[0, 0, 0, 0] == 1.0


def test_padding_never_wins_a_maximum():
    y = max_pool(jnp.full((1, 2, 2, 1), -5.0), window=3, stride=1, padding=1)
    assert (y == -5).all()


def test_stride_is_the_window_by_default():
    assert max_pool(jnp.ones((1, 7, 9, 1)), window=(2, 3)).shape == (1, 3, 3, 1)


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: max_pool(x, window=3, stride=2, padding=1),
        lambda x: average_pool(x, window=3, stride=2, padding=1),
        lambda x: average_pool(x, window=3, stride=2, padding=1, count_padding=False),
        global_average_pool,
    ],
    ids=["max", "counted", "existing", "global"],
)
def test_gradients_jit_vmap_and_dtype(pool):
    with jax.enable_x64(True):
        x = np.random.default_rng(0).permutation(100).reshape(1, 5, 5, 4) / 10  # no ties within a difference step
        check_grads(jax.jit(pool), (jnp.asarray(x),), order=1)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(3, 2, 5, 5, 2)), jnp.float32)
    expected = np.stack([pool(image) for image in x])
    np.testing.assert_allclose(jax.jit(jax.vmap(pool))(x), expected, rtol=1e-5, atol=1e-6)
    assert pool(x[0].astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_means_of_bfloat16_are_summed_in_float32():
    ones = jnp.ones((1, 32, 32, 1), jnp.bfloat16)  # a bfloat16 sum of ones stops at 256
    assert global_average_pool(ones)[0, 0] == 1
    assert average_pool(ones, window=32)[0, 0, 0, 0] == 1


def test_global_average_pool_is_the_mean():
    x = np.random.default_rng(2).normal(size=(2, 3, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(global_average_pool(x), x.mean((1, 2)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pool", [max_pool, average_pool])
@pytest.mark.parametrize(
    "shape, options, said",
    [
        ((1, 2, 8, 1), {"window": 3}, r"larger than the image: input \(1, 2, 8, 1\)"),
        ((1, 8, 8, 1), {"window": 2, "padding": 2}, "nothing but padding"),
        ((8, 8, 1), {"window": 2}, "expected images"),
    ],
)
def test_errors_say_what_is_wrong(pool, shape, options, said):
    with pytest.raises(ValueError, match=said):
        pool(jnp.ones(shape), **options)


def test_sub_sampling_multiplies_the_sum():
    x = np.random.default_rng(3).normal(size=(2, 5, 4, 3)).astype(np.float32)
    coefficient, bias = np.array([1.0, 2, -1], np.float32), np.array([0.0, 1, 2], np.float32)
    sums = pool_by_loops(x, (2, 2), (2, 2), ((0, 0),) * 2, sum)
    np.testing.assert_allclose(sub_sampling(x, coefficient, bias), sums * coefficient + bias, rtol=1e-5, atol=1e-5)
    assert sub_sampling(jnp.ones((1, 2, 2, 1)), jnp.ones(1), jnp.zeros(1)).item() == 4


def test_sub_sampling_gradients():
    with jax.enable_x64(True):
        rng = np.random.default_rng(4)
        arguments = [jnp.asarray(rng.normal(size=s)) for s in ((2, 4, 4, 3), (3,), (3,))]
        check_grads(jax.jit(sub_sampling), arguments, order=1)


def test_sub_sampling_module():
    module = SubSampling(dtype=jnp.bfloat16)
    x = jnp.asarray(np.random.default_rng(5).normal(size=(1, 4, 4, 6)), jnp.float32)
    y, variables = module.init_with_output(jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, variables) == {"params": {"coefficient": (6,), "bias": (6,)}}
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(SubSampling().apply(variables, x), average_pool(x, window=2), rtol=1e-5, atol=1e-6)
