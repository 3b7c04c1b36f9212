"""The networks for faces: their stages, weights that are shared or not, and the smallest images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tracing import count, shapes

from jaxcnn.architectures import CLAIMS, create


def test_stages_are_those_of_the_tables():
    (_, features), variables = shapes(create("deepface_small"), (112, 92, 1))
    assert {name: feature.shape[1:] for name, feature in features.items()} == {
        "C1": (108, 88, 16), "M2": (53, 43, 16), "C3": (25, 20, 16), "L4": (23, 18, 16), "L5": (11, 8, 16),
        "L6": (9, 6, 16), "F7": (128,),
    }  # fmt: skip
    assert variables["params"]["L4"]["kernel"].shape == (23, 18, 3, 3, 16, 16)
    (_, features), _ = shapes(create("som_cnn"), (112, 92, 1))
    assert {name: feature.shape[1:] for name, feature in features.items()} == {
        "window": (28, 23, 3), "conv1": (26, 21, 20), "sub2": (13, 10, 20), "conv3": (11, 8, 25), "sub4": (5, 4, 25),
    }  # fmt: skip


def test_shared_weights_are_fewer():
    (_, features), variables = shapes(create("deepface_small", local=False), (112, 92, 1))
    assert features["L6"].shape == (2, 9, 6, 16) and variables["params"]["L4"]["kernel"].shape == (3, 3, 16, 16)
    own = sum(places * (9 * 16 * 16 + 16) for places in (23 * 18, 11 * 8, 9 * 6))
    assert count(variables["params"]) == CLAIMS["deepface_small"].parameters - own + 3 * (9 * 16 * 16 + 16)


def test_a_place_has_weights_of_its_own(draw):
    model = create("deepface_small", width=2, hidden=3, num_classes=2)
    variables = draw(model, (55, 55, 1))
    kernel = np.array(variables["params"]["L4"]["kernel"])
    kernel[2, 3] += 1.0
    changed = {"params": {**variables["params"], "L4": {**variables["params"]["L4"], "kernel": jnp.asarray(kernel)}}}
    image = np.random.default_rng(0).normal(size=(1, 55, 55, 1)).astype(np.float32)
    run = jax.jit(lambda v: model.apply(v, image, train=False)[1]["L4"])
    moved = np.asarray(run(changed) != run(variables)).any(axis=(0, 3))
    assert moved[2, 3] and moved.sum() == 1


@pytest.mark.parametrize(("name", "least"), [("deepface_small", 47), ("som_cnn", 39)])
def test_the_smallest_image(name, least):
    assert shapes(create(name), (least, least, 1))[0][0].shape == (2, 40)
    with pytest.raises(ValueError, match=f"{name} needs images of at least {least}x{least}, got"):
        shapes(create(name), (least - 1, 60, 1))
