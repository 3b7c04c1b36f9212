"""Inception-v3 against its table written out by hand; the reader of such tables serves v4 and Inception-ResNet too."""

import itertools
import math
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tracing import count, multiply_adds, shapes

from jaxcnn.architectures.conv_norm import ConvNorm, Mixed, read_layer
from jaxcnn.architectures.inception_trunk import AuxLogits
from jaxcnn.architectures.inception_v3 import BLOCKS, CLAIMS, MODELS, VARIANTS, narrow
from jaxcnn.operators import BatchNorm

# stage, output, branches; V: the grid changes here; ( ): from the same map, concatenated
INCEPTION_V3 = """
Conv2d_1a_3x3  149x32   3x3V:32
Conv2d_2a_3x3  147x32   3x3V:32
Conv2d_2b_3x3  147x64   3x3:64
MaxPool_3a_3x3 73x64    max
Conv2d_3b_1x1  73x80    1x1:80
Conv2d_4a_3x3  71x192   3x3V:192
MaxPool_5a_3x3 35x192   max
Mixed_5b       35x256   1x1:64 | 1x1:48 5x5:64 | 1x1:64 3x3:96 3x3:96 | avg 1x1:32
Mixed_5c       35x288   1x1:64 | 1x1:48 5x5:64 | 1x1:64 3x3:96 3x3:96 | avg 1x1:64
Mixed_5d       35x288   1x1:64 | 1x1:48 5x5:64 | 1x1:64 3x3:96 3x3:96 | avg 1x1:64
Mixed_6a       17x768   3x3V:384 | 1x1:64 3x3:96 3x3V:96 | max
Mixed_6b       17x768   1x1:192 | 1x1:128 1x7:128 7x1:192 | 1x1:128 7x1:128 1x7:128 7x1:128 1x7:192 | avg 1x1:192
Mixed_6c       17x768   1x1:192 | 1x1:160 1x7:160 7x1:192 | 1x1:160 7x1:160 1x7:160 7x1:160 1x7:192 | avg 1x1:192
Mixed_6d       17x768   1x1:192 | 1x1:160 1x7:160 7x1:192 | 1x1:160 7x1:160 1x7:160 7x1:160 1x7:192 | avg 1x1:192
Mixed_6e       17x768   1x1:192 | 1x1:192 1x7:192 7x1:192 | 1x1:192 7x1:192 1x7:192 7x1:192 1x7:192 | avg 1x1:192
Mixed_7a       8x1280   1x1:192 3x3V:320 | 1x1:192 1x7:192 7x1:192 3x3V:192 | max
Mixed_7b       8x2048   1x1:320 | 1x1:384 (1x3:384 3x1:384) | 1x1:448 3x3:384 (1x3:384 3x1:384) | avg 1x1:192
Mixed_7c       8x2048   1x1:320 | 1x1:384 (1x3:384 3x1:384) | 1x1:448 3x3:384 (1x3:384 3x1:384) | avg 1x1:192
"""
SMALL_STEM = """
Conv2d_1a_3x3  32x8     3x3:8
Conv2d_2a_3x3  32x8     3x3:8
Conv2d_2b_3x3  32x16    3x3:16
Conv2d_3b_1x1  32x20    1x1:20
Conv2d_4a_3x3  32x48    3x3:48
"""


def quarter(table):
    """The table with a quarter of the channels."""
    return re.sub(r"(:|\dx)(\d\d+)", lambda match: f"{match[1]}{int(match[2]) // 4}", table)


def small_table():
    blocks = quarter(INCEPTION_V3[INCEPTION_V3.index("Mixed_5b") :])
    for grid, small in (("35x", "32x"), ("17x", "15x"), (" 8x", " 7x")):
        blocks = blocks.replace(grid, small)
    return SMALL_STEM + blocks


class Row(NamedTuple):
    """A convolution of a table: where its parameters are, its kernel, and the pixels of its output."""

    path: tuple
    kernel: tuple
    pixels: int
    bias: bool = False


def read_branch(layers, path, c, before, after):
    """The rows of a branch, and its channels; pixels before the change of the grid and after it."""
    rows, grid, operation, pixels, fan = [], 0, 0, before, None
    for layer in layers.split():
        if layer in ("avg", "max"):
            operation += 1
            continue
        height, width, changes, features = re.fullmatch(r"\(?(\d)x(\d)(V?):(\d+)\)?", layer).groups()
        if changes:
            grid, operation, pixels = 1, 0, after
        fan = [] if layer[0] == "(" else fan
        name = path[-1] if path[-1].startswith("Conv2d") else f"Conv2d_{grid}{'abcdef'[operation]}_{height}x{width}"
        rows.append(Row((*path[:-1], path[-1], name), (int(height), int(width), c, int(features)), pixels))
        operation += 1
        if fan is None:
            c = int(features)
        else:
            fan.append(int(features))
            c, fan = (sum(fan), None) if layer[-1] == ")" else (c, fan)
    return rows, c


def read_table(text):
    """(rows, {stage: (side, side, channels)}) of a table; "name*5" is a row of five residual blocks."""
    rows, stages, side, c = [], {}, None, 3
    for line in text.strip().split("\n"):
        name, output, layers = line.split(maxsplit=2)
        after, channels = map(int, output.split("x"))
        name, *number = name.split("*")
        for block in range(1, int(number[0]) + 1) if number else [0]:
            module = f"{name}_{block}" if block else name
            widths, branches = [], layers.split("|")
            for i, branch in enumerate(branches):
                path = (module, f"Branch_{i}") if name.startswith(("Mixed", "block")) else (module,)
                more, width = read_branch(branch, path, c, (side or after) ** 2, after**2)
                rows += [row._replace(path=row.path[-1:]) if len(path) == 1 else row for row in more]
                widths.append(width)
            if block:
                rows.append(Row((module, "Conv2d_1x1"), (1, 1, sum(widths), c), after**2, bias=True))
            else:
                c = sum(widths)
        assert c == channels, line
        side, stages[name] = after, (after, after, channels)
    return rows, stages


def count_parameters(rows):
    """Weights and the two numbers of a normalised channel, or its bias."""
    return sum(math.prod(row.kernel) + (1 if row.bias else 2) * row.kernel[3] for row in rows)


def count_macs(rows):
    return sum(math.prod(row.kernel) * row.pixels for row in rows)


def kernels(params):
    """{path: shape} of the convolutions of a model."""
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        keys = tuple(key.key for key in path)
        if keys[-1] == "kernel" and leaf.ndim == 4:
            found[tuple(key for key in keys[:-1] if key != "conv")] = leaf.shape
    return found


def compute_bfloat16(model, variables, size):
    """(logits, features in their order, multiply-adds) of one image in bfloat16."""
    order = []

    def apply(variables, x):
        logits, features = model.clone(dtype=jnp.bfloat16).apply(variables, x, train=False)
        order.extend(features)  # a transformation returns a dict sorted by name
        return logits, features

    image = jax.ShapeDtypeStruct((1, *size), jnp.float32)
    jaxpr, (logits, features) = jax.make_jaxpr(apply, return_shape=True)(variables, image)
    return logits, {name: features[name] for name in order}, multiply_adds(jaxpr.jaxpr)


def check_against_table(model, table, claim, *, classes, auxiliary=0):
    """All that a table says about a model without an auxiliary head; the claim counts `auxiliary` parameters more."""
    rows, stages = read_table(table)
    width = list(stages.values())[-1][2]
    (logits, features), variables = shapes(model, claim.input)
    assert kernels(variables["params"]) == {row.path: row.kernel for row in rows}
    stages["AvgPool_1a"] = (width,)
    assert {name: feature.shape[1:] for name, feature in features.items()} == stages
    assert logits.shape == (2, classes)
    head = width * classes + classes
    assert claim.parameters == count(variables["params"]) + auxiliary == count_parameters(rows) + head + auxiliary
    logits, features, macs = compute_bfloat16(model, variables, claim.input)
    assert claim.macs == macs == count_macs(rows) + width * classes
    assert list(features) == list(stages)
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, logits))} == {jnp.dtype("float32")}
    assert {feature.dtype for feature in features.values()} == {jnp.dtype("bfloat16")}


AUXILIARY = 768 * 128 + 2 * 128 + 25 * 128 * 768 + 2 * 768 + 769 * 1000


def test_the_table_with_torchvisions_counts():
    claim = CLAIMS["inception_v3"]
    assert (claim.parameters, claim.parameters - AUXILIARY) == (27_161_264, 23_834_568)
    check_against_table(MODELS["inception_v3"](auxiliary=False), INCEPTION_V3, claim, classes=1000, auxiliary=AUXILIARY)


def test_small_is_the_table_with_a_quarter_of_the_channels():
    check_against_table(MODELS["inception_small"](), small_table(), CLAIMS["inception_small"], classes=10)


def test_the_auxiliary_head_is_on_a_17x17_stage():
    (_, features), variables = shapes(MODELS["inception_v3"](num_classes=7, dtype=jnp.bfloat16), (299, 299, 3))
    assert (features["aux1"].shape, features["aux1"].dtype) == ((2, 7), jnp.float32)
    assert kernels(variables["params"]["AuxLogits"]) == {
        ("Conv2d_1b_1x1",): (1, 1, 768, 128), ("Conv2d_2a_5x5",): (5, 5, 128, 768),
    }  # fmt: skip
    assert variables["params"]["AuxLogits"]["Logits"]["kernel"].shape == (768, 7)
    assert count(variables["params"]) == CLAIMS["inception_v3"].parameters - 993 * (2049 + 769)


@pytest.mark.parametrize("channels, size, classes", [(1, 28, 10), (3, 28, 4), (1, 32, 10)])
def test_small_takes_digits(channels, size, classes):
    (logits, features), _ = shapes(MODELS["inception_small"](num_classes=classes), (size, size, channels))
    assert logits.shape == (2, classes)
    assert features["Mixed_7c"].shape == (2, *{28: (6, 6), 32: (7, 7)}[size], 512)


def test_remat_has_the_same_parameters():
    trees = [shapes(MODELS["inception_small"](remat=remat), (32, 32, 3), train=True)[1] for remat in (False, True)]
    assert trees[0] == trees[1]


def test_too_small_images_are_refused():
    with pytest.raises(ValueError, match=r"inception_v3 needs images of at least 75x75, got \(2, 74, 80, 3\)"):
        shapes(MODELS["inception_v3"](auxiliary=False), (74, 80, 3))
    with pytest.raises(ValueError, match=r"needs 299x299 images, or auxiliary=False"):
        shapes(MODELS["inception_v3"](), (224, 224, 3))
    with pytest.raises(ValueError, match="inception_small needs images of at least 7x7"):
        shapes(MODELS["inception_small"](), (6, 32, 3))


def test_the_smallest_images():
    (logits, features), _ = shapes(MODELS["inception_v3"](auxiliary=False), (75, 75, 3))
    assert features["Mixed_7c"].shape == (2, 1, 1, 2048) and logits.shape == (2, 1000)


def test_what_a_layer_leaves_out():
    assert read_layer((8, 3)) == (8, (3, 3), 1, (1, 1))
    assert read_layer((8, (1, 7))) == (8, (1, 7), 1, (0, 3))
    assert read_layer((8, 3, 2)) == (8, (3, 3), 2, 0)
    assert read_layer((8, 3, 1, 0)) == (8, (3, 3), 1, 0)


def branch_cuts(params):
    """(name, params without it) for every convolution with its norm."""
    for path in kernels(params):

        def silence(at, leaf, path=path):
            return np.zeros_like(leaf) if tuple(key.key for key in at)[: len(path)] == path else leaf

        yield "/".join(path), jax.tree_util.tree_map_with_path(silence, params)


def check_every_branch_counts(block, c, draw, *, size=7):
    """Each parameter of a block has a gradient, each convolution changes the output, branches lie in their order."""
    x = np.random.default_rng(0).normal(size=(4, size, size, c)).astype(np.float32)

    class Untrained:  # what draw wants of a model
        init = staticmethod(lambda key, x, train: block.init(key, x, train))

    variables = draw(Untrained, x.shape[1:])
    weights = np.random.default_rng(1).normal(size=1000).astype(np.float32)

    def loss(params, block=block):
        y, _ = block.apply({**variables, "params": params}, x, True, mutable=["batch_stats"])
        return jnp.sum(y.reshape(-1) * jnp.resize(weights, y.size)), y

    compute = jax.jit(jax.grad(loss, has_aux=True))
    gradients, before = compute(variables["params"])
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 1e-4, jax.tree_util.keystr(path)
    for path, cut in branch_cuts(variables["params"]):
        assert np.abs(compute(cut)[1] - before).max() > 1e-3, path
    end = 0
    for name in () if block.residual else sorted(variables["params"]):
        cut = {**variables["params"], name: jax.tree.map(np.zeros_like, variables["params"][name])}
        (changed,) = np.nonzero(np.abs(compute(cut)[1] - before).max((0, 1, 2)))
        assert changed[0] >= end, name
        end = changed[-1] + 1


LONG = [pytest.param(name, marks=pytest.mark.long) for name in ("Mixed_5b", "Mixed_6b", "Mixed_7a")]


@pytest.mark.parametrize("name", ["Mixed_6a", "Mixed_7b", *LONG])
def test_every_branch_of_a_block_counts(name, draw):
    check_every_branch_counts(Mixed(narrow(BLOCKS[name], 16), norm=BatchNorm), 4, draw)


def test_the_auxiliary_head_computes_what_it_says(draw):
    head = AuxLogits(num_classes=3, norm=BatchNorm, dtype=jnp.float32)
    x = np.random.default_rng(0).normal(size=(2, 20, 17, 4)).astype(np.float32)
    variables = draw(head, x.shape[1:])
    pooled = np.stack([[x[:, i : i + 5, j : j + 5].mean((1, 2)) for j in range(0, 13, 3)] for i in range(0, 16, 3)])
    y = pooled.transpose(2, 0, 1, 3)  # (2, 6, 5, 4)

    def unit(y, name, side):
        layer, running = variables["params"][name], variables["batch_stats"][name]["norm"]
        rows, columns = y.shape[1] - side + 1, y.shape[2] - side + 1
        taps = itertools.product(range(side), range(side))
        y = sum(y[:, i : i + rows, j : j + columns] @ layer["conv"]["kernel"][i, j] for i, j in taps)
        y = (y - running["mean"]) / np.sqrt(np.abs(running["var"]) + 1e-5)
        return np.maximum(y * layer["norm"]["scale"] + layer["norm"]["bias"], 0)

    y = unit(unit(y, "Conv2d_1b_1x1", 1), "Conv2d_2a_5x5", 5)
    assert y.shape == (2, 2, 1, 768)
    expected = y.mean((1, 2)) @ variables["params"]["Logits"]["kernel"] + variables["params"]["Logits"]["bias"]
    np.testing.assert_allclose(head.apply(variables, x, train=False), expected, rtol=1e-4, atol=1e-4)


def test_the_average_leaves_the_padding_out_or_counts_it(draw):
    stage = (("average", (2, 1)),)
    x = np.ones((1, 4, 4, 1), np.float32)
    outputs = {}
    for counted in (False, True):
        block = Mixed(stage, count_padding=counted, norm=BatchNorm)
        params = {"Branch_0": {"Conv2d_0b_1x1": {"conv": {"kernel": np.ones((1, 1, 1, 2), np.float32)},
                                                 "norm": {"scale": np.ones(2), "bias": np.zeros(2)}}}}  # fmt: skip
        running = {"Branch_0": {"Conv2d_0b_1x1": {"norm": {"mean": np.zeros(2), "var": np.ones(2)}}}}
        outputs[counted] = block.apply({"params": params, "batch_stats": running}, x, False)[0, :, :, 0]
    np.testing.assert_allclose(outputs[False], np.ones((4, 4)), rtol=1e-4)
    np.testing.assert_allclose(outputs[True][0], [4 / 9, 6 / 9, 6 / 9, 4 / 9], rtol=1e-4)


def test_released_norm_by_default():
    norm = ConvNorm(4, 3).norm()
    assert (norm.momentum, norm.epsilon) == (0.9997, 1e-3)
    assert MODELS["inception_v3"]().norm().epsilon == MODELS["inception_small"]().norm().epsilon == 1e-3
    assert set(VARIANTS) == set(MODELS) == set(CLAIMS)


@pytest.mark.long
def test_every_parameter_of_the_small_network_gets_a_gradient(draw):
    model = MODELS["inception_small"](dropout_rate=0.0)
    x = np.random.default_rng(0).normal(size=(4, 16, 16, 3)).astype(np.float32)
    variables = draw(model, x.shape[1:])

    def loss(params):
        (logits, _), _ = model.apply({**variables, "params": params}, x, train=True, mutable=["batch_stats"])
        return jnp.sum(jax.nn.log_softmax(logits)[:, 0])

    for path, gradient in jax.tree_util.tree_leaves_with_path(jax.jit(jax.grad(loss))(variables["params"])):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 1e-6, jax.tree_util.keystr(path)
