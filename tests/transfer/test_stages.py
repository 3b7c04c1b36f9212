"""Activations by the name of a stage, or of a layer by its module path."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import architectures
from jaxcnn.transfer.stages import read_stage, stage_names


class Twice(nn.Module):
    """y = relu(a x), logits = a y + block(y): layer `a` is called twice, its stage's name is the path of the block."""

    @nn.compact
    def __call__(self, x, *, train):
        a = nn.Dense(4, use_bias=False, name="a")
        features = {"block": nn.relu(a(x.reshape(x.shape[0], -1)))}
        return a(features["block"]) + Block(name="block")(features["block"]), features


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(4, name="inner")(x) ** 2


@pytest.fixture(scope="module")
def network():
    model, images = Twice(), np.random.default_rng(0).normal(size=(3, 2, 2, 1)).astype(np.float32)
    return model, model.init(jax.random.key(1), images, train=False), images


def test_names_are_stages_in_order_then_layers(network):
    model, variables, _ = network
    names = stage_names(model, variables, (2, 2, 1))
    assert list(names) == ["block", "logits", "a[0]", "a[1]", "/block", "block/inner"]
    assert set(names.values()) == {(4,)}
    alexnet = architectures.create("alexnet")
    variables = jax.eval_shape(lambda: alexnet.init(jax.random.key(0), jnp.zeros((1, 227, 227, 3)), train=False))
    names = stage_names(alexnet, variables, (227, 227, 3))
    assert [*names][:4] == ["conv1", "norm1", "pool1", "conv2"] and names["pool5"] == (6, 6, 256)
    assert names["fc7"] == names["/fc7"] == (4096,)


def test_every_name_reads_what_numpy_computes(network):
    model, variables, images = network
    a, inner = variables["params"]["a"]["kernel"], variables["params"]["block"]["inner"]
    first = images.reshape(3, 4) @ a
    block = np.maximum(first, 0)
    within = block @ inner["kernel"] + inner["bias"][None]
    expected = {"block": block, "a[0]": first, "a[1]": block @ a, "/block": within**2, "block/inner": within}
    expected["logits"] = expected["a[1]"] + within**2
    for name in stage_names(model, variables, (2, 2, 1)):
        read = jax.jit(lambda v, x, name=name: read_stage(model, v, x, name))
        np.testing.assert_allclose(read(variables, images), expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_only_what_a_stage_needs_is_computed(network):
    model, variables, images = network
    read = jax.jit(lambda v, x: read_stage(model, v, x, "a[0]"))
    assert read.lower(variables, images).compile().as_text().count("dot(") == 1


def test_a_wrong_name_lists_the_stages(network):
    with pytest.raises(ValueError, match=r"no stage or layer 'blok'\. Did you mean 'block'.*Stages: block, logits\. L"):
        read_stage(*network, "blok")
