"""Parameters, multiply-adds and memory that are read from a jaxpr, against counts made by hand."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.analysis import analyse
from jaxcnn.architectures import create
from jaxcnn.architectures.resnet_cifar import ResNetCIFAR
from jaxcnn.operators import (
    BatchNorm,
    Conv,
    ConvTranspose,
    DepthwiseConv,
    LocallyConnected,
    conv2d,
    local_contrast_norm,
    max_pool,
    relu,
)


def table(found):
    return {layer.name: (layer.parameters, layer.macs) for layer in found.layers}


def test_lenet5_layer_by_layer():
    found = analyse(create("lenet5"), (32, 32, 1), batch=3)
    assert table(found) == {
        "input": (0, 0), "C1": (156, 28 * 28 * 25 * 6), "S2": (12, 0), "C3": (1516, 150_000), "S4": (32, 0),
        "C5": (48_120, 48_000), "F6": (10_164, 10_080), "logits": (0, 0),
    }  # fmt: skip
    assert (found.parameters, found.macs) == (60_000, 325_680)


def test_vgg_d_is_the_lectures_table():
    found = analyse(create("vgg_d"), (224, 224, 3))
    # CS231n, "VGGNet in detail": values of each row; the total printed there is another.
    rows = [150_528, *[3_211_264] * 2, 802_816, *[1_605_632] * 2, 401_408, *[802_816] * 3, 200_704]
    rows += [*[401_408] * 3, 100_352, *[100_352] * 3, 25_088, 4_096, 4_096, 1_000]
    assert [layer.bytes for layer in found.layers] == [4 * n for n in rows]
    assert (found.values, found.bytes, found.training_bytes) == (sum(rows), 4 * sum(rows), 4 * sum(rows))
    assert found.forward_bytes == 4 * 2 * 3_211_264  # conv1_1 and conv1_2
    weights = {layer.name: layer.parameters - layer.shape[-1] for layer in found.layers if layer.parameters}
    assert (weights["conv1_1"], weights["conv5_3"], weights["fc6"]) == (1_728, 2_359_296, 102_760_448)
    assert found.parameters == 138_357_544


def test_inception_of_the_lecture():
    """28x28x256 into 128 1x1, 192 3x3, 96 5x5 and a pooling, naive and behind 1x1 of 64 (CS231n)."""

    class Module(nn.Module):
        bottleneck: bool

        @nn.compact
        def __call__(self, x):
            reduce = (lambda name: Conv(64, 1, name=name)(x)) if self.bottleneck else (lambda name: x)
            pooled = max_pool(x, window=3, stride=1, padding=1)
            last = Conv(64, 1, name="pool_proj")(pooled) if self.bottleneck else pooled
            large = Conv(192, 3, name="3x3")(reduce("3x3_reduce")), Conv(96, 5, name="5x5")(reduce("5x5_reduce"))
            return jnp.concatenate([Conv(128, 1, name="1x1")(x), *large, last], axis=-1)

    naive, small = (analyse(Module(bottleneck), (28, 28, 256)) for bottleneck in (False, True))
    assert naive.macs == 28 * 28 * 256 * (128 + 9 * 192 + 25 * 96) == 854_196_224
    assert small.macs == 28 * 28 * (256 * (64 + 64 + 128 + 64) + 64 * (9 * 192 + 25 * 96))
    assert (naive.stages["logits"][0], small.stages["logits"][0]) == ((1, 28, 28, 672), (1, 28, 28, 480))


def test_a_bottleneck_costs_less_than_one_full_convolution():
    class Bottleneck(nn.Module):
        @nn.compact
        def __call__(self, x):
            y = Conv(64, 3, use_bias=False)(Conv(64, 1, use_bias=False)(x))
            return x + Conv(256, 1, use_bias=False)(y)

    assert analyse(Bottleneck(), (8, 8, 256)).parameters == 256 * 64 + 9 * 64 * 64 + 64 * 256
    assert analyse(Conv(256, 3, use_bias=False), (8, 8, 256)).parameters == 9 * 256 * 256


class Auxiliary(nn.Module):
    """A head on the side, a shared layer, a parameter that nobody reads."""

    @nn.compact
    def __call__(self, x, *, train: bool):
        shared = nn.Dense(5, name="shared")
        x = max_pool(relu(Conv(4, 3, groups=2, name="conv")(x)), window=2)
        aux = nn.Dense(3, name="aux")(x.reshape(x.shape[0], -1))
        self.param("spare", nn.initializers.zeros, (7,))
        x = shared(x)
        return shared(relu(jnp.concatenate([x] * 4, axis=-1)[..., :4])).mean((1, 2)), {"aux1": aux}


def test_auxiliary_shared_and_unread_parameters():
    found = analyse(Auxiliary(), (8, 6, 2), batch=2)
    rows = table(found)
    assert rows["conv"] == (9 * 4 + 4, 48 * 9 * 4)
    assert rows["aux"] == (12 * 4 * 3 + 3, 0)
    assert rows["shared"] == (4 * 5 + 5, 12 * 20) and rows["shared (2)"] == (0, 12 * 20)
    assert rows["spare"] == (7, 0)
    assert found.macs == 48 * 36 + 2 * 12 * 20 and found.parameters == 40 + 147 + 25 + 7
    assert sum(layer.parameters for layer in found.layers) == found.parameters
    (aux,) = (layer for layer in found.layers if layer.name == "aux")
    assert aux.auxiliary and aux.inputs == ("max_pool",) and aux.stage == "aux1"
    assert found.training_bytes - found.bytes == aux.bytes == 2 * 3 * 4


class Scanned(nn.Module):
    length: int = 5

    @nn.compact
    def __call__(self, x):
        def block(module, x, _):
            return relu(module(x)), jnp.mean(x)

        axes = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
        x, means = nn.scan(block, length=self.length, **axes)(Conv(3, 3, name="block"), x, None)
        return x, {"means": means}


def test_a_scan_is_its_iterations():
    found = analyse(Scanned(), (16, 16, 3))
    assert found.parameters == 5 * (9 * 9 + 3)
    assert found.macs == 5 * 16 * 16 * 81
    assert found.stages["logits"][2].size == (11, 11) and not found.notes
    assert found.stages["means"][2].whole


def test_long_scans_branches_and_loops_are_noted():
    kernel = jnp.ones((4, 4))

    def scan(x):
        return jax.lax.scan(lambda c, _: (jnp.tanh(c @ kernel), None), x, None, length=5000)[0]

    def branch(x):
        return jax.lax.cond(x.sum() > 0, lambda x: x @ kernel, lambda x: (x @ kernel) @ kernel, x)

    def loop(x):
        return jax.lax.while_loop(lambda x: x.sum() > 1, lambda x: x @ kernel, x)

    once = 2 * 2 * 16
    for function, macs, words in ((scan, 5000 * once, "5000"), (branch, 2 * once, "expensive"), (loop, once, "once")):
        found = analyse(function, (2, 2, 4))
        assert found.macs == macs and words in found.notes[0]
        assert found.stages["logits"][2].whole


def test_what_counts_as_a_multiply_add():
    image = (8, 6, 4)
    dilated = {"lhs_dilation": (2, 2), "dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    cases = {
        "depthwise": (DepthwiseConv(3, 2, use_bias=False), 48 * 8 * 9),
        "unshared": (LocallyConnected(2, 3), 6 * 4 * 9 * 4 * 2),
        "flax": (nn.Conv(6, (3, 3), (2, 2), feature_group_count=2), 4 * 3 * 6 * 9 * 2),
        "transposed": (
            lambda x: jax.lax.conv_general_dilated(x, jnp.ones((3, 3, 4, 5)), (1, 1), ((2, 2), (2, 2)), **dilated),
            48 * 9 * 4 * 5,
        ),
        "way back": (ConvTranspose(6, 4, stride=2, groups=2), 48 * 16 * 4 * 3),
        "attention": (lambda x: jnp.einsum("nabc,nijc->nabij", x, x), 48 * 48 * 4),
        "padding": (lambda x: conv2d(x, jnp.ones((1, 1, 4, 1)), padding=3), 14 * 12 * 4),
        "norm": (BatchNorm(), 0),
    }
    for name, (model, macs) in cases.items():
        assert analyse(model, image, batch=2).macs == macs, name
    # the Gaussian of the contrast normalisation is a fixed matrix, and no parameter of the model
    model = nn.Sequential([nn.Dense(1), local_contrast_norm])
    assert analyse(model, image).macs == 48 * 4


def test_pure_functions():
    variables = {"first": {"w": np.ones((3, 3, 2, 4), np.float32)}, "second": jnp.ones((48, 5))}

    def function(variables, x):
        x = max_pool(conv2d(x, variables["first"]["w"], padding=1), window=2)
        return x.reshape(x.shape[0], -1) @ variables["second"], {"pooled": x}

    found = analyse(function, (8, 6, 2), variables=variables)
    assert table(found) == {"input": (0, 0), "first": (72, 48 * 72), "pooled": (0, 0), "logits": (240, 240)}
    closed = analyse(lambda x: function(variables, x)[0], (8, 6, 2), batch=4)
    assert (closed.parameters, closed.macs) == (found.parameters, found.macs) == (312, 48 * 72 + 240)


def test_memory_of_a_residual_network_by_hand():
    found = analyse(ResNetCIFAR(depth=8), (32, 32, 3), batch=2)
    one = 2 * 4 * 32 * 32 * 16  # bytes of a map of the first stage
    block = one + one + one + one + one  # conv1, norm1, conv2, norm2, their sum with the shortcut
    small = 2 * 4 * (64 + 10)
    assert found.bytes == 2 * 4 * 32 * 32 * 3 + 2 * one + block + block // 2 + block // 4 + small
    assert found.training_bytes == found.bytes
    assert found.forward_bytes == 3 * one  # conv2 reads and writes while the shortcut waits


def test_rematerialised_blocks_keep_what_leaves_them():
    class Block(nn.Module):
        @nn.compact
        def __call__(self, x):
            return relu(Conv(4, 3)(relu(Conv(8, 3)(x))))

    class Net(nn.Module):
        remat: bool

        @nn.compact
        def __call__(self, x):
            block = nn.remat(Block) if self.remat else Block
            for i in range(3):
                x = block(name=f"block{i}")(x)
            return x

    plain, remat = (analyse(Net(remat), (8, 8, 4)) for remat in (False, True))
    assert [layer.name for layer in plain.layers] == [layer.name for layer in remat.layers]
    assert (plain.macs, plain.bytes, plain.parameters) == (remat.macs, remat.bytes, remat.parameters)
    assert plain.training_bytes == 4 * 64 * (4 + 3 * 12)
    assert remat.training_bytes == 4 * 64 * (4 + 3 * 4 + 8)


def test_a_convolutions_gradients_count_as_much_as_itself():
    kernel = jnp.ones((3, 3, 2, 4))

    def gradients(x):
        y, pull = jax.vjp(lambda x, k: conv2d(x, k, padding=1), x, kernel)
        return pull(y)[1]

    assert analyse(gradients, (6, 6, 2)).macs == 2 * 36 * 9 * 2 * 4


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_half_precision(dtype):
    found = analyse(create("resnet20", dtype=dtype), (32, 32, 3))
    assert (found.parameters, found.macs) == (269_722, 40_551_040)
    (norm,) = (layer for layer in found.layers if layer.name == "norm1")
    assert norm.bytes == 32 * 32 * 16 * jnp.dtype(dtype).itemsize
