"""Units: what they see, where they are strongest, what is projected, and what a covered part of the image changes."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.analysis.backward import RULES
from jaxcnn.analysis.occlusion import BATCH, occlude
from jaxcnn.analysis.strongest import find_strongest
from jaxcnn.analysis.units import (
    Box,
    cut,
    effective_field,
    field_box,
    find_unit,
    maps,
    network_stages,
    project,
    saliency,
    strongest,
    support,
)
from jaxcnn.operators import Conv, local_response_norm, max_pool, relu

SHAPE = (23, 20, 2)


class Net(nn.Module):
    """A stride, paddings, an overlapping pooling that rounds up, a branch, a normalisation, and a full connection."""

    @nn.compact
    def __call__(self, x, *, train: bool):
        features = {}
        x = features["conv1"] = relu(Conv(4, 5, stride=2, padding=1, name="conv1")(x))  # 11 x 9
        x = features["pool1"] = max_pool(x, window=3, stride=2, ceil=True)  # 5 x 4
        x = local_response_norm(x)
        x = features["conv2"] = relu(Conv(5, 3, padding=1, name="conv2")(x) + Conv(5, 1, name="shortcut")(x))
        x = features["fc"] = relu(nn.Dense(6, name="fc")(x.reshape(x.shape[0], -1)))
        return nn.Dense(3, name="output")(x), features


@pytest.fixture(scope="module")
def net():
    """(network, stages): the weights are drawn, so that no pixel of a field has no weight."""
    model, generator = Net(), np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *SHAPE)), train=False))
    variables = jax.tree.map(lambda s: jnp.asarray(generator.normal(size=s.shape), s.dtype), shapes)

    def network(images):
        logits, features = model.apply(variables, images, train=False)
        return {**features, "logits": logits}

    return network, network_stages(model, variables, SHAPE)


def test_the_stages_are_those_of_the_network_in_order(net):
    sizes = {name: stage.shape for name, stage in net[1].items()}
    assert list(sizes.items()) == [
        ("conv1", (11, 9, 4)),
        ("pool1", (5, 4, 4)),
        ("conv2", (5, 4, 5)),
        ("fc", (1, 1, 6)),
        ("logits", (1, 1, 3)),
    ]


def by_hand(stage, place):
    """conv1 sees 5 pixels at steps of 2 from -1; a pool1 3 of those at steps of 2; a conv2 3, from one before."""
    first, step, size = {"conv1": (-1, 2, 5), "pool1": (-1, 4, 9), "conv2": (-5, 4, 17)}[stage]
    return Box(*(first + step * at for at in place), size, size)


@pytest.mark.parametrize("stage", ["conv1", "pool1", "conv2"])
def test_a_projection_is_zero_outside_its_field_and_not_inside(net, stage):
    network, stages = net
    images = jnp.asarray(np.random.default_rng(1).normal(size=(40, *SHAPE)), jnp.float32)
    rows, columns, units = stages[stage].shape
    run = jax.jit(functools.partial(project, network), static_argnums=1, static_argnames="rule")
    for place in ((0, 0), (rows // 2, columns // 2), (rows - 1, columns - 1)):
        box = field_box(stages[stage].field, place)
        assert box == by_hand(stage, place)
        inside = np.zeros(SHAPE[:2], bool)
        inside[max(box.top, 0) : box.top + box.height, max(box.left, 0) : box.left + box.width] = True
        at, channels = jnp.broadcast_to(jnp.array(place), (40, 2)), jnp.arange(40) % units
        for rule in RULES:
            found = np.asarray(run(images, stage, channels, at, rule=rule))
            assert not np.any(found[:, ~inside])
            assert np.all(np.any(found != 0, axis=(0, 3)) == inside), "no pixel of the field is left out in all images"


def test_a_projection_is_the_derivative_of_its_unit_alone(net):
    network, _ = net
    images = jnp.asarray(np.random.default_rng(2).normal(size=(2, *SHAPE)), jnp.float32)
    for stage, places in (("conv2", [[1, 2], [4, 0]]), ("logits", [[0, 0], [0, 0]])):
        answers = maps(network(images)[stage])
        (a, b), (c, d) = places
        first, second = (int(answers[n, *place].argmax()) for n, place in enumerate(places))  # a closed relu has none

        @jax.jit
        def both(images, stage=stage, places=places, one=(0, a, b, first), other=(1, c, d, second)):
            found = project(network, images, stage, jnp.array([one[3], other[3]]), jnp.array(places), rule="gradient")
            answers = lambda x: maps(network(x)[stage])  # noqa: E731
            return found, jax.grad(lambda x: answers(x)[one] + answers(x)[other])(images)

        found, expected = both(images)
        assert np.any(found[0]) and np.any(found[1])
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_unit_that_is_not_there_lists_what_there_is(net):
    _, stages = net
    assert find_unit(stages, "conv2", 4, (4, 3)).name == "conv2"
    with pytest.raises(ValueError, match=r"unknown stage 'conv3'; did you mean .*; known: conv1, conv2, fc, logits, p"):
        find_unit(stages, "conv3", 0)
    for channel in (5, -1):
        with pytest.raises(ValueError, match=rf"stage conv2 has units 0 to 4, no {channel}"):
            find_unit(stages, "conv2", channel)
    for place in ((5, 0), (0, 4), (-1, 0)):
        with pytest.raises(ValueError, match=r"maps of stage conv2 are 5x4, counted from 0: no place"):
            find_unit(stages, "conv2", 0, place)


def test_a_patch_is_filled_where_there_is_no_image():
    image = np.arange(12).reshape(3, 4, 1)
    assert cut(image, Box(1, 1, 2, 2), fill=-1)[..., 0].tolist() == [[5, 6], [9, 10]]
    assert cut(image, Box(-1, 2, 3, 4), fill=-1)[..., 0].tolist() == [[-1] * 4, [2, 3, -1, -1], [6, 7, -1, -1]]
    assert np.all(cut(image, Box(-4, 0, 2, 2), fill=-1) == -1) and np.all(cut(image, Box(3, 9, 2, 2), fill=-1) == -1)


def test_the_strongest_place_and_saliency_by_hand():
    activations = jnp.array([[[[1.0, 5.0], [7.0, 5.0]], [[7.0, 0.0], [3.0, 2.0]]]])
    values, places = strongest(activations)
    assert values.tolist() == [[7, 5]] and places.tolist() == [[[0, 1], [0, 0]]]
    assert saliency(jnp.array([[[1.0, -3.0, 2.0]], [[0.0, 0.5, 0.0]]])).tolist() == [[3], [0.5]]
    assert support(np.array([[0, 0, 0], [0, 0, -1.0], [0, 2.0, 0]])) == Box(1, 1, 2, 2)
    assert support(np.zeros((2, 2))) is None


def test_the_strongest_images_of_a_stream_are_those_of_all_at_once():
    generator = np.random.default_rng(3)
    values = generator.integers(0, 9, size=(50, 4)).astype(np.float32)  # many are equal
    values[7], places = np.nan, generator.integers(0, 9, size=(50, 4, 2))

    def stream(size):
        for i in range(0, 50, size):
            yield np.arange(50)[i : i + size], values[i : i + size], places[i : i + size]

    found = find_strongest(stream(8), count=9)
    for unit in range(4):
        order = sorted(set(range(50)) - {7}, key=lambda n, u=unit: (-values[n, u], n))[:9]
        assert found.images[unit].tolist() == order
        np.testing.assert_array_equal(found.values[unit], values[order, unit])
        np.testing.assert_array_equal(found.places[unit], places[order, unit])
    assert find_strongest(stream(50), count=99).images.shape == (4, 50)
    with pytest.raises(ValueError, match="no image"):
        find_strongest(iter(()))


def test_the_effective_field_of_a_linear_unit_is_its_filter():
    kernel = jnp.asarray(np.random.default_rng(4).normal(size=(3, 3, 2, 2)), jnp.float32)

    def network(x):
        names = ("NHWC", "HWIO", "NHWC")
        return {"conv": jax.lax.conv_general_dilated(x, kernel, (2, 2), "VALID", dimension_numbers=names)}

    found = effective_field(network, jnp.zeros((3, 9, 9, 2)), "conv", 1, (1, 2))
    expected = np.zeros((9, 9))
    expected[2:5, 4:7] = np.abs(kernel[..., 1]).sum(axis=2)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def answer(images):
    """The probability of class 1 is the pixel (2, 3); map 0 is the sum of column 0, map 1 that of the whole image."""
    assert images.shape == (BATCH, 6, 7, 1)
    pixel = images[:, 2, 3]
    return np.concatenate([1 - pixel, pixel], axis=1), np.stack([images[:, :, 0].sum((1, 2)), images.sum((1, 2, 3))], 1)


def test_occlusion_covers_every_place_with_a_square_of_its_size():
    image = np.ones((6, 7, 1), np.float32)
    found = occlude(answer, image, label=1, size=3, stride=2, grey=0.25)
    rows, columns = np.array([1, 3, 5]), np.array([1, 3, 5, 6])  # the last would be 7, outside
    covers = (np.abs(rows[:, None] - 2) <= 1) & (np.abs(columns - 3) <= 1)[None]
    np.testing.assert_array_equal(found.probability, np.where(covers, 0.25, 1))
    np.testing.assert_array_equal(found.predicted, np.where(covers, 0, 1))
    heights, widths = np.array([3, 3, 2]), np.array([3, 3, 3, 2])
    assert found.channel == 1 and found.whole == (1, 1, 42)
    np.testing.assert_allclose(found.total, 42 - 0.75 * heights[:, None] * widths[None], rtol=1e-6)
    whole = occlude(answer, image, label=0, size=1, stride=1)
    assert whole.probability.shape == (6, 7) and np.argwhere(whole.probability).tolist() == [[2, 3]]
    with pytest.raises(ValueError, match="at least 1 pixel, not 0 and 2"):
        occlude(answer, image, label=0, size=0, stride=2)
