"""Every operator that PyTorch has too: the same numbers and the same gradients, under the options that say the same."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import operators as ours

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
F = torch.nn.functional


def images(shape, seed=0):
    """Values without ties: a maximum is the same one in both, and no rectifier is at its corner."""
    values = np.random.default_rng(seed).permutation(np.prod(shape)).reshape(shape)
    return ((values + 0.5) / values.size * 6 - 3).astype(np.float32)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def to_torch(x, kernel=False):
    """Four axes are an image (n, h, w, c), or a kernel (h, w, c_in, c_out), and become torch's."""
    if x.ndim == 4:
        x = x.transpose(3, 2, 0, 1) if kernel else np.moveaxis(x, -1, 1)
    return torch.from_numpy(np.ascontiguousarray(x))


def from_torch(y, kernel=False):
    y = y.detach().numpy()
    return y.transpose(2, 3, 1, 0) if kernel else np.moveaxis(y, 1, -1) if y.ndim == 4 else y


def same(function, theirs, *arrays, kernels=(), atol=1e-5):
    """Compares results and the gradients of a sum under fixed weights; kernels: the positions of kernels."""
    tensors = [to_torch(a, i in kernels).requires_grad_() for i, a in enumerate(arrays)]
    expected = theirs(*tensors)
    y = jax.jit(function)(*arrays)
    np.testing.assert_allclose(y, from_torch(expected), rtol=1e-4, atol=atol)
    signal = normal(*y.shape, seed=9)
    expected.backward(to_torch(signal))
    gradients = jax.jit(lambda *a: jax.vjp(function, *a)[1](signal))(*arrays)
    for i, (gradient, tensor) in enumerate(zip(gradients, tensors, strict=True)):
        np.testing.assert_allclose(gradient, from_torch(tensor.grad, i in kernels), rtol=1e-3, atol=10 * atol)


CONVOLUTIONS = [
    {},
    {"stride": 2, "padding": 1},
    {"stride": (2, 3), "padding": (2, 1)},
    {"dilation": 2, "padding": 2},
    {"stride": 2, "dilation": (1, 2), "padding": 1, "groups": 2},
]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_convolution(options):
    groups = options.get("groups", 1)
    arrays = normal(2, 9, 8, 4), normal(3, 3, 4 // groups, 6), normal(6)
    same(lambda *a: ours.conv2d(*a, **options), lambda *a: F.conv2d(*a, **options), *arrays, kernels=[1], atol=1e-4)


TRANSPOSED = [
    {},
    {"stride": 2, "padding": 1, "output_padding": 1},
    {"stride": (2, 3), "padding": (2, 1), "output_padding": (0, 2)},
    {"stride": 2, "dilation": (1, 2), "padding": 1, "groups": 2},
]


@pytest.mark.parametrize("options", TRANSPOSED, ids=str)
def test_transposed_convolution(options):
    groups = options.get("groups", 1)
    arrays = normal(2, 5, 4, 4), normal(3, 3, 6 // groups, 4), normal(6)
    ours_of, theirs = (functools.partial(f, **options) for f in (ours.conv2d_transpose, F.conv_transpose2d))
    same(ours_of, theirs, *arrays, kernels=[1], atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("window", [1, 3, 5])
def test_same_torch_is_half_the_kernel_on_both_sides(stride, window):
    arrays, options = (normal(2, 8, 7, 3), normal(window, window, 3, 2)), {"stride": stride}
    same(
        lambda *a: ours.conv2d(*a, padding="SAME_TORCH", **options),
        lambda *a: F.conv2d(*a, padding=window // 2, **options),
        *arrays,
        kernels=[1],
        atol=1e-4,
    )


@pytest.mark.parametrize("options", CONVOLUTIONS[:4], ids=str)
def test_convolution_as_product_and_depthwise(options):
    arrays = normal(2, 9, 8, 3), normal(3, 3, 3, 4), normal(4)
    theirs = functools.partial(F.conv2d, **options)
    same(lambda *a: ours.conv2d_as_product(*a, **options), theirs, *arrays, kernels=[1], atol=1e-4)

    def depthwise(x, kernel, bias):  # torch's kernel has one input channel
        return ours.depthwise_conv2d(x, kernel.reshape(3, 3, 3, 2), bias, **options)

    arrays, theirs = (arrays[0], normal(3, 3, 1, 6), normal(6)), functools.partial(theirs, groups=3)
    same(depthwise, theirs, *arrays, kernels=[1], atol=1e-4)


@pytest.mark.parametrize("options", CONVOLUTIONS[:4], ids=str)
def test_im2col_is_unfold_with_the_channel_last(options):
    x = normal(2, 9, 8, 3)
    y = ours.im2col(x, kernel_size=3, **options)
    expected = F.unfold(to_torch(x), 3, **options).numpy()  # (n, c * kh * kw, positions)
    expected = expected.reshape(2, 3, 9, -1).transpose(0, 3, 2, 1).reshape(y.shape)
    np.testing.assert_array_equal(y, expected)


def test_dense():
    x, kernel, bias = normal(3, 5), normal(5, 4), normal(4)
    same(ours.dense, lambda x, k, b: F.linear(x, k.T, b), x, kernel, bias)


POOLINGS = [
    {"window": 2},
    {"window": 3, "stride": 2},
    {"window": 3, "stride": 2, "padding": 1},
    {"window": (2, 3), "stride": (3, 1), "padding": (1, 0)},
    {"window": 2, "stride": 3, "padding": 1},
]


def pool_options(options, ceil):
    renamed = {"kernel_size": options["window"], **{k: v for k, v in options.items() if k != "window"}}
    return {"ceil": ceil, **options}, {"ceil_mode": ceil, **renamed}


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("options", POOLINGS, ids=str)
@pytest.mark.parametrize("size", [(7, 9), (8, 6)])
def test_pooling(size, options, ceil):
    mine, theirs = pool_options(options, ceil)
    x = images((2, *size, 3))
    same(lambda x: ours.max_pool(x, **mine), lambda x: F.max_pool2d(x, **theirs), x)
    for counted in (True, False):
        same(
            lambda x, counted=counted: ours.average_pool(x, count_padding=counted, **mine),
            lambda x, counted=counted: F.avg_pool2d(x, count_include_pad=counted, **theirs),
            x,
        )


@pytest.mark.parametrize("options", POOLINGS[:2], ids=str)
def test_l2_pooling_is_lp_pool(options):  # without ceil: torch then scales by the size of a window that is cut
    mine, theirs = pool_options(options, ceil=False)
    same(lambda x: ours.l2_pool(x, **mine), lambda x: F.lp_pool2d(x, 2.0, **theirs), images((2, 7, 8, 3)))


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("options", POOLINGS, ids=str)
def test_switches_and_unpooling(options, ceil):
    mine, theirs = pool_options(options, ceil)
    x = images((2, 7, 9, 3))
    expected, indices = F.max_pool2d(to_torch(x), return_indices=True, **theirs)
    pooled, switches = jax.jit(lambda x: ours.max_pool_with_switches(x, **mine))(x)
    np.testing.assert_array_equal(pooled, from_torch(expected))
    np.testing.assert_array_equal(switches, from_torch(indices))
    same(lambda x: ours.max_pool_with_switches(x, **mine)[0], lambda x: F.max_pool2d(x, **theirs), x)
    if len(np.unique(switches[0, :, :, 0])) == switches[0, :, :, 0].size:  # torch's has no sum over a shared place
        back = ours.unpool(pooled, switches, shape=x.shape)
        flat = torch.zeros(2, 3, 63).scatter_(2, indices.flatten(2), expected.flatten(2))
        np.testing.assert_array_equal(back, from_torch(flat.reshape(2, 3, 7, 9)))
    if options == {"window": 2} and not ceil:
        np.testing.assert_array_equal(back, from_torch(F.max_unpool2d(expected, indices, 2, output_size=(7, 9))))


def test_ties_nan_and_minus_infinity():
    tied = np.zeros((1, 4, 4, 1), np.float32)
    same(lambda x: ours.max_pool(x, window=3, stride=1), lambda x: F.max_pool2d(x, 3, 1), tied)
    x = np.array([1, np.nan, -np.inf, -np.inf, 5, 6, -np.inf, -np.inf], np.float32).reshape(1, 2, 4, 1)
    np.testing.assert_array_equal(ours.max_pool(x, window=2), from_torch(F.max_pool2d(to_torch(x), 2)))


def test_global_pooling():
    x = images((2, 5, 6, 3))
    same(ours.global_average_pool, lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1), x)
    same(ours.global_max_pool, lambda x: F.adaptive_max_pool2d(x, 1).flatten(1), x)


@pytest.mark.parametrize("size", [(13, 13), (10, 7), (4, 5)])
def test_a_pyramid_is_adaptive_pooling(size):
    x, levels = images((2, *size, 3)), (6, 3, 2, 1)
    for pool, theirs in (("max", F.adaptive_max_pool2d), ("average", F.adaptive_avg_pool2d)):
        same(
            lambda x, pool=pool: ours.spatial_pyramid_pool(x, levels=levels, pool=pool),
            lambda x, theirs=theirs: torch.cat([theirs(x, n).permute(0, 2, 3, 1).flatten(1) for n in levels], 1),
            x,
        )


ACTIVATIONS = {
    "elu": (lambda x: ours.elu(x, alpha=0.7), lambda x: F.elu(x, alpha=0.7)),
    "leaky_relu": (ours.leaky_relu, F.leaky_relu),
    "lectures": (lambda x: ours.leaky_relu(x, slope=0.1), lambda x: F.leaky_relu(x, 0.1)),
    "relu": (ours.relu, F.relu),
    "scaled_tanh": (ours.scaled_tanh, lambda x: 1.7159 * torch.tanh(2 / 3 * x)),
    "sigmoid": (ours.sigmoid, torch.sigmoid),
    "softmax": (ours.softmax, lambda x: F.softmax(x, dim=1)),
    "tanh": (ours.tanh, torch.tanh),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    same(*ACTIVATIONS[name], images((2, 3, 4, 5)))


def test_prelu():
    x, slopes = images((2, 3, 4, 5)), normal(5)
    same(ours.prelu, F.prelu, x, slopes)
    same(ours.prelu, F.prelu, x, slopes[:1])
    same(ours.prelu, F.prelu, np.zeros((1, 1, 1, 5), np.float32), slopes)


def test_batch_norm():
    x, scale, bias = images((4, 3, 5, 6)), normal(6, seed=1), normal(6, seed=2)
    module = torch.nn.BatchNorm2d(6, momentum=0.1)
    variables = ours.BatchNorm(bessel=True).init(jax.random.key(0), x, train=False)

    def apply(x, scale, bias, train=True, stats=variables["batch_stats"]):
        state = {"params": {"scale": scale, "bias": bias}, "batch_stats": stats}
        return ours.BatchNorm(bessel=True).apply(state, x, train=train, mutable=["batch_stats"])

    def theirs(x, scale, bias):
        stats = module.running_mean, module.running_var
        return F.batch_norm(x, *stats, scale, bias, training=module.training, momentum=0.1)

    same(lambda *a: apply(*a)[0], theirs, x, scale, bias)
    stats = apply(x, scale, bias)[1]["batch_stats"]
    np.testing.assert_allclose(stats["mean"], module.running_mean.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(stats["var"], module.running_var.numpy(), rtol=1e-5)
    module.eval()
    same(lambda *a: apply(*a, train=False, stats=stats)[0], theirs, x, scale, bias)


def test_one_update_of_1_2_3_4():
    module = torch.nn.BatchNorm1d(1, momentum=0.1)
    module(torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
    assert module.running_var.item() == pytest.approx(1.066667)


@pytest.mark.parametrize("k, alpha, beta, size", [(1.0, 1e-4, 0.75, 5), (2.0, 0.3, 0.5, 3), (1.0, 1.0, 1.0, 7)])
def test_response_norm(k, alpha, beta, size):
    x, options = 3 * images((2, 3, 4, 6)), {"k": k, "beta": beta, "size": size}
    same(
        lambda x: ours.local_response_norm(x, alpha=alpha, divide_by_size=True, **options),
        lambda x: F.local_response_norm(x, alpha=alpha, **options),
        x,
    )
    same(
        lambda x: ours.local_response_norm(x, alpha=alpha / size, **options),
        lambda x: F.local_response_norm(x, alpha=alpha, **options),
        x,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_with_label_smoothing(smoothing):
    logits, labels = 3 * normal(5, 7), np.array([0, 3, 6, 1, 1])
    same(
        lambda z: ours.softmax_cross_entropy(z, ours.smooth_labels(jnp.eye(7)[labels], smoothing=smoothing)),
        lambda z: F.cross_entropy(z, torch.from_numpy(labels), label_smoothing=smoothing, reduction="none"),
        logits,
    )


def test_distillation_and_squared_error():
    logits, teacher = 3 * normal(5, 7), 3 * normal(5, 7, seed=1)
    same(
        lambda z: ours.distillation(z, teacher, temperature=3.0),
        lambda z: 9 * F.cross_entropy(z / 3, F.softmax(torch.from_numpy(teacher) / 3, 1), reduction="none"),
        logits,
    )
    same(ours.squared_error, lambda z, t: F.mse_loss(z, t, reduction="none").sum(1), logits, teacher)
