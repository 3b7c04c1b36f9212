import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from jaxcnn.operators import LocallyConnected, conv2d, conv2d_as_product, im2col, locally_connected_conv2d

GEOMETRY = {
    "seed": st.integers(0, 99),
    "size": st.tuples(st.integers(5, 7), st.integers(5, 7)),
    "window": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    "stride": st.tuples(st.integers(1, 3), st.integers(1, 2)),
    "sides": st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2),
    "dilation": st.tuples(st.integers(1, 2), st.integers(1, 2)),
}


def patches_by_loops(x, window, stride, sides, dilation):
    x = np.pad(x, ((0, 0), *sides, (0, 0)))
    h = (x.shape[1] - dilation[0] * (window[0] - 1) - 1) // stride[0] + 1
    w = (x.shape[2] - dilation[1] * (window[1] - 1) - 1) // stride[1] + 1
    y = np.zeros((x.shape[0], h, w, window[0] * window[1] * x.shape[3]), x.dtype)
    for i, j in np.ndindex(h, w):
        for k, (u, v, c) in enumerate(np.ndindex(*window, x.shape[3])):
            y[:, i, j, k] = x[:, i * stride[0] + u * dilation[0], j * stride[1] + v * dilation[1], c]
    return y


@settings(max_examples=5, deadline=None, derandomize=True)
@given(**GEOMETRY)
def test_patches_equal_loops_and_their_product_the_convolution(seed, size, window, stride, sides, dilation):
    rng = np.random.default_rng(seed)
    x, kernel, bias = (rng.normal(size=s).astype(np.float32) for s in ((2, *size, 3), (*window, 3, 4), (4,)))
    options = {"stride": stride, "padding": sides, "dilation": dilation}
    patches, y = jax.jit(
        lambda x: (im2col(x, kernel_size=window, **options), conv2d_as_product(x, kernel, bias, **options))
    )(x)
    np.testing.assert_array_equal(patches, patches_by_loops(x, window, stride, sides, dilation))
    np.testing.assert_allclose(y, conv2d(x, kernel, bias, **options), rtol=1e-4, atol=1e-4)


def test_the_first_layer_of_alexnet_is_a_product_of_363_by_3025():
    image = jax.ShapeDtypeStruct((1, 227, 227, 3), jnp.float32)
    patches = jax.eval_shape(lambda x: im2col(x, kernel_size=11, stride=4, exact=True), image)
    assert patches.shape == (1, 55, 55, 363) and 55 * 55 == 3025
    kernel = jax.ShapeDtypeStruct((11, 11, 3, 96), jnp.float32)
    jaxpr = jax.make_jaxpr(lambda x, k: conv2d_as_product(x, k, stride=4))(image, kernel)
    (product,) = [e for e in jaxpr.eqns if e.primitive.name == "dot_general"]
    assert [v.aval.shape for v in product.invars] == [(3025, 363), (363, 96)]
    assert not any(e.primitive.name == "conv_general_dilated" for e in jaxpr.eqns)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(**GEOMETRY)
def test_locally_connected_equals_loops(seed, size, window, stride, sides, dilation):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, *size, 2)).astype(np.float32)
    patches = patches_by_loops(x, window, stride, sides, dilation)
    h, w = patches.shape[1:3]
    kernel = rng.normal(size=(h, w, *window, 2, 3)).astype(np.float32)
    bias = rng.normal(size=(h, w, 3)).astype(np.float32)
    expected = np.zeros((2, h, w, 3))
    for i, j in np.ndindex(h, w):
        expected[:, i, j] = patches[:, i, j] @ kernel[i, j].reshape(-1, 3) + bias[i, j]
    options = {"stride": stride, "padding": sides, "dilation": dilation}
    y = jax.jit(lambda x: locally_connected_conv2d(x, kernel, bias, **options))(x)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
    variables = jax.eval_shape(LocallyConnected(3, window, **options).init, jax.random.key(0), x)
    assert variables["params"]["kernel"].shape == kernel.shape


def test_equal_kernels_everywhere_are_a_convolution():
    rng = np.random.default_rng(0)
    x, kernel = (rng.normal(size=s).astype(np.float32) for s in ((2, 5, 6, 2), (3, 3, 2, 4)))
    unshared = np.broadcast_to(kernel, (3, 4, *kernel.shape))
    y = jax.jit(locally_connected_conv2d)(x, unshared)
    np.testing.assert_allclose(y, conv2d(x, kernel), rtol=1e-4, atol=1e-5)


FUNCTIONS = {
    "product": (lambda x, k, b: conv2d_as_product(x, k, b, stride=2, padding=1), [(2, 5, 4, 2), (3, 2, 2, 3), (3,)]),
    "local": (
        lambda x, k, b: locally_connected_conv2d(x, k, b, stride=2, padding=1),
        [(2, 5, 4, 2), (3, 3, 3, 2, 2, 3), (3, 3, 3)],
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_jit_vmap_and_bfloat16(name):
    function, shapes = FUNCTIONS[name]
    function = jax.jit(function)
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        check_grads(function, [jnp.asarray(rng.normal(size=s)) for s in shapes], order=1, modes=["rev"])
    arguments = [rng.normal(size=(3, *s)).astype(np.float32) for s in shapes]
    expected = np.stack([function(*one) for one in zip(*arguments, strict=True)])
    np.testing.assert_allclose(jax.jit(jax.vmap(function))(*arguments), expected, rtol=1e-4, atol=1e-5)
    short = [jnp.asarray(a[0], jnp.bfloat16) for a in arguments]
    y = function(*short)
    assert y.dtype == jnp.bfloat16
    exact = function(*[a.astype(jnp.float32) for a in short])
    np.testing.assert_allclose(y.astype(jnp.float32), exact, rtol=2**-6, atol=2**-6)  # two roundings: sum, then bias


def test_locally_connected_module():
    module = LocallyConnected(4, 3, dtype=jnp.bfloat16)
    x = jnp.ones((2, 10, 10, 16))
    variables = jax.jit(module.init)(jax.random.key(0), x)
    y = jax.eval_shape(module.apply, variables, x)
    assert y.shape == (2, 8, 8, 4) and y.dtype == jnp.bfloat16
    assert jax.tree.map(jnp.shape, variables) == {"params": {"kernel": (8, 8, 3, 3, 16, 4), "bias": (8, 8, 4)}}
    kernel = variables["params"]["kernel"]
    assert kernel.dtype == jnp.float32
    assert np.std(kernel) == pytest.approx((2 / (9 * 16)) ** 0.5, rel=0.02)
    assert (
        "bias" not in LocallyConnected(4, 3, use_bias=False).init(jax.random.key(0), jnp.ones((1, 4, 4, 1)))["params"]
    )


@pytest.mark.parametrize(
    "shapes, said",
    [
        (((1, 4, 4, 2), (2, 2, 3, 3, 2)), r"expected a kernel \(h', w'"),
        (((1, 4, 4, 2), (2, 3, 3, 3, 2, 1)), r"has \(2, 2\) windows of 2 channels"),
        (((1, 4, 4, 2), (2, 2, 3, 3, 1, 1)), "of 2 channels"),
        (((1, 4, 4, 2), (2, 2, 3, 3, 2, 5), (5,)), "bias"),
        (((1, 2, 4, 2), (2, 2, 3, 3, 2, 1)), "larger than the image"),
    ],
)
def test_locally_connected_errors(shapes, said):
    with pytest.raises(ValueError, match=said):
        locally_connected_conv2d(*map(jnp.ones, shapes))


def test_product_errors():
    with pytest.raises(ValueError, match="channels do not match"):
        conv2d_as_product(jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 1, 2)))
    with pytest.raises(ValueError, match="nearest fitting padding"):
        conv2d_as_product(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 2)), stride=2, exact=True)
    with pytest.raises(ValueError, match="expected images"):
        im2col(jnp.ones((4, 4, 2)), kernel_size=3)
