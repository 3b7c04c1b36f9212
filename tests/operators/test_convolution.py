import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import export, lax
from jax.test_util import check_grads

from jaxcnn.operators import HE_FAN_OUT, Conv, PartialConv, conv2d, partially_connected_conv2d
from jaxcnn.training.compilation import compiled


def convolve_by_loops(x, kernel, bias, stride, sides, dilation, groups):
    x = np.pad(x, ((0, 0), *sides, (0, 0)))
    kh, kw, c_group, c_out = kernel.shape
    h = (x.shape[1] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    w = (x.shape[2] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((x.shape[0], h, w, c_out))
    for i in range(h):
        for j in range(w):
            for o in range(c_out):
                first = o // (c_out // groups) * c_group
                for u in range(kh):
                    for v in range(kw):
                        row, column = i * stride[0] + u * dilation[0], j * stride[1] + v * dilation[1]
                        y[:, i, j, o] += x[:, row, column, first : first + c_group] @ kernel[u, v, :, o]
    return y + bias


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 99),
    size=st.tuples(st.integers(5, 7), st.integers(5, 7)),
    window=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    sides=st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    groups=st.integers(1, 2),
)
def test_convolution_equals_loops(seed, size, window, stride, sides, dilation, groups):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, *size, 2 * groups)).astype(np.float32)
    kernel = rng.normal(size=(*window, 2, 3 * groups)).astype(np.float32)
    bias = rng.normal(size=3 * groups).astype(np.float32)
    y = conv2d(x, kernel, bias, stride=stride, padding=sides, dilation=dilation, groups=groups)
    expected = convolve_by_loops(x, kernel, bias, stride, sides, dilation, groups)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [1, 2, 3])  # pixels, a part of the image, all of it
def test_the_number_of_images_may_be_unknown(size):
    (n,) = export.symbolic_shape("n")
    x = np.ones((2, 3, 3, 2), np.float32)
    kernel = np.ones((size, size, 2, 4), np.float32)
    convolve = jax.jit(lambda x: conv2d(x, kernel))
    program = export.export(convolve)(jax.ShapeDtypeStruct((n, *x.shape[1:]), x.dtype))
    np.testing.assert_allclose(program.call(x), convolve(x), rtol=1e-6)


def test_same_conventions_differ_by_a_pixel_at_stride_two():
    x = jnp.arange(1.0, 7.0).reshape(1, 6, 1, 1)
    pick = jnp.array([0.0, 1.0, 0.0]).reshape(3, 1, 1, 1)  # reads the pixel under the kernel's centre
    assert conv2d(x, pick, stride=(2, 1), padding="SAME").ravel().tolist() == [2, 4, 6]
    assert conv2d(x, pick, stride=(2, 1), padding="SAME_TORCH").ravel().tolist() == [1, 3, 5]
    assert conv2d(x, pick, stride=(2, 1), padding=(1, 0)).ravel().tolist() == [1, 3, 5]
    assert conv2d(x, pick, stride=(2, 1), padding=((0, 1), (0, 0))).ravel().tolist() == [2, 4, 6]
    assert conv2d(x, pick, stride=(2, 1), padding="VALID").ravel().tolist() == [2, 4]


@pytest.mark.parametrize("stride, dilation, window", [(1, 1, 2), (2, 1, 3), (1, 2, 3), (3, 1, 5)])
def test_same_equals_the_padding_of_lax(stride, dilation, window):
    x, kernel = jnp.ones((1, 7, 8, 1)), jnp.ones((window, window, 1, 1))
    y = conv2d(x, kernel, stride=stride, padding="SAME", dilation=dilation)
    expected = jax.lax.conv_general_dilated(
        x, kernel, (stride,) * 2, "SAME", rhs_dilation=(dilation,) * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_array_equal(y, expected)


def test_same_torch_spreads_with_the_dilation():
    y = conv2d(jnp.ones((1, 9, 9, 1)), jnp.ones((3, 3, 1, 1)), padding="SAME_TORCH", dilation=2)
    assert y.shape == (1, 9, 9, 1)


@pytest.mark.parametrize("groups", [1, 2])
def test_gradients(groups):
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        arguments = [jnp.asarray(rng.normal(size=s)) for s in ((2, 5, 4, 2), (3, 2, 2 // groups, 4), (4,))]
        check_grads(
            jax.jit(lambda *a: conv2d(*a, stride=2, padding=(1, 0), groups=groups)), arguments, order=1, modes=["rev"]
        )


def test_jit_and_vmap_change_nothing():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, 2, 6, 6, 2)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 3, 2, 4)).astype(np.float32)
    one_by_one = np.stack([conv2d(a, k, padding=1) for a, k in zip(x, kernel, strict=True)])
    mapped = jax.jit(jax.vmap(lambda a, k: conv2d(a, k, padding=1)))(x, kernel)
    np.testing.assert_allclose(mapped, one_by_one, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [{"padding": 1}, {"stride": 2, "padding": (1, 0), "dilation": 2}])
def test_vmap_over_kernels_is_a_product_and_gives_the_gradients_of_each(options):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3, 2, 7, 6, 2)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 2, 2, 4)).astype(np.float32)

    def both(x, kernel):
        return jax.grad(lambda x, kernel: jnp.sum(conv2d(x, kernel, **options) ** 2), argnums=(0, 1))(x, kernel)

    found = jax.jit(jax.vmap(both))(x, kernel)
    for number, (dx, dk) in enumerate(zip(*found, strict=True)):
        wanted_x, wanted_k = jax.jit(both)(x[number], kernel[number])
        np.testing.assert_allclose(dx, wanted_x, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(dk, wanted_k, rtol=1e-4, atol=1e-4)
    assert "conv_general_dilated" not in str(jax.make_jaxpr(jax.vmap(both))(x, kernel))


@pytest.mark.parametrize(
    "x, kernel, options, said",
    [
        ((1, 8, 8, 3), (3, 3, 4, 8), {}, r"channels do not match.*\(1, 8, 8, 3\).*\(3, 3, 4, 8\)"),
        ((1, 8, 8, 4), (3, 3, 2, 3), {"groups": 2}, "multiple of 2"),
        ((1, 2, 8, 3), (3, 3, 3, 8), {}, r"larger than the image.*\(1, 2, 8, 3\)"),
        ((1, 4, 8, 3), (3, 3, 3, 8), {"dilation": 2}, "larger than the image"),
        ((8, 8, 3), (3, 3, 3, 8), {}, r"expected images \(n, h, w, c\)"),
        ((1, 8, 8, 3), (3, 3, 3), {}, "expected a kernel"),
        ((1, 8, 8, 3), (3, 3, 3, 8), {"padding": "same"}, "unknown padding 'same'.*SAME_TORCH"),
        ((1, 8, 8, 3), (3, 3, 3, 8), {"padding": -1}, "none negative"),
        ((1, 8, 8, 3), (3, 3, 3, 8), {"stride": (1, 1, 1)}, "vertical, horizontal"),
    ],
)
def test_errors_say_what_is_wrong(x, kernel, options, said):
    with pytest.raises(ValueError, match=said):
        conv2d(jnp.ones(x), jnp.ones(kernel), **options)


def test_exact_names_the_padding_that_fits():
    x, kernel = jnp.ones((1, 224, 224, 1)), jnp.ones((11, 11, 1, 1))  # AlexNet with the paper's 224
    for padding in (0, 2):
        with pytest.raises(ValueError, match=r"\(1, 224, 224, 1\).*nearest fitting padding is \(\(1, 2\), \(1, 2\)\)"):
            conv2d(x, kernel, stride=4, padding=padding, exact=True)
    with pytest.raises(ValueError, match="nearest fitting padding"):
        Conv(1, 11, stride=4, padding=0, exact=True).init(jax.random.key(0), x)
    y = jax.eval_shape(lambda x: conv2d(x, kernel, stride=4, padding=((1, 2), (1, 2)), exact=True), x)
    assert y.shape == (1, 55, 55, 1)


def test_bias_of_another_width_is_refused():
    with pytest.raises(ValueError, match="bias"):
        conv2d(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 2)), jnp.ones(1))


def test_dtypes_are_not_mixed():
    with pytest.raises(TypeError):
        conv2d(jnp.ones((1, 4, 4, 1), jnp.bfloat16), jnp.ones((3, 3, 1, 2)))


TABLE = ((0, 2), (1,), (2, 0, 1))


def test_partial_convolution_equals_loops():
    rng = np.random.default_rng(2)
    x, kernel, bias = (rng.normal(size=s).astype(np.float32) for s in ((2, 5, 6, 3), (2, 3, 6), (3,)))
    expected = np.zeros((2, 4, 4, 3))
    connection = 0
    for o, row in enumerate(TABLE):
        for c in row:
            one = kernel[:, :, connection].reshape(2, 3, 1, 1)
            expected[..., o] += convolve_by_loops(x[..., c : c + 1], one, 0.0, (1, 1), ((0, 0),) * 2, (1, 1), 1)[..., 0]
            connection += 1
    y = partially_connected_conv2d(x, kernel, bias, table=TABLE)
    np.testing.assert_allclose(y, expected + bias, rtol=1e-4, atol=1e-4)


def test_partial_convolution_gradients():
    with jax.enable_x64(True):
        rng = np.random.default_rng(3)
        arguments = [jnp.asarray(rng.normal(size=s)) for s in ((1, 4, 4, 3), (2, 2, 6), (3,))]
        check_grads(
            jax.jit(lambda *a: partially_connected_conv2d(*a, table=TABLE, padding=1)),
            arguments,
            order=1,
            modes=["rev"],
        )


@pytest.mark.parametrize("table", [((0, 0),), ((3,),), ((-1,),), ((),)])
def test_partial_convolution_refuses_a_wrong_table(table):
    with pytest.raises(ValueError, match="input maps"):
        partially_connected_conv2d(jnp.ones((1, 4, 4, 3)), jnp.ones((2, 2, 1)), table=table)


def test_partial_convolution_refuses_a_kernel_of_another_table():
    with pytest.raises(ValueError, match="6 connections"):
        partially_connected_conv2d(jnp.ones((1, 4, 4, 3)), jnp.ones((2, 2, 5)), table=TABLE)


@pytest.mark.parametrize("module", [Conv(4, 3, stride=2), PartialConv(TABLE, 3)], ids=["Conv", "PartialConv"])
def test_modules_keep_float32_parameters_and_compute_in_their_dtype(module):
    x = jnp.ones((2, 6, 6, 3))
    variables = jax.jit(module.clone(dtype=jnp.bfloat16).init)(jax.random.key(0), x)
    assert sorted(variables["params"]) == ["bias", "kernel"]
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert jax.eval_shape(module.clone(dtype=jnp.bfloat16).apply, variables, x).dtype == jnp.bfloat16
    assert jax.eval_shape(module.apply, variables, x).dtype == jnp.float32


def test_conv_keeps_the_image_size_by_default_and_can_go_without_bias():
    module = Conv(6, 5, groups=3, use_bias=False)
    y, variables = jax.eval_shape(module.init_with_output, jax.random.key(0), jnp.ones((1, 8, 8, 3)))
    assert y.shape == (1, 8, 8, 6)
    assert jax.tree.map(jnp.shape, variables) == {"params": {"kernel": (5, 5, 1, 6)}}


@pytest.mark.parametrize("init, fan", [({}, 3 * 3 * 64), ({"kernel_init": HE_FAN_OUT}, 3 * 3 * 256)])
def test_he_initialisation(init, fan):
    variables = jax.jit(Conv(256, 3, **init).init)(jax.random.key(0), jnp.ones((1, 8, 8, 64)))
    kernel = variables["params"]["kernel"]
    assert np.std(kernel) == pytest.approx((2 / fan) ** 0.5, rel=0.02)
    assert np.abs(kernel).max() > 3.5 * np.std(kernel)  # not truncated at two standard deviations


def test_partial_convolution_initialises_each_map_by_its_own_fan():
    table = (tuple(range(50)), (0, 1))
    kernel = jax.jit(PartialConv(table, 5).init)(jax.random.key(0), jnp.ones((1, 8, 8, 50)))["params"]["kernel"]
    assert np.std(kernel[..., :50]) == pytest.approx((2 / 1250) ** 0.5, rel=0.1)
    assert np.std(kernel[..., 50:]) == pytest.approx((2 / 50) ** 0.5, rel=0.3)


def two_layers(convolve):
    """f(x, first, second), a scalar of two layers of convolution."""
    return lambda x, first, second: jnp.sum(convolve(jnp.tanh(convolve(x, first)), second) ** 2)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="XLA's fusions on CPU")
@pytest.mark.parametrize(
    "n, side", [(32, 8), (24, 24)]
)  # the copies of a weight gradient have the convolutions' shapes
def test_no_convolution_is_fused_into_a_loop_where_images_and_channels_are_as_many(n, side):
    """A step of a batch as large as the channels took 15 times as long: XLA's loops read each pixel for each tap."""
    keys, channels = jax.random.split(jax.random.key(0), 3), n
    x = jax.random.normal(keys[0], (n, side, side, channels))
    kernels = [jax.random.normal(key, (3, 3, channels, channels)) / 10 for key in keys[1:]]
    axes = ("NHWC", "HWIO", "NHWC")
    expected = jax.jit(
        jax.grad(
            two_layers(lambda x, k: lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=axes)), (0, 1, 2)
        )
    )
    program = compiled(jax.jit(jax.grad(two_layers(functools.partial(conv2d, padding="SAME")), (0, 1, 2))), x, *kernels)
    for found, own in zip(program(x, *kernels), expected(x, *kernels), strict=True):
        np.testing.assert_allclose(found, own, atol=2e-5 * np.abs(own).max())
    fused = re.findall(r"^%\S*fused_computation\S* \(.*?^}", program.as_text(), re.MULTILINE | re.DOTALL)
    assert fused and " convolution(" in program.as_text()
    assert not [body for body in fused if " convolution(" in body]


def test_a_kernel_as_large_as_the_image_is_a_full_connection():
    """LeNet-5's C5: values and both gradients are those of products of matrices, to rounding."""
    keys = jax.random.split(jax.random.key(0), 3)
    x, kernel, dy = (
        jax.random.normal(key, shape)
        for key, shape in zip(keys, [(4, 5, 3, 6), (5, 3, 6, 7), (4, 1, 1, 7)], strict=True)
    )
    y, back = jax.jit(lambda *a: jax.vjp(conv2d, *a))(x, kernel)
    rows, matrix = np.asarray(x).reshape(4, -1), np.asarray(kernel).reshape(-1, 7)
    np.testing.assert_allclose(y.reshape(4, 7), rows @ matrix, rtol=1e-4, atol=1e-5)
    dx, dk = back(dy)
    np.testing.assert_allclose(dx, (np.asarray(dy).reshape(4, 7) @ matrix.T).reshape(x.shape), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dk, (rows.T @ np.asarray(dy).reshape(4, 7)).reshape(kernel.shape), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "width, kernel, stride, pads, dilation",
    [
        (16, (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1)),  # 12 columns, four at once: LeNet-5's first layer
        (12, (3, 5), (1, 1), ((2, 1), (3, 1)), (1, 1)),
        (16, (4, 3), (2, 2), ((1, 1), (1, 0)), (1, 1)),  # 8 columns, two apart
        (12, (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1)),  # 10 columns: one by one
        (16, (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 2)),
    ],
)
def test_images_of_one_channel_give_the_convolution_and_its_gradients(width, kernel, stride, pads, dilation):
    keys = jax.random.split(jax.random.key(0), 3)
    x, k = jax.random.normal(keys[0], (3, 9, width, 1)), jax.random.normal(keys[1], (*kernel, 1, 6))

    def plain(x, k):
        axes = ("NHWC", "HWIO", "NHWC")
        options = {"rhs_dilation": dilation, "dimension_numbers": axes, "precision": "highest"}
        return lax.conv_general_dilated(x, k, stride, pads, **options)

    def both(convolve, dy):
        y, back = jax.vjp(convolve, x, k)
        return y, *back(dy)

    dy = jax.random.normal(keys[2], jax.eval_shape(plain, x, k).shape)
    ours = functools.partial(conv2d, stride=stride, padding=pads, dilation=dilation)
    for found, own in zip(jax.jit(functools.partial(both, ours))(dy), both(plain, dy), strict=True):
        np.testing.assert_allclose(found, own, atol=2e-6 * np.abs(own).max())
