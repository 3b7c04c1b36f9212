import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from jaxcnn.operators import (
    SubSampling,
    average_pool,
    global_average_pool,
    global_max_pool,
    l2_pool,
    l2_pool_features,
    max_pool,
    sub_sampling,
)


def starts(size, window, stride, sides, ceil):
    """The first pixels of the windows along an axis; the last one may reach beyond the padding under ceil."""
    before, after = sides
    found = [s for s in range(-before, size + after, stride) if s + window <= size + after]
    following = found[-1] + stride
    if ceil and found[-1] + window < size + after and following < size:
        found.append(following)
    return found


def pool_by_loops(x, window, stride, sides, reduce, ceil=False):
    """reduce takes a list of the values in a window, None where there is only padding, nothing beyond the padding."""
    n, height, width, c = x.shape
    down, right = (starts(*axis, ceil) for axis in zip((height, width), window, stride, sides, strict=True))
    y = np.zeros((n, len(down), len(right), c))
    for b, i, j, k in np.ndindex(y.shape):
        rows = [r for r in range(down[i], down[i] + window[0]) if r < height + sides[0][1]]
        columns = [s for s in range(right[j], right[j] + window[1]) if s < width + sides[1][1]]
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
    "l2": (l2_pool, {}, lambda values: np.sqrt(np.sum(np.square(existing(values))))),
}


@pytest.mark.parametrize("name", REDUCERS)
@settings(max_examples=5, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 99),
    window=st.tuples(st.integers(2, 3), st.integers(2, 3)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    sides=st.tuples(*[st.tuples(st.integers(0, 1), st.integers(0, 1))] * 2),
    ceil=st.booleans(),
)
def test_pooling_equals_loops(name, seed, window, stride, sides, ceil):
    pool, options, reduce = REDUCERS[name]
    x = np.random.default_rng(seed).normal(size=(2, 5, 6, 2)).astype(np.float32)
    y = jax.jit(lambda x: pool(x, window=window, stride=stride, padding=sides, ceil=ceil, **options))(x)
    np.testing.assert_allclose(y, pool_by_loops(x, window, stride, sides, reduce, ceil), rtol=1e-5, atol=1e-6)


def test_ceil_is_that_of_caffe():
    sizes = [112, 56, 28, 14, 7]  # GoogLeNet, table 1
    for size, following in itertools.pairwise(sizes):
        x = jax.ShapeDtypeStruct((1, size, size, 1), jnp.float32)
        assert jax.eval_shape(lambda x: max_pool(x, window=3, stride=2, ceil=True), x).shape[1] == following
    x = jnp.arange(1.0, 6.0).reshape(1, 1, 5, 1)
    clipped = {"window": (1, 2), "stride": (1, 2), "ceil": True}
    assert max_pool(x, **clipped).ravel().tolist() == [2, 4, 5]
    assert average_pool(x, **clipped).ravel().tolist() == [1.5, 3.5, 5]  # beyond the image nothing is counted
    # a fourth window would start at 5, in the padding
    assert average_pool(x, padding=((0, 0), (1, 1)), **clipped).ravel().tolist() == [0.5, 2.5, 4.5]
    assert max_pool(jnp.ones((1, 2, 2, 1)), window=3, stride=2, ceil=True).shape == (1, 1, 1, 1)


@pytest.mark.parametrize("pool", [max_pool, average_pool, l2_pool])
def test_exact_names_the_padding_that_fits(pool):
    x = jnp.ones((1, 6, 7, 1))
    with pytest.raises(ValueError, match=r"stride \(2, 2\).*\(1, 6, 7, 1\).*is \(\(0, 1\), \(0, 0\)\)"):
        pool(x, window=3, stride=2, exact=True)
    assert pool(x, window=3, stride=2, padding=((0, 1), (0, 0)), exact=True).shape == (1, 3, 3, 1)


def test_maximum_of_nan_and_of_minus_infinity():
    x = jnp.array([[1.0, jnp.nan, -jnp.inf, -jnp.inf], [5.0, 6.0, -jnp.inf, -jnp.inf]]).reshape(1, 2, 4, 1)
    np.testing.assert_array_equal(max_pool(x, window=2).ravel(), [np.nan, -np.inf])
    np.testing.assert_array_equal(jnp.isnan(max_pool(x, window=3, stride=1, padding=1)[0, 0, :, 0]), [1, 1, 1, 0])


@pytest.mark.parametrize("pool", [lambda x: max_pool(x, window=2), lambda x: global_max_pool(x[:, :2, :2])])
def test_the_first_of_a_tie_gets_the_gradient(pool):
    gradient = jax.grad(lambda x: jnp.sum(pool(x)))(jnp.ones((1, 2, 2, 1)))
    assert gradient.ravel().tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("window", [(3, 3), (2, 4), (1, 3), (3, 1)])
def test_the_gradient_goes_to_the_first_pixel_that_has_the_maximum(window, stride):
    """Row by row, NaN before all others: in images of few values, which are full of ties."""
    rng = np.random.default_rng(0)
    x = rng.choice([0.0, 1.0, 2.0, -np.inf, np.nan], (2, 6, 7, 3), p=[0.3, 0.3, 0.2, 0.1, 0.1]).astype(np.float32)
    kh, kw = window
    value, transpose = jax.vjp(lambda x: max_pool(x, window=window, stride=stride), jnp.asarray(x))
    dy, expected = rng.integers(1, 9, value.shape).astype(np.float32), np.zeros_like(x)
    for n, i, j, c in np.ndindex(value.shape):
        own = x[n, i * stride : i * stride + kh, j * stride : j * stride + kw, c]
        row, column = np.unravel_index(np.argmax(own), window)  # argmax takes the first, and NaN for the largest
        expected[n, i * stride + row, j * stride + column, c] += dy[n, i, j, c]
    np.testing.assert_array_equal(transpose(dy)[0], expected)


@pytest.mark.parametrize(
    "pool", [lambda x: l2_pool(x, window=2), lambda x: l2_pool_features(x, group=2)], ids=["space", "features"]
)
def test_l2_pooling_has_gradient_zero_at_zero(pool):
    x = jnp.zeros((1, 4, 4, 4)).at[0, 0, 0, 0].set(-3.0)
    y, gradient = jax.jit(jax.value_and_grad(lambda x: jnp.sum(pool(x))))(x)
    assert y == 3
    np.testing.assert_array_equal(gradient, jnp.zeros_like(x).at[0, 0, 0, 0].set(-1.0))


def test_l2_pooling_takes_the_sum_or_the_mean():
    x = jnp.array([3.0, 4.0, 0, 0]).reshape(1, 2, 2, 1)
    assert l2_pool(x, window=2).item() == 5 and l2_pool(x, window=2, average=True).item() == 2.5
    features = x.reshape(1, 1, 1, 4)
    assert l2_pool_features(features, group=2).ravel().tolist() == [5, 0]
    assert l2_pool_features(features, group=4, average=True).ravel().tolist() == [2.5]
    with pytest.raises(ValueError, match="4 channels are no whole number of groups of 3"):
        l2_pool_features(features, group=3)


def test_global_max_pool_is_the_maximum():
    x = np.random.default_rng(6).normal(size=(2, 3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(global_max_pool(x), x.max((1, 2)))


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
        lambda x: max_pool(x, window=3, stride=2, padding=1, ceil=True),
        lambda x: average_pool(x, window=2, padding=1, ceil=True),
        lambda x: l2_pool(x, window=3, stride=2, ceil=True),
        lambda x: l2_pool_features(x, group=2),
        global_average_pool,
        global_max_pool,
    ],
    ids=["max", "counted", "existing", "ceil", "counted_ceil", "l2", "features", "global", "global_max"],
)
def test_gradients_jit_vmap_and_dtype(pool):
    with jax.enable_x64(True):
        x = np.random.default_rng(0).permutation(100).reshape(1, 5, 5, 4) / 10  # no ties within a difference step
        check_grads(jax.jit(pool), (jnp.asarray(x),), order=1, modes=["rev"])
    x = jnp.asarray(np.random.default_rng(1).normal(size=(3, 2, 5, 5, 2)), jnp.float32)
    expected = np.stack([pool(image) for image in x])
    np.testing.assert_allclose(jax.jit(jax.vmap(pool))(x), expected, rtol=1e-5, atol=1e-6)
    assert jax.eval_shape(pool, x[0].astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_means_of_bfloat16_are_summed_in_float32():
    ones = jnp.ones((1, 32, 32, 1), jnp.bfloat16)  # a bfloat16 sum of ones stops at 256
    assert global_average_pool(ones)[0, 0] == 1
    assert l2_pool(ones, window=32)[0, 0, 0, 0] == 32
    assert l2_pool_features(ones.reshape(1, 1, 1, 1024), group=1024)[0, 0, 0, 0] == 32
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
        check_grads(jax.jit(sub_sampling), arguments, order=1, modes=["rev"])


def test_sub_sampling_module():
    module = SubSampling(dtype=jnp.bfloat16)
    x = jnp.asarray(np.random.default_rng(5).normal(size=(1, 4, 4, 6)), jnp.float32)
    y, variables = jax.jit(module.init_with_output)(jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, variables) == {"params": {"coefficient": (6,), "bias": (6,)}}
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(SubSampling().apply(variables, x), average_pool(x, window=2), rtol=1e-5, atol=1e-6)


def test_the_gradient_under_vmap_is_that_of_each_after_an_activation():
    """The bias and the kernel before it: XLA wrote the one's gradient over what the other's was computed from."""
    rng = np.random.default_rng(0)
    shapes = ((2, 1, 1, 1, 4), (2, 3, 4), (2, 2, 8, 8, 3), (2, 64, 5))
    arguments = [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]

    def loss(bias, kernel, x, head):
        y = max_pool(jnp.tanh(x @ kernel + bias), window=2)
        return jnp.sum(jnp.square(y.reshape(2, -1) @ head))

    gradient = jax.grad(loss, argnums=(0, 1))
    found = jax.jit(jax.vmap(gradient))(*arguments)
    for number in range(2):
        expected = jax.jit(gradient)(*(a[number] for a in arguments))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one[number], other, rtol=1e-4, atol=1e-4 * np.abs(other).max())
