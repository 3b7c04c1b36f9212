"""Refusals of set_up before anything is compiled: slices, losses and networks that would train to the wrong thing."""

import re

import jax
import pytest

from jaxcnn import train
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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"augment.pad_crop": 8}, r"pad_crop is 8, but the images are 8x8: .* less than a side"),
        ({"data.image_size": (100_000, 100_000)}, r"image_size is \(100000, 100000\): .* 2,384 GiB, and this machine"),
        ({"data.resize": 10**7}, r"resize is 10000000: one image would take .* GiB"),
        ({"schedule.warmup": "21 steps"}, r"warmup is '21 steps', 21 steps, but the run has 20 .*never reach"),
        ({"schedule.warmup": "1 epoch"}, r"warmup is '1 epoch', 40 steps, but the run has 20 "),
        ({"schedule.boundaries": ("2 epochs", "9 steps")}, r"are the steps 81, 9; each is later"),
        ({"duration": "1000000000 epochs"}, r"duration is '1000000000 epochs', \d+ steps; .*at most 2147483647"),
        ({"duration": "0 steps"}, r"duration is '0 steps', which is less than one step"),
    ],
)
def test_values_that_do_not_fit_the_run_are_refused(changes, words, refused):
    text = refused(changes)
    assert text.startswith("config.") and re.search(words, text) and "\n" not in text


def test_what_fits_just_so(tiny_config, one_device):
    late = ("30 steps", "1000 epochs")  # a trial shorter than the schedule that it tries
    fits = {"augment.pad_crop": 7, "schedule.warmup": "20 steps", "schedule.boundaries": late}
    set_up(tiny_config(fits), devices=one_device)


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [({"data.workers": 900}, {}, "900, but this machine has"), ({}, {"profile": -1}, "the steps to profile are -1")],
)
def test_what_a_start_refuses_leaves_no_directory(changes, options, words, tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    with pytest.raises(InputError, match=words):
        train(tiny_config(changes), tmp_path / "run", quiet=True, **options)
    assert not (tmp_path / "run").exists()
