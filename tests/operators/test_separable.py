import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from jaxcnn.operators import DepthwiseConv, FactorizedConv, SeparableConv, conv2d, depthwise_conv2d, relu


def depthwise_by_loops(x, kernel, bias, stride, sides, dilation):
    x = np.pad(x, ((0, 0), *sides, (0, 0)))
    kh, kw, channels, multiplier = kernel.shape
    h = (x.shape[1] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    w = (x.shape[2] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((x.shape[0], h, w, channels * multiplier))
    for i, j, c, m in np.ndindex(h, w, channels, multiplier):
        for u, v in np.ndindex(kh, kw):
            pixel = x[:, i * stride[0] + u * dilation[0], j * stride[1] + v * dilation[1], c]
            y[:, i, j, c * multiplier + m] += pixel * kernel[u, v, c, m]
    return y + bias


@settings(max_examples=5, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 99),
    window=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    sides=st.tuples(*[st.tuples(st.integers(0, 1), st.integers(0, 1))] * 2),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    multiplier=st.integers(1, 3),
)
def test_depthwise_equals_loops(seed, window, stride, sides, dilation, multiplier):
    rng = np.random.default_rng(seed)
    shapes = ((2, 5, 6, 3), (*window, 3, multiplier), (3 * multiplier,))
    x, kernel, bias = (rng.normal(size=s).astype(np.float32) for s in shapes)
    y = depthwise_conv2d(x, kernel, bias, stride=stride, padding=sides, dilation=dilation)
    expected = depthwise_by_loops(x, kernel, bias, stride, sides, dilation)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_depthwise_gradients_jit_vmap_and_bfloat16():
    @jax.jit
    def function(x, kernel, bias):
        return depthwise_conv2d(x, kernel, bias, stride=2, padding=1)

    rng, shapes = np.random.default_rng(0), ((2, 5, 4, 2), (3, 2, 2, 2), (4,))
    with jax.enable_x64(True):
        check_grads(function, [jnp.asarray(rng.normal(size=s)) for s in shapes], order=1, modes=["rev"])
    arguments = [rng.normal(size=(3, *s)).astype(np.float32) for s in shapes]
    expected = np.stack([function(*one) for one in zip(*arguments, strict=True)])
    np.testing.assert_allclose(jax.jit(jax.vmap(function))(*arguments), expected, rtol=1e-4, atol=1e-5)
    short = [jnp.asarray(a[0], jnp.bfloat16) for a in arguments]
    y, exact = function(*short), function(*[a.astype(jnp.float32) for a in short])
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(jnp.float32), exact, rtol=2**-6, atol=2**-6)  # two roundings: sum, then bias


@pytest.mark.parametrize("groups, stride", [(4, 1), (4, 2), (1, 2)])
def test_bfloat16_is_rounded_once_behind_the_sum_of_the_taps(groups, stride):
    rng = np.random.default_rng(0)
    x, kernel = (rng.normal(size=s).astype(jnp.bfloat16) for s in ((2, 14, 14, 4), (5, 5, 4 // groups, 8)))

    def both(x, kernel):
        y, pull = jax.vjp(lambda x: conv2d(x, kernel, stride=stride, padding=2, groups=groups), x)
        return y, pull(jnp.ones_like(y))[0]

    for short, exact in zip(both(x, kernel), both(x.astype(np.float32), kernel.astype(np.float32)), strict=True):
        assert short.dtype == jnp.bfloat16
        np.testing.assert_allclose(short.astype(np.float32), exact, rtol=2**-8, atol=1e-5)  # half a step of 2**-7


@pytest.mark.parametrize("shape", [(3, 3, 2, 1), (3, 3, 4)])
def test_depthwise_refuses_a_kernel_of_other_channels(shape):
    with pytest.raises(ValueError, match=r"expected a kernel \(h, w, 4, multiplier\)"):
        depthwise_conv2d(jnp.ones((1, 5, 5, 4)), jnp.ones(shape))


def test_depthwise_module_has_the_fan_of_one_channel():
    module = DepthwiseConv(5, 16, dtype=jnp.bfloat16)
    y, variables = jax.jit(module.init_with_output)(jax.random.key(0), jnp.ones((1, 6, 6, 32)))
    assert jax.tree.map(jnp.shape, variables) == {"params": {"kernel": (5, 5, 32, 16), "bias": (512,)}}
    assert y.shape == (1, 6, 6, 512) and y.dtype == jnp.bfloat16
    assert np.std(variables["params"]["kernel"]) == pytest.approx((2 / 25) ** 0.5, rel=0.02)


def images(seed, shape=(2, 7, 6, 3)):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def result_and_variables(module, x):
    """Under variables of any values, which need no compiled initialiser."""
    rng = np.random.default_rng(3)
    shapes = jax.eval_shape(module.init, jax.random.key(0), x)
    variables = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32) / 3, shapes)
    return jax.jit(module.apply)(variables, x), variables


@pytest.mark.parametrize("multiplier", [1, 2])
def test_separable_is_one_convolution_of_products(multiplier):
    x = images(0)
    module = SeparableConv(5, 3, multiplier, stride=2)
    y, variables = result_and_variables(module, x)
    depthwise, pointwise = (variables["params"][name]["kernel"] for name in ("depthwise", "pointwise"))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == (9 * 3 + 3 * 5) * multiplier + 5
    full = np.einsum("uvcm,cmo->uvco", depthwise, pointwise.reshape(3, multiplier, 5))
    bias = variables["params"]["pointwise"]["bias"]
    np.testing.assert_allclose(y, conv2d(x, full, bias, stride=2, padding=1), rtol=1e-4, atol=1e-5)
    rectified = jax.jit(module.clone(between=relu).apply)(variables, x)
    assert np.abs(rectified - y).max() > 1e-2


@pytest.mark.parametrize("vertical_first, stride", [(False, 1), (False, (2, 1)), (True, (2, 1))])
def test_factorized_is_a_convolution_of_rank_one(vertical_first, stride):
    x = images(1)
    module = FactorizedConv(4, 3, middle=1, vertical_first=vertical_first, stride=stride, use_bias=False)
    y, variables = result_and_variables(module, x)
    horizontal, vertical = (variables["params"][name]["kernel"] for name in ("horizontal", "vertical"))
    assert horizontal.shape[:2] == (1, 3) and vertical.shape[:2] == (3, 1)
    if vertical_first:
        full = np.einsum("ucm,vmo->uvco", vertical[:, 0], horizontal[0])
    else:
        full = np.einsum("vcm,umo->uvco", horizontal[0], vertical[:, 0])
    np.testing.assert_allclose(y, conv2d(x, full, stride=stride, padding=1), rtol=1e-4, atol=1e-5)


def test_factorized_has_two_nths_of_the_weights_and_something_between():
    x = images(2, (1, 9, 9, 8))
    module = FactorizedConv(8, 7, use_bias=False)
    y, variables = result_and_variables(module, x)
    assert y.shape == (1, 9, 9, 8)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 7 * 7 * 8 * 8 * 2 // 7
    assert np.abs(jax.jit(module.clone(between=relu).apply)(variables, x) - y).max() > 1e-2
    assert jax.eval_shape(module.clone(padding=0).apply, variables, x).shape == (1, 3, 3, 8)
    assert jax.eval_shape(module.clone(dtype=jnp.bfloat16).apply, variables, x).dtype == jnp.bfloat16
    with pytest.raises(ValueError, match="nearest fitting padding"):
        jax.eval_shape(module.clone(stride=3, exact=True, padding=1).apply, variables, x)
