"""The receptive field that is read from the jaxpr is the set of pixels that an output depends on."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.analysis import analyse
from jaxcnn.architectures import create
from jaxcnn.architectures.resnet_cifar import ResNetCIFAR
from jaxcnn.operators import (
    Conv,
    ConvTranspose,
    DepthwiseConv,
    FactorizedConv,
    LocallyConnected,
    PartialConv,
    SubSampling,
    average_pool,
    conv2d_as_product,
    l2_pool,
    local_response_norm,
    max_pool,
    relu,
    resize_nearest,
    spatial_pyramid_pool,
)

SIZE = (29, 24)
ONES = nn.initializers.ones


class Net(nn.Module):
    """The stages of a list of functions or modules, one after another."""

    layers: tuple

    @nn.compact
    def __call__(self, x, *, train: bool):
        features = {}
        for i, layer in enumerate(self.layers):
            x = features[f"layer{i}"] = layer(x)
        return x, features


class Branches(nn.Module):
    """Branches that are concatenated or added."""

    branches: tuple
    add: bool = False

    @nn.compact
    def __call__(self, x):
        results = [layer(x) for layer in self.branches]
        return sum(results[1:], results[0]) if self.add else jnp.concatenate(results, axis=-1)


def as_product(x):
    return conv2d_as_product(x, jnp.ones((3, 4, x.shape[-1], 2)), stride=(2, 1), padding=((2, 0), (1, 1)))


def rows_apart(x):
    return jnp.stack(jnp.unstack(x, axis=1)[::2], axis=1)


def space_to_depth(x):
    n, h, w, c = x.shape
    x = x[:, : h // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, h // 2, w // 2, 4 * c)


def depth_to_rows(x):  # two rows become one that is twice as long, and back
    return x[:, :28].reshape(1, 14, 2 * x.shape[2], x.shape[3]).reshape(1, 28, x.shape[2], x.shape[3])


def gate(x):
    return x * jax.nn.sigmoid(jnp.mean(x, axis=(1, 2), keepdims=True))


def conv(*arguments, **options):
    return Conv(*arguments, kernel_init=nn.initializers.constant(0.1), **options)


CASES = {
    "three 3x3": (conv(2, 3), relu, conv(2, 3), conv(2, 3)),
    "strides and dilation": (conv(2, (3, 2), stride=(2, 1), padding=((0, 2), (1, 0)), dilation=(1, 3)), conv(2, 3)),
    "groups": (conv(4, 3, groups=1), conv(4, 5, stride=2, groups=2), DepthwiseConv(3, kernel_init=ONES)),
    "average pools": (conv(2, 3), lambda x: average_pool(x, window=3, stride=2, ceil=True), conv(2, 3)),
    "border counts": (lambda x: average_pool(x, window=3, stride=2, padding=1, count_padding=False), conv(1, 3)),
    "sampling": (SubSampling(), lambda x: l2_pool(x, window=2), conv(1, 3)),
    "inception": (
        conv(2, 3, stride=2),
        Branches((conv(1, 1), conv(2, 5), Branches((lambda x: average_pool(x, window=3, stride=1, padding=1),)))),
        conv(1, 3),
    ),
    "shifted branches": (Branches((conv(1, 3, padding=((2, 0), (0, 2))), conv(1, 1)), add=True), conv(1, 2, padding=0)),
    "factorised": (FactorizedConv(2, 7, kernel_init=nn.initializers.constant(0.1)), conv(1, 1)),
    "table": (conv(3, 1), PartialConv(((0, 1), (2,)), 5, kernel_init=ONES)),
    "unshared": (LocallyConnected(2, 3, stride=2, kernel_init=nn.initializers.constant(0.1)),),
    "product": (as_product, conv(1, 3)),
    "shortcut A": (
        Branches((conv(4, 3, stride=2), lambda x: jnp.pad(x[:, ::2, ::2], ((0, 0),) * 3 + ((1, 2),))), add=True),
        conv(1, 3),
    ),
    "norm": (conv(6, 3), local_response_norm, conv(1, 3)),
    "flip": (lambda x: x[:, ::-1], conv(2, 3, padding=((2, 0), (0, 0))), lambda x: x[:, ::-1], conv(1, 3, stride=2)),
    "split": (conv(4, 3), lambda x: jnp.concatenate(jnp.split(x, 2, axis=2), axis=2), conv(1, 3)),
    "slices": (conv(1, 3), lambda x: x[:, 3:21:3, 2:], lambda x: jnp.pad(x, ((0, 0), (2, 1), (0, 0), (0, 0)))),
    "space to depth": (space_to_depth, conv(1, 3)),
    "fold and unfold": (depth_to_rows, conv(1, 3)),
    "transpose": (lambda x: x.transpose(0, 2, 1, 3), conv(1, (1, 3), stride=(1, 2))),
    "twice": (conv(2, 3), lambda x: jnp.tile(x, (1, 1, 1, 2)), conv(1, (1, 3))),
    "flax": (nn.Conv(2, (3, 3), (2, 2), kernel_init=ONES), lambda x: nn.avg_pool(x, (3, 3), (2, 2))),
    "gate": (conv(2, 3), gate),
    "global": (conv(2, 3, padding=0), lambda x: jnp.mean(x, axis=(1, 2)), nn.Dense(2, kernel_init=ONES)),
    "cut": (lambda x: x[:, 2:20, 5:], lambda x: x.reshape(1, -1), nn.Dense(2, kernel_init=ONES)),
    "pyramid": (conv(2, 3), lambda x: spatial_pyramid_pool(x, pool="average"), nn.Dense(1, kernel_init=ONES)),
}  # fmt: skip
MAX_POOLS = {
    "overlapping": (conv(1, 3, stride=2), lambda x: max_pool(x, window=3, stride=2), conv(1, 3)),
    "ceil": (lambda x: max_pool(x, window=3, stride=2, padding=1, ceil=True), conv(1, 3)),
    "flax": (nn.Conv(1, (3, 3), kernel_init=ONES), lambda x: nn.max_pool(x, (3, 2), (2, 1), "SAME")),
}  # fmt: skip


def box(field, position, image):
    """The pixels of a field at a position (row, column), as a mask of the image."""
    seen = np.zeros(image, bool)
    starts = [s * i - before for s, i, (before, _) in zip(field.stride, position, field.padding, strict=True)]
    seen[tuple(slice(max(start, 0), start + size) for start, size in zip(starts, field.size, strict=True))] = True
    return seen


def positive(model, image, channels):
    x = jnp.asarray(np.random.default_rng(0).uniform(1, 2, (1, *image, channels)), jnp.float32)
    variables = jax.jit(lambda x: model.init(jax.random.key(0), x, train=False))(x)
    return jax.tree.map(lambda p: jnp.abs(p) + 0.01, variables), x


def check(model, stages, *, image=SIZE, channels=1, changes=False):
    """In the middle exactly the pixels of the box have a gradient, at the first and last position none outside it."""
    found = analyse(model, (*image, channels))
    variables, x = positive(model, image, channels)

    def maps(x):  # (rows, columns) of each stage
        features = model.apply(variables, x, train=False)[1]
        shapes = {stage: (features[stage].shape[1:3] if features[stage].ndim == 4 else (1, 1)) for stage in stages}
        return [features[stage].reshape(*shapes[stage], -1).sum(axis=-1) for stage in stages]

    def seen(stage, places):
        number = stages.index(stage)
        if changes:
            touched = x + 1e3 * jnp.eye(x.size).reshape(-1, *image, channels)
            after = jax.jit(lambda t: jax.lax.map(lambda t: maps(t[None])[number], t, batch_size=64))(touched)
            return [np.asarray(after[:, *at] != maps(x)[number][*at]).reshape(image) for at in places]
        pick = jax.jit(jax.vmap(lambda row, column: jax.grad(lambda x: maps(x)[number][row, column])(x)))
        return np.asarray(pick(*jnp.array(places).T))[:, 0].any(axis=-1)

    for stage in stages:
        shape, _, field = found.stages[stage]
        rows, columns = shape[1:3] if len(shape) == 4 else (1, 1)
        places = [(rows // 2, columns // 2), (0, 0), (rows - 1, columns - 1)]
        middle, *corners = zip(seen(stage, places), (box(field, place, image) for place in places), strict=True)
        np.testing.assert_array_equal(*middle, err_msg=f"{stage}: {field}")
        for pixels, expected in corners:  # where the box may hold pixels that only padding stands for
            assert not (pixels & ~expected).any(), f"{stage}: {field}"


@pytest.mark.parametrize("name", CASES)
def test_the_support_of_the_gradient_is_the_box(name):
    layers = CASES[name]
    swapped = name == "transpose"  # vertical and horizontal positions have changed places
    if swapped:
        field = analyse(Net(layers), (*SIZE, 1)).stages["layer1"][2]
        assert (field.size, field.stride, field.padding) == ((3, 1), (2, 1), ((1, 1), (0, 0)))
    else:
        check(Net(layers), [f"layer{len(layers) - 1}"])


@pytest.mark.parametrize("name", MAX_POOLS)
def test_the_pixels_that_can_move_a_maximum_are_the_box(name):
    layers = MAX_POOLS[name]
    check(Net(layers), [f"layer{len(layers) - 1}"], image=(17, 14), changes=True)


@pytest.mark.parametrize(
    ("shortcut", "stages"), [pytest.param("A", ["stage3"], marks=pytest.mark.long), ("B", ["stage2", "pool"])]
)
def test_of_a_residual_network(shortcut, stages):
    check(ResNetCIFAR(depth=8, shortcut=shortcut), stages, image=(40, 36))


back = functools.partial(ConvTranspose, kernel_init=nn.initializers.constant(0.1))
wide = functools.partial(resize_nearest, factor=(2, 1))
DECODERS = {
    "transposed": (conv(2, 3, stride=2), conv(2, 3, stride=2), back(2, 4, stride=2, padding=1), back(1, 3, stride=2)),
    "cut and dilated": (conv(2, 2, stride=6, padding=0), back(1, 3, stride=(2, 3), padding=(1, 2), dilation=(1, 2))),
    "resized": (conv(2, 3, stride=4), resize_nearest, conv(1, 3), wide, conv(1, 3)),
}


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_sees_the_smallest_box_that_moves_evenly(name):
    """Its positions see boxes that move by turns: all lie within, and some reach each side."""
    model = Net(DECODERS[name])
    _, _, field = analyse(model, (*SIZE, 1)).stages["logits"]
    variables, x = positive(model, SIZE, 1)
    y, pull = jax.vjp(lambda x: model.apply(variables, x, train=False)[0][0, :, :, 0], x)
    pixels = np.asarray(jax.jit(jax.vmap(pull))(jnp.eye(y.size).reshape(-1, *y.shape))[0])[:, 0, :, :, 0] != 0
    reached = []
    for number, seen in enumerate(pixels):
        at = divmod(number, y.shape[1])
        assert not (seen & ~box(field, at, SIZE)).any(), at
        starts = [s * i - before for s, i, (before, _) in zip(field.stride, at, field.padding, strict=True)]
        sides = [np.flatnonzero(seen.any(axis=1 - a))[[0, -1]] - starts[a] for a in (0, 1) if seen.any()]
        reached.extend(sides and [np.ravel(sides)])
    lowest, highest = np.min(reached, axis=0), np.max(reached, axis=0)
    assert (lowest[0], lowest[2]) == (0, 0) and (highest[1] + 1, highest[3] + 1) == field.size
    assert max(field.size) < min(SIZE), "the box says something"


def test_stacks_of_small_kernels_see_what_a_large_one_sees():
    three = analyse(Net(tuple(Conv(4, 3) for _ in range(3))), (32, 32, 4))
    one = analyse(Net((Conv(4, 7),)), (32, 32, 4))
    assert three.stages["logits"][2] == one.stages["logits"][2]
    assert three.stages["logits"][2].size == (7, 7)
    kernels = [sum(layer.macs for layer in found.layers) // 32**2 for found in (three, one)]
    assert kernels == [27 * 4**2, 49 * 4**2]


def test_alexnet_by_hand():
    pool = functools.partial(max_pool, window=3, stride=2)
    layers = (Conv(2, 11, stride=4, padding=0), pool, Conv(2, 5), pool, Conv(2, 3), Conv(2, 3), Conv(2, 3), pool)
    found = analyse(Net(layers), (227, 227, 3)).stages
    stages = [found[f"layer{i}"][2] for i in range(8)]
    assert [field.size[0] for field in stages] == [11, 19, 51, 67, 99, 131, 163, 195]
    assert [field.stride[0] for field in stages] == [4, 8, 8, 16, 16, 16, 16, 32]
    assert [field.padding[1] for field in stages][-1] == (8 * 2 + 16 + 16 + 16,) * 2
    assert stages[-1].offset == (33.0, 33.0)


# Araujo, Norris and Sim 2019, "Computing receptive fields of convolutional neural networks" (Distill), table 1.
PRINTED = {
    "alexnet": ("pool5", 195), "vgg_d": ("pool5", 212), "resnet50": ("conv5_x", 483),
    "resnet101": ("conv5_x", 1027), "resnet152": ("conv5_x", 1507), "inception_v3": ("Mixed_7c", 1311),
    "inception_v4": ("Mixed_7d", 2071), "inception_resnet_v2": ("Conv2d_7b_1x1", 3039),
}  # fmt: skip
SLOW = {"resnet101", "resnet152", "inception_v3", "inception_v4", "inception_resnet_v2"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.long] if n in SLOW else []) for n in PRINTED])
def test_fields_that_others_computed(name):
    stage, size = PRINTED[name]
    found = analyse(
        create(name), (299, 299, 3) if "inception" in name else (227, 227, 3) if name == "alexnet" else (224, 224, 3)
    )
    field = found.stages[stage][2]
    assert field.size == (size, size) and field.stride == (32, 32)
    assert found.stages["logits"][2].whole and found.stages["logits"][2].stride == (0, 0)
    assert found.stages["logits"][2].size == found.input[1:3]


def test_what_cannot_be_followed_sees_everything():
    def function(x):
        return jnp.sort(x, axis=1), {"cumulative": jnp.cumsum(x, axis=2), "one": x[:, :3, :3]}

    found = analyse(function, (6, 5, 1)).stages
    assert found["logits"][2].whole and found["cumulative"][2].whole
    assert found["one"][2].size == (1, 1) and found["one"][2].padding == ((0, -3), (0, -2))
    assert analyse(lambda x: jnp.ones(3) + 0 * x.shape[0], (6, 5, 1)).stages["logits"][2] is None
