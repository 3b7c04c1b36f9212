"""Class activation maps and grad-CAM: against NumPy, against each other, and what they refuse."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import architectures
from jaxcnn.evaluation.inference import Inference
from jaxcnn.operators import Conv, global_average_pool
from jaxcnn.visualize.cam import (
    class_activation_map,
    class_gradients,
    class_maps,
    grad_cam,
    last_convolution,
    pooled_head,
)

SHAPE = (6, 5, 3)


class Pooled(nn.Module):
    """conv, relu, mean over the image, `between`, linear."""

    between: str = ""

    @nn.compact
    def __call__(self, x, *, train):
        maps = nn.relu(nn.Conv(7, (3, 3), name="conv")(x))
        mean = maps.mean(axis=(1, 2))
        mean = jnp.tanh(5 * mean) if self.between == "tanh" else mean
        unread = nn.Conv(2, (1, 1), name="beside")(maps)
        return nn.Dense(4, name="fc")(mean), {"conv": maps, "beside": unread, "mean": mean}


class Deep(nn.Module):
    """A stage in the middle, a relu and a flattened linear layer after it."""

    @nn.compact
    def __call__(self, x, *, train):
        middle = jnp.tanh(nn.Conv(5, (3, 3), name="first")(x))
        last = nn.relu(nn.Conv(3, (3, 3), name="second")(middle))
        return nn.Dense(4, name="fc")(last.reshape(len(x), -1)), {"middle": middle, "last": last}


def made(model):
    images = np.random.default_rng(0).integers(0, 256, (3, *SHAPE), dtype=np.uint8)
    variables = model.init(jax.random.key(1), np.zeros((1, *SHAPE), np.float32), train=False)
    variables["params"]["fc"]["bias"] = jnp.arange(4.0)
    options = {"mean": np.zeros(3, np.float32), "std": np.ones(3, np.float32), "shape": SHAPE}
    return Inference(model, variables, classes=tuple("abcd"), **options), images


@pytest.fixture(scope="module")
def pooled():
    return made(Pooled())


def test_the_formulas_in_numpy():
    draw = np.random.default_rng(2)
    maps, gradients = draw.normal(size=(2, 4, 3, 5)), draw.normal(size=(2, 4, 3, 5))
    weights = draw.normal(size=(2, 5))
    expected = np.zeros((2, 4, 3))
    for n, k in np.ndindex(2, 5):
        expected[n] += weights[n, k] * maps[n, ..., k]
    np.testing.assert_allclose(class_activation_map(maps, weights), expected, rtol=1e-5, atol=1e-6)
    expected[:] = 0
    for n, k in np.ndindex(2, 5):
        expected[n] += gradients[n, ..., k].sum() / 12 * maps[n, ..., k]
    assert (expected < 0).any() and (expected > 0).any()
    np.testing.assert_allclose(grad_cam(maps, gradients), np.maximum(expected, 0), rtol=1e-5, atol=1e-6)


def test_both_agree_where_both_apply(pooled):
    network, images = pooled
    classes = np.array([0, 3, 1])
    cam = class_maps(network, images, classes, method="cam")
    grad = class_maps(network, images, classes)
    assert (cam < 0).any() and grad.max() > 0
    np.testing.assert_allclose(grad, np.maximum(cam, 0) / (6 * 5), rtol=1e-4, atol=1e-7)
    logits, _ = network.model.apply(network.variables, images / np.float32(255), train=False)
    np.testing.assert_allclose(cam.mean(axis=(1, 2)) + classes, np.asarray(logits)[range(3), classes], rtol=1e-4)


def test_the_gradient_is_that_of_what_follows_the_stage():
    network, images = made(Deep())
    images, params = images / np.float32(255), network.variables["params"]
    classes = jnp.array([2, 0, 1])
    maps, found = class_gradients(network.model, network.variables, images, "middle", classes)

    def rest(maps):
        last = nn.relu(nn.Conv(3, (3, 3)).apply({"params": params["second"]}, maps))
        logits = last.reshape(3, -1) @ params["fc"]["kernel"]
        return logits[0, 2] + logits[1, 0] + logits[2, 1]

    np.testing.assert_allclose(found, jax.grad(rest)(maps), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(maps, jnp.tanh(nn.Conv(5, (3, 3)).apply({"params": params["first"]}, images)), rtol=1e-5)


@pytest.mark.parametrize(
    ("stage", "words"),
    [("cnov", "did you mean 'conv'"), ("mean", "unknown map 'mean'"), ("beside", "do not depend on stage 'beside'")],
)
def test_stages_that_cannot_be(pooled, stage, words):
    network, images = pooled
    with pytest.raises(ValueError, match=words):
        class_maps(network, images, np.zeros(3, int), stage=stage)


def test_networks_without_the_head(pooled):
    network, images = made(Deep())
    with pytest.raises(ValueError, match="need a head of global average pooling"):
        class_maps(network, images, np.zeros(3, int), method="cam")
    network, images = made(Pooled("tanh"))
    with pytest.raises(ValueError, match="does more"):
        class_maps(network, images, np.zeros(3, int), method="cam")


def shapes_of(name, shape):
    model = architectures.create(name)
    images = jnp.zeros((1, *shape))
    return model, jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False)), shape


@pytest.mark.parametrize(
    ("name", "shape", "stage"),
    [
        ("lenet5_common", (32, 32, 1), "C3"),  # C5 is one place
        ("vgg_a_small", (32, 32, 3), "conv5_2"),
        ("resnet20", (32, 32, 3), "stage3"),
        ("googlenet_small", (32, 32, 3), None),
    ],
)
def test_the_last_convolution(name, shape, stage):
    model, variables, shape = shapes_of(name, shape)
    found = last_convolution(model, variables, shape)
    if stage is None:  # the map that its average takes
        stage = pooled_head(model, variables, shape)[0]
    assert found == stage


def test_heads_of_the_papers():
    stage, weights, bias = pooled_head(*shapes_of("resnet20", (32, 32, 3)))
    assert (stage, weights.shape, bias.shape) == ("stage3", (64, 10), (10,))
    stage, weights, bias = pooled_head(*shapes_of("nin_cifar", (32, 32, 3)))  # a map for each class
    np.testing.assert_array_equal(weights, np.eye(10))
    assert stage == "cccp6" and not bias.any()
    stage, weights, bias = pooled_head(*shapes_of("densenet_40_12", (32, 32, 3)))
    assert (stage, weights.shape, bias.shape) == ("last_norm", (448, 10), (10,))


def test_a_map_that_is_no_stage_cannot_be_shown():
    class Unnamed(nn.Module):
        @nn.compact
        def __call__(self, x, *, train: bool):
            x = nn.relu(Conv(4, 3, name="conv")(x))
            return nn.Dense(2, name="fc")(global_average_pool(x)), {}

    images = jnp.zeros((1, 8, 8, 3))
    variables = Unnamed().init(jax.random.key(0), images, train=False)
    with pytest.raises(ValueError, match="of conv, are not among the stages"):
        pooled_head(Unnamed(), variables, (8, 8, 3))


@pytest.mark.long
def test_the_last_stage_of_nin_in_bfloat16():
    model = architectures.create("nin_cifar", dtype=jnp.bfloat16)
    images = jnp.zeros((1, 32, 32, 3))
    variables = model.init(jax.random.key(0), images, train=False)
    maps, gradients = class_gradients(model, variables, images, "cccp6", jnp.array([3]))
    np.testing.assert_allclose(gradients[0, :, :, 3], 1 / 64)  # the mean of its own 8x8 map
    assert maps.shape == gradients.shape and not gradients[..., 0].any()
