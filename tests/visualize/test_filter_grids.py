"""Convolutions found in networks, and what is drawn of their filters."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import architectures
from jaxcnn.operators.activation import scaled_tanh
from jaxcnn.operators.convolution import conv2d
from jaxcnn.operators.normalization import BatchNorm
from jaxcnn.visualize.convolutions import Convolution, convolutions, find_convolution, towers
from jaxcnn.visualize.filters import draw_filters, mosaic, normalised, strongest


def made(name, shape):
    model, draw = architectures.create(name), np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *shape)), train=False))
    return model, jax.tree.map(lambda x: draw.normal(0, 0.1, x.shape).astype(np.float32), shapes), shape


@pytest.fixture(scope="module")
def alexnet():
    return made("alexnet_small", (32, 32, 3))


@pytest.fixture(scope="module")
def resnet():
    return made("resnet20", (32, 32, 3))


def test_groups_and_towers(alexnet):
    found = convolutions(*alexnet)
    assert {name: c.groups for name, c in found.items()} == dict(
        zip(("conv1", "conv2", "conv3", "conv4", "conv5"), (1, 2, 1, 2, 2), strict=True)
    )
    assert [name for name, c in found.items() if c.image] == ["conv1"]
    assert found["conv2"].kernel.shape == (5, 5, 24, 128)
    np.testing.assert_array_equal(found["conv4"].kernel, alexnet[1]["params"]["conv4"]["kernel"])
    assert towers(*alexnet, "conv1") == 2 and towers(*alexnet, "conv2") == 1


def test_by_stage_and_by_path(resnet):
    assert find_convolution(*resnet).path == "conv1"
    assert find_convolution(*resnet, "conv1").path == "conv1"
    assert find_convolution(*resnet, "stage2_block1/conv2").kernel.shape == (3, 3, 32, 32)
    with pytest.raises(ValueError, match=r"made by stage2_block3/add \(add\), which is no convolution"):
        find_convolution(*resnet, "stage2")
    with pytest.raises(ValueError, match=r"did you mean .*'stage2_block1/conv1'"):
        find_convolution(*resnet, "stage2_block1/convl")
    assert towers(*resnet, "conv1") == 1


class Named(nn.Module):
    """A stage after a convolution and its normalisation, of another name than either."""

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Conv(3, (1, 1), name="before")(x)
        x = nn.relu(BatchNorm(name="norm")(nn.Conv(4, (3, 3), name="inner")(x), train=train))
        return x.mean(axis=(1, 2)), {"early": x}


def test_a_stage_named_otherwise_than_its_convolution():
    model, shape = Named(), (8, 8, 3)
    variables = model.init(jax.random.key(0), jnp.zeros((1, *shape)), train=False)
    assert find_convolution(model, variables, shape, "early").path == "inner"
    assert [c.image for c in convolutions(model, variables, shape).values()] == [True, False]


def test_absent_connections_are_zero():
    model, variables, shape = made("lenet5", (32, 32, 1))
    found = convolutions(model, variables, shape)["C3"]
    images = np.random.default_rng(3).normal(size=(1, *shape)).astype(np.float32)
    _, features = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, images)
    made_of_it = conv2d(features["S2"], found.kernel, variables["params"]["C3"]["bias"])
    np.testing.assert_allclose(scaled_tanh(made_of_it), features["C3"], rtol=1e-4, atol=1e-5)
    assert (found.kernel == 0).all(axis=(0, 1)).sum() == 6 * 16 - 60  # table I of LeCun et al. 1998 has 60


def test_each_filter_alone_and_zero_is_grey():
    filters = np.array([[-4.0, 0, 2], [0.01, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(normalised(filters), [[0, 0.5, 0.75], [1, 0.5, 0.5], [0.5, 0.5, 0.5]])


def test_tiles_lie_row_by_row():
    tiles = np.arange(5.0).reshape(5, 1, 1)
    np.testing.assert_array_equal(mosaic(tiles, 3), [[0, 1, 2], [3, 4, 1]])
    big = mosaic(np.zeros((3, 12, 12)), 2)  # each enlarged to 24 pixels, lines of 2 between
    assert big.shape == (50, 50)
    expected = np.zeros((50, 50))
    expected[24:26], expected[:, 24:26], expected[26:, 26:] = 1, 1, 1
    np.testing.assert_array_equal(big, expected)
    assert strongest([3, 9, 1, 9], 2).tolist() == [1, 3]


def kernel_of(*shape):
    return np.random.default_rng(4).normal(size=shape).astype(np.float32)


def test_the_first_layer_is_drawn_tower_by_tower():
    kernel = kernel_of(24, 24, 3, 8)
    figure = draw_filters(Convolution("conv1", kernel, 1, True), name="net conv1", towers=2)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "net conv1: 8 filters of 24x24x3, tower 1: 0 to 3",
        "net conv1: 8 filters of 24x24x3, tower 2: 4 to 7",
    ]
    shown = np.asarray(figure.axes[1].images[0].get_array())
    np.testing.assert_allclose(shown[:24, 26:50], 0.5 + kernel[..., 5] / np.abs(kernel[..., 5]).max() / 2, rtol=1e-5)


def test_a_deeper_layer_is_a_grid_of_the_strongest():
    kernel = kernel_of(24, 24, 5, 6)
    kernel[..., 4] *= 10
    kernel[..., 1] *= 5
    kernel[:, :, 3] *= 20
    figure = draw_filters(Convolution("c", kernel, 2, False), name="net c", filters=1, channels=2)
    first, second = figure.axes  # groups: filters 0 to 2 see channels 0 to 4, filters 3 to 5 channels 5 to 9
    assert [label.get_text() for label in first.get_yticklabels()] == ["1"]
    assert [label.get_text() for label in second.get_yticklabels()] == ["4"]
    assert "8" in [label.get_text() for label in second.get_xticklabels()]
    place = [label.get_text() for label in second.get_xticklabels()].index("8")
    shown = np.asarray(second.images[0].get_array())[:24, 26 * place : 26 * place + 24]
    np.testing.assert_allclose(shown, 0.5 + kernel[:, :, 3, 4] / np.abs(kernel[..., 4]).max() / 2, rtol=1e-5)


def test_more_groups_than_are_drawn():
    figure = draw_filters(Convolution("c", kernel_of(1, 1, 2, 15), 5, False), name="net c")
    assert sum(bool(axes.images) for axes in figure.axes) == 4
    assert "4 of 5 groups" in figure.get_suptitle()
