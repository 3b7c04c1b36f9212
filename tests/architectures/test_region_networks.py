"""R-CNN and Fast R-CNN by their shapes; Faster R-CNN has its own file. Nothing is compiled."""

import jax
import jax.numpy as jnp
import pytest
from tracing import count, shapes

from jaxcnn.architectures import create

SMALL = {"backbone": "convnet", "backbone_options": {"widths": (4, 6, 8), "hidden": (5,)}, "stage": "conv3_2"}
SMALL |= {"hidden": (9,), "num_classes": 3}
OWN = {"fast_rcnn": {"size": 3}, "rcnn": {"size": 16, "context": 1}}


def answers(model, size):
    """The shapes of (pooled, vectors, logits, offsets) of five regions of two images."""
    x, regions = jnp.zeros((2, *size)), jnp.zeros((2, 5, 4))

    def run(module, x, regions):
        maps, _ = module.maps(x, train=False)
        pooled, vectors = module.describe(maps, regions, image=size[:2], train=False)
        return pooled, vectors, *module.classify(maps, regions, image=size[:2], train=False)

    _, variables = shapes(model, size)
    found = jax.eval_shape(lambda v: model.apply(v, x, regions, method=run), variables)
    return [None if part is None else part.shape for part in found], variables["params"]


def test_fast_rcnn_shares_a_map_and_moves_boxes():
    found, params = answers(create("fast_rcnn", **SMALL, **OWN["fast_rcnn"]), (32, 48, 3))
    assert found == [(2, 5, 3 * 3 * 8), (2, 5, 9), (2, 5, 4), (2, 5, 3, 4)]
    assert set(params) == {"trunk", "fc6", "classes", "offsets"}


def test_rcnn_sends_every_region_through_the_trunk():
    found, params = answers(create("rcnn", **SMALL, **OWN["rcnn"]), (32, 48, 3))
    assert found == [(2, 5, 4 * 4 * 8), (2, 5, 9), (2, 5, 4), None]
    assert set(params) == {"trunk", "fc6", "classes"} and params["fc6"]["kernel"].shape == (4 * 4 * 8, 9)


@pytest.mark.parametrize("name", OWN)
def test_a_whole_image_is_a_region(name):
    (logits, features), _ = shapes(create(name, **SMALL, **OWN[name]), (32, 48, 3))
    assert logits.shape == (2, 4) and features["region"].shape == (2, 9) and "rpn_score" not in features
    with pytest.raises(ValueError, match="unknown stage 'conv9_9'"):
        shapes(create(name, **{**SMALL, "stage": "conv9_9"}, **OWN[name]), (32, 48, 3))


@pytest.mark.parametrize(("name", "size", "parameters"), [("fast_rcnn", 224, 134_674_341), ("rcnn", 227, 56_954_261)])
def test_the_networks_of_the_papers_have_their_number_of_parameters(name, size, parameters):
    """VGG D's convolutions, fc6 of 7 x 7 x 512, fc7, 21 classes and 80 offsets; AlexNet's, fc6 of 6 x 6 x 256."""
    parts = {
        "fast_rcnn": (14_714_688, 7 * 7 * 512 * 4096 + 4096, 4096 * 4096 + 4096, 4097 * 21, 4097 * 80),
        "rcnn": (2_334_080, 6 * 6 * 256 * 4096 + 4096, 4096 * 4096 + 4096, 4097 * 21),
    }
    _, variables = shapes(create(name), (size, size, 3))
    assert count(variables["params"]) == sum(parts[name]) == parameters
