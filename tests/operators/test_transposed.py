"""Transposed convolution and nearest enlargement, against loops and the convolutions whose way back they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from jaxcnn.analysis.backward import with_rule
from jaxcnn.operators import ConvTranspose, conv2d, conv2d_transpose, resize_nearest


def transposed_by_loops(x, kernel, bias, stride, sides, dilation, groups, more):
    n, h, w, c_in = x.shape
    kh, kw, c_group, _ = kernel.shape
    full = [(size - 1) * s + d * (k - 1) + 1 for size, s, d, k in zip((h, w), stride, dilation, (kh, kw), strict=True)]
    y = np.zeros((n, full[0] + more[0], full[1] + more[1], c_group * groups))
    for i in range(h):
        for j in range(w):
            for u in range(kh):
                for v in range(kw):
                    for c in range(c_in):
                        first = c // (c_in // groups) * c_group
                        row, column = i * stride[0] + u * dilation[0], j * stride[1] + v * dilation[1]
                        y[:, row, column, first : first + c_group] += x[:, i, j, c : c + 1] * kernel[u, v, :, c]
    (top, bottom), (left, right) = sides
    return y[:, top : y.shape[1] - bottom, left : y.shape[2] - right] + bias


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 99),
    size=st.tuples(st.integers(3, 5), st.integers(3, 5)),
    window=st.tuples(st.integers(1, 3), st.integers(2, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    sides=st.tuples(*[st.tuples(st.integers(0, 1), st.integers(0, 1))] * 2),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    groups=st.integers(1, 2),
    more=st.tuples(st.integers(0, 2), st.integers(0, 1)),
)
def test_transposed_convolution_equals_loops(seed, size, window, stride, sides, dilation, groups, more):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, *size, 2 * groups)).astype(np.float32)
    kernel = rng.normal(size=(*window, 3, 2 * groups)).astype(np.float32)
    bias = rng.normal(size=3 * groups).astype(np.float32)
    more = tuple(min(m, s - 1) for m, s in zip(more, stride, strict=True))
    options = {"stride": stride, "padding": sides, "dilation": dilation, "groups": groups}
    y = conv2d_transpose(x, kernel, bias, output_padding=more, **options)
    expected = transposed_by_loops(x, kernel, bias, stride, sides, dilation, groups, more)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "options, size, back",
    [
        ({"stride": 2, "padding": "SAME"}, (8, 10), {}),
        ({"stride": 2, "padding": 1}, (8, 10), {"output_padding": 1}),
        ({"stride": 2, "padding": 1}, (7, 9), {}),
        ({"stride": 3, "padding": "VALID", "groups": 2}, (9, 12), {}),
        ({"stride": 3, "padding": "VALID"}, (11, 14), {"output_padding": 2}),
    ],
)
def test_it_is_the_gradient_of_the_convolution(options, size, back):
    rng, groups = np.random.default_rng(0), options.get("groups", 1)
    y = rng.normal(size=(2, *size, 4)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 4 // groups, 6)).astype(np.float32)
    x, pull = jax.vjp(lambda y: conv2d(y, kernel, **options), y)
    found = conv2d_transpose(x, kernel, **options, **back)
    assert found.shape == y.shape
    np.testing.assert_allclose(found, pull(x)[0], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("stride, dilation, window", [(1, 1, 2), (2, 1, 3), (2, 1, 4), (2, 1, 5), (3, 1, 2), (1, 2, 3)])
def test_same_has_the_size_times_the_stride_and_is_that_of_lax(stride, dilation, window):
    rng = np.random.default_rng(0)
    x, kernel = (rng.normal(size=s).astype(np.float32) for s in ((1, 4, 5, 2), (window, window, 3, 2)))
    y = conv2d_transpose(x, kernel, stride=stride, padding="SAME", dilation=dilation)
    assert y.shape == (1, 4 * stride, 5 * stride, 3)
    expected = jax.lax.conv_transpose(
        x, kernel, (stride,) * 2, "SAME", rhs_dilation=(dilation,) * 2, transpose_kernel=True
    )
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_the_conventions_differ_by_a_pixel_at_stride_two():
    x = jnp.arange(1.0, 4.0).reshape(1, 3, 1, 1)
    put = jnp.array([0.0, 1.0, 0.0]).reshape(3, 1, 1, 1)  # puts the pixel under the kernel's centre
    options = {"stride": (2, 1)}
    assert conv2d_transpose(x, put, padding="SAME", **options).ravel().tolist() == [0, 1, 0, 2, 0, 3]
    torch = {"padding": (1, 0), "output_padding": (1, 0)}
    assert conv2d_transpose(x, put, **torch, **options).ravel().tolist() == [1, 0, 2, 0, 3, 0]
    assert conv2d_transpose(x, put, padding=(1, 0), **options).ravel().tolist() == [1, 0, 2, 0, 3]
    assert conv2d_transpose(x, put, padding="VALID", **options).ravel().tolist() == [0, 1, 0, 2, 0, 3, 0]


def test_the_deconvnet_goes_back_through_its_relu():
    rng = np.random.default_rng(0)
    x, kernel = (rng.normal(size=s).astype(np.float32) for s in ((1, 4, 4, 2), (3, 3, 3, 2)))
    y, pull = jax.vjp(with_rule(lambda x: jax.nn.relu(conv2d_transpose(x, kernel, stride=2)), "deconvnet"), x)
    dy = rng.normal(size=y.shape).astype(np.float32)
    np.testing.assert_allclose(pull(dy)[0], conv2d(np.maximum(dy, 0), kernel, stride=2), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2])
def test_gradients(groups):
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        arguments = [jnp.asarray(rng.normal(size=s)) for s in ((2, 3, 2, 4), (3, 2, 2 // groups, 4), (2,))]
        options = {"stride": 2, "padding": (1, 0), "groups": groups, "output_padding": (1, 0)}
        check_grads(jax.jit(lambda *a: conv2d_transpose(*a, **options)), arguments, order=1, modes=["rev"])


def test_jit_and_vmap_change_nothing():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, 2, 4, 4, 2)).astype(np.float32)
    kernel = rng.normal(size=(3, 4, 4, 3, 2)).astype(np.float32)

    def run(x, kernel):
        return conv2d_transpose(x, kernel, stride=2, padding=1)

    one_by_one = np.stack([run(a, k) for a, k in zip(x, kernel, strict=True)])
    np.testing.assert_allclose(jax.jit(jax.vmap(run))(x, kernel), one_by_one, rtol=1e-5, atol=1e-5)
    shared = jax.jit(jax.vmap(run, (0, None)))(x, kernel[0])
    np.testing.assert_allclose(shared[1], run(x[1], kernel[0]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "x, kernel, options, said",
    [
        ((1, 8, 8, 3), (3, 3, 8, 4), {}, r"channels do not match.*\(1, 8, 8, 3\).*\(3, 3, 8, 4\).*c_in = 3"),
        ((1, 8, 8, 3), (3, 3, 2, 3), {"groups": 2}, "multiple of the groups"),
        ((8, 8, 3), (3, 3, 8, 3), {}, r"expected images \(n, h, w, c\)"),
        ((1, 8, 8, 3), (3, 3, 8), {}, "expected a kernel"),
        ((1, 8, 8, 3), (3, 3, 8, 3), {"padding": "same"}, "unknown padding 'same'.*SAME_TORCH"),
        ((1, 8, 8, 3), (3, 3, 8, 3), {"output_padding": 1}, "below the stride"),
        ((1, 8, 8, 3), (3, 3, 8, 3), {"stride": 2, "output_padding": -1}, "from 0"),
        ((1, 8, 8, 3), (3, 3, 8, 3), {"stride": 2, "padding": "SAME", "output_padding": 1}, "fixes the size"),
        ((1, 1, 8, 3), (3, 3, 8, 3), {"padding": 2}, r"leaves \(-1, 6\) pixels"),
    ],
)
def test_errors_say_what_is_wrong(x, kernel, options, said):
    with pytest.raises(ValueError, match=said):
        conv2d_transpose(jnp.ones(x), jnp.ones(kernel), **options)


def test_another_dtype_or_bias_is_refused():
    x, kernel = jnp.ones((1, 3, 3, 2)), jnp.ones((2, 2, 4, 2))
    with pytest.raises(TypeError, match="float32 and kernel bfloat16"):
        conv2d_transpose(x, kernel.astype(jnp.bfloat16))
    with pytest.raises(ValueError, match="4 output channels"):
        conv2d_transpose(x, kernel, jnp.ones(2))


def test_the_module_keeps_float32_parameters_and_computes_in_its_dtype():
    x, module = jnp.ones((2, 3, 5, 4)), ConvTranspose(6, 3, stride=2, groups=2)
    variables = jax.eval_shape(module.init, jax.random.key(0), x)
    shapes = {name: (leaf.shape, leaf.dtype) for name, leaf in variables["params"].items()}
    assert shapes == {"kernel": ((3, 3, 3, 4), jnp.float32), "bias": ((6,), jnp.float32)}
    half = jax.eval_shape(module.clone(dtype=jnp.bfloat16).apply, variables, x)
    assert (half.shape, half.dtype) == ((2, 6, 10, 6), jnp.bfloat16)
    assert list(jax.eval_shape(module.clone(use_bias=False).init, jax.random.key(0), x)["params"]) == ["kernel"]


def test_he_initialisation_by_the_pixels_that_an_output_sees():
    module = ConvTranspose(64, 4, stride=2, groups=2)
    kernel = jax.jit(module.init)(jax.random.key(0), jnp.ones((1, 2, 2, 128)))["params"]["kernel"]
    assert np.std(kernel) == pytest.approx((2 / (2 * 2 * 64)) ** 0.5, rel=0.02)  # 2 x 2 taps of 64 channels


def test_nearest_is_that_of_jax_image():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 2)).astype(np.float32)
    found = resize_nearest(x, factor=(2, 3))
    np.testing.assert_array_equal(found, jax.image.resize(x, (2, 6, 12, 2), "nearest"))
    assert resize_nearest(x.astype(np.int32)).dtype == np.int32
    np.testing.assert_array_equal(jax.vmap(resize_nearest)(x[None])[0], resize_nearest(x))
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(resize_nearest(x) * 0.5)))(x)
    np.testing.assert_array_equal(gradient, np.full(x.shape, 2.0))
    for bad, said in (({"x": x[0]}, "expected images"), ({"x": x, "factor": 0}, "1 or more")):
        with pytest.raises(ValueError, match=said):
            resize_nearest(**bad)
