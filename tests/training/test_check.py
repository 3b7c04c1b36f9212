"""The teacher's checks pass for sound networks and fail for broken ones."""

import math

import pytest

from jaxcnn import default_config, teacher_checks

NETS = """
import flax.linen as nn
import jax
import jax.numpy as jnp

class Loud(nn.Module):
    '''Sure of itself before it has seen anything.'''
    num_classes: int = 10

    @nn.compact
    def __call__(self, x, *, train: bool):
        x = x.reshape(x.shape[0], -1)
        return nn.Dense(self.num_classes, kernel_init=nn.initializers.normal(10.0))(x), {}

class Deaf(nn.Module):
    '''Never looks at the image.'''
    num_classes: int = 10

    @nn.compact
    def __call__(self, x, *, train: bool):
        return nn.Dense(self.num_classes)(jnp.zeros((x.shape[0], 4))), {}

def loss(logits, targets):
    return jnp.sum((logits - targets) ** 2, axis=-1)
"""


def checks(model, **changes):
    config = default_config()
    config.data.name, config.model.name = "digits", model
    config.update_from_flattened_dict(changes)
    lines = []
    chance, regularisation, overfit = teacher_checks(config, line=lines.append)
    for row, line in zip((chance, regularisation, overfit), lines, strict=True):
        assert line.startswith(row["check"]) and row["detail"] in line
    return chance["passed"], regularisation["passed"], overfit["passed"]


def test_lenet_passes():
    assert checks("lenet5_common") == (True, True, True)


@pytest.fixture(scope="module")
def resnet():
    return checks("resnet20", **{"data.image_size": (16, 16)})


@pytest.mark.long
def test_resnet_learns(resnet):
    assert resnet[1:] == (True, True)


@pytest.mark.long
def test_resnet_starts_at_chance(resnet):
    assert resnet[0] is True


@pytest.mark.long
def test_augmentation_sampler_dropout_and_smoothing_do_not_count(tiny_config):
    config = tiny_config({"augment.pad_crop": 4, "augment.flip": True, "loss.label_smoothing": 0.5})
    config.model.options.update({"widths": (16,), "hidden": (64,)})
    config.sampler.name, config.model.dropout = "identities", 0.9
    config.sampler.options.update({"identities": 8, "images": 4})
    assert [row["passed"] for row in teacher_checks(config, line=lambda _: None)][2]


@pytest.fixture
def nets(user_package):
    user_package("jaxcnn_test_nets", NETS)
    return "jaxcnn_test_nets"


def test_a_huge_head_is_not_at_chance(nets):
    assert checks(f"{nets}:Loud", **{"data.image_size": (8, 8)})[0] is False


def test_a_network_that_cannot_learn_overfits_nothing(nets):
    config = default_config()
    config.model.name, config.data.image_size = f"{nets}:Deaf", (8, 8)
    chance, _, overfit = teacher_checks(config, line=lambda _: None)
    assert (chance["passed"], overfit["passed"]) == (True, False)
    assert f"{math.log(10):.4f} before" in chance["detail"]  # equal logits: exactly chance
    assert "after 400 steps" in overfit["detail"]


def test_chance_is_no_check_of_another_loss(nets):
    assert checks(f"{nets}:Loud", **{"data.image_size": (8, 8), "loss.name": f"{nets}:loss"})[0] is None
