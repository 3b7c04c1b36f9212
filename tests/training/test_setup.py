"""What set_up refuses before anything is compiled: slices, losses and networks that would train to the wrong thing."""

import jax
import pytest

from jaxcnn.errors import InputError
from jaxcnn.training.setup import set_up

OWN = """
import flax.linen as nn
import jax.numpy as jnp
import optax
from jaxcnn.operators import Dropout


def kept(logits, targets):
    return optax.softmax_cross_entropy(logits, targets)[:, None]


def mean(logits, targets):
    return optax.softmax_cross_entropy(logits, targets).mean()


class Net(nn.Module):
    num_classes: int = 10
    flax_rate: float = 0.0
    ours: bool = False

    @nn.compact
    def __call__(self, x, *, train: bool):
        x = nn.Dropout(self.flax_rate, deterministic=not train, name="drop")(x.reshape(len(x), -1))
        if self.ours:
            x = Dropout(0.5)(x, train=train)
        return nn.Dense(self.num_classes)(x), {}


class Rated(Net):
    dropout_rate: float = 0.0
"""


@pytest.fixture
def refused(tiny_config, one_device):
    def call(changes):
        with pytest.raises(InputError) as caught:
            set_up(tiny_config(changes), devices=one_device)
        return str(caught.value)

    return call


@pytest.fixture
def own(user_package):
    user_package("jaxcnn_test_setup", OWN)
    return "jaxcnn_test_setup"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"data.train": "train"}, "config.data.validation 'train[90%:]'"),
        ({"data.train": "train[:91%]"}, "config.data.validation 'train[90%:]'"),
        ({"data.validation": "test[:10%]+train[5:6]"}, "config.data.validation 'test[:10%]+train[5:6]'"),
        ({"data.test": "train[:3]"}, "config.data.test 'train[:3]'"),
    ],
)
def test_held_out_images_are_not_trained_on(changes, key, refused):
    assert f"{key}: they share images of 'train'" in refused(changes)


def test_slices_that_lie_apart(tiny_config, one_device):
    slices = {"data.train": "train[:50%]", "data.validation": "train[50%:]", "data.test": "test[:50%]+test[60%:]"}
    assert set_up(tiny_config(slices), devices=one_device).about_data["records"] == {
        "train": 718,
        "validation": 719,
        "test": 324,
    }


def test_a_loss_has_a_value_for_each_image(refused, own):
    assert f"{own}:kept gives (2, 1) for logits and targets (2, 10)" in refused({"loss.name": f"{own}:kept"})
    assert f"{own}:mean gives ()" in refused({"loss.name": f"{own}:mean"})


def test_a_mask_of_the_device_is_refused_and_ours_is_not(tiny_config, refused, own, one_device):
    def changes(name, **options):
        return {"model.name": f"{own}:{name}", "model.options": options}

    words = "drop is flax.linen.Dropout, which draws one mask a device; jaxcnn.operators.Dropout"
    assert words in refused(changes("Net", flax_rate=0.5))
    assert words in refused(changes("Rated"))  # its rate is traced: Flax could not even ask whether it is 0
    set_up(tiny_config(changes("Net", ours=True)), devices=one_device)


def test_an_option_of_the_wrong_kind(refused):
    assert "architecture convnet does not fit" in (text := refused({"model.options": {"widths": 3}}))
    assert "an option of it is of the wrong kind" in text


@pytest.mark.parametrize(("log_every", "steps"), [(5, 5), (50, 20)])
def test_on_an_accelerator_a_call_ends_where_the_log_does(log_every, steps, tiny_config, one_device, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert set_up(tiny_config({"log_every": log_every}), devices=one_device).config.steps_per_call == steps
