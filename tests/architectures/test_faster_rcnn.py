"""Faster R-CNN by its shapes: parts fit each other on any backbone. Nothing is compiled."""

import jax
import jax.numpy as jnp
import pytest
from tracing import count, shapes

from jaxcnn.architectures import create

SMALL = {"backbone": "convnet", "backbone_options": {"widths": (4, 6, 8), "hidden": (5,)}, "stage": "conv3_2"}
SMALL |= {"scales": (8, 16), "ratios": (1,), "rpn_width": 7, "hidden": (9,), "size": 3, "pooling": "align"}


def parts(model, size, boxes=5):
    """The shapes of (map, anchors, RPN's scores and offsets, region's logits and offsets) of two images."""
    x, regions = jnp.zeros((2, *size)), jnp.zeros((2, boxes, 4))

    def run(module, x, regions):
        maps, _ = module.maps(x, train=False)
        found = module.propose(maps), module.classify(maps, regions, image=size[:2], train=False)
        return maps, module.anchors(maps, image=size[:2]), *found[0], *found[1]

    _, variables = shapes(model, size)
    return [part.shape for part in jax.eval_shape(lambda v: model.apply(v, x, regions, method=run), variables)]


def test_the_parts_fit_each_other():
    model = create("faster_rcnn", num_classes=3, **SMALL)
    found = parts(model, (32, 48, 3))
    assert found == [(2, 8, 12, 8), (192, 4), (2, 192), (2, 192, 4), (2, 5, 4), (2, 5, 3, 4)]
    _, variables = shapes(model, (32, 48, 3))
    assert set(variables["params"]) == {"trunk", "rpn_conv", "rpn_score", "rpn_offsets", "fc6", "classes", "offsets"}
    assert variables["params"]["fc6"]["kernel"].shape == (3 * 3 * 8, 9)
    # of the trunk neither the hidden full connection nor the output has parameters
    assert set(variables["params"]["trunk"]) == {f"conv{i}_{j}" for i in (1, 2, 3) for j in (1, 2)}


@pytest.mark.parametrize(
    ("backbone", "stage", "stride"), [("vgg_a", "conv5_2", 16), ("zfnet", "conv5", 16), ("resnet18", "conv4_x", 16)]
)
def test_any_architecture_is_a_backbone_up_to_a_stage(backbone, stage, stride):
    model = create("faster_rcnn", **{**SMALL, "backbone": backbone, "stage": stage, "backbone_options": {}})
    maps, anchors, *_ = parts(model, (192, 256, 3))
    assert abs(maps[1] - 192 / stride) <= 1 and anchors[0] == 2 * maps[1] * maps[2]


def test_options_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"unknown stage 'conv9_9'; .*conv3_2"):
        shapes(create("faster_rcnn", **{**SMALL, "stage": "conv9_9"}), (32, 32, 3))
    with pytest.raises(ValueError, match="unknown pooling 'max'; known: align, pool"):
        shapes(create("faster_rcnn", **{**SMALL, "pooling": "max"}), (32, 32, 3))


def test_the_network_of_the_paper_has_its_number_of_parameters():
    """The trunk of VGG D, the RPN of 512 channels and 9 anchors, and the head: 20 classes."""
    _, variables = shapes(create("faster_rcnn"), (224, 224, 3))
    own = {name: count(part) for name, part in variables["params"].items()}
    assert own["trunk"] == 14_714_688 and own["rpn_conv"] + own["rpn_score"] + own["rpn_offsets"] == 2_382_893
    assert own["fc6"] + own["fc7"] + own["classes"] + own["offsets"] == 119_959_653
