"""Refusals of set_up before anything is compiled: slices, losses and networks that would train to the wrong thing."""

import math
import re

import jax
import pytest
from PIL import Image

from jaxcnn import data, train
from jaxcnn.data.digits import digits
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


def steep(logits, targets, *, power):
    return optax.softmax_cross_entropy(logits, targets) ** power


def stripes(key, image, magnitude, width=2):
    return image * (1 - magnitude * (jnp.arange(image.shape[1]) % width)[None, :, None])


def twice(key, image, magnitude):
    return jnp.concatenate([image, image])


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


class Alone(nn.Module):
    '''It returns no features.'''

    @nn.compact
    def __call__(self, x, *, train: bool):
        return nn.Dense(3)(x)


class Several(nn.Module):
    '''It returns two results.'''

    @nn.compact
    def __call__(self, x, *, train: bool):
        return {"one": nn.Dense(3)(x), "two": x}, {}
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


def test_a_file_that_two_lists_name_is_not_held_out_of_itself(refused, tmp_path):
    """VOC's trainval holds its val, under another name."""
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (tmp_path / folder).mkdir(parents=True)
    for name in "abc":
        Image.new("RGB", (8, 8)).save(tmp_path / "JPEGImages" / f"{name}.png")
        (tmp_path / "Annotations" / f"{name}.xml").write_text("<annotation/>")
    for split, names in {"train": "a", "val": "b", "trainval": "ab", "test": "c"}.items():
        (tmp_path / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(names))
    said = refused({"data.name": f"voc:{tmp_path}", "task.name": "detection", "data.train": "trainval"})
    shared = tmp_path / "JPEGImages" / "b.png"
    assert f"'trainval' and config.data.validation 'val': they share 1 of their images, {shared} among them" in said


def test_slices_that_lie_apart(tiny_config, one_device):
    slices = {"data.train": "train[:50%]", "data.validation": "train[50%:]", "data.test": "test[:50%]+test[60%:]"}
    assert set_up(tiny_config(slices), devices=one_device).about_data["records"] == {
        "train": 718,
        "validation": 719,
        "test": 324,
    }


def test_a_network_that_returns_an_image_has_no_logits(refused):
    text = refused({"model.name": "dncnn", "model.options": {"depth": 2, "width": 1}})
    assert "architecture dncnn returns arrays of shape (2, 8, 8, 1) for 2 images, no logits" in text
    assert "10 classes" in text and "config.task.name" in text


@pytest.mark.parametrize(("task", "what"), [("classification", "logits"), ("reconstruction", "image")])
def test_a_network_returns_an_array_and_features(task, what, refused, own):
    wanted = f"a model returns ({what}, features), {what} an array"
    for name, found in (("Alone", "ShapeDtypeStruct"), ("Several", "(dict, features)")):
        said = refused({"task.name": task, "model.name": f"{own}:{name}", "model.options": {}})
        assert f"{own}:{name} returns {found}; {wanted}" in said


def test_a_loss_has_a_value_for_each_image(refused, own):
    assert f"{own}:kept gives (2, 1) for logits and targets (2, 10)" in refused({"loss.name": f"{own}:kept"})
    assert f"{own}:mean gives ()" in refused({"loss.name": f"{own}:mean"})


@pytest.mark.parametrize(("name", "options", "words"), [
    ("focl", {}, "config.loss.name: unknown loss 'focl'; did you mean 'focal'?; "),
    ("focl", {}, "; one of your own: package.module:attribute"),
    ("focal", {"gama": 1.0}, "config.loss.options: focal takes no option 'gama'; did you mean 'gamma'?; known: gamma"),
    ("focal", {"gamma": -1.0}, "gamma must be 0 or more, got -1.0"),
    ("softmax_cross_entropy", {"gamma": 1.0}, "softmax_cross_entropy takes no option 'gamma'; known: none"),
    ("own:steep", {"powr": 1.0}, "steep takes no option 'powr'; did you mean 'power'"),
    ("own:steep", {}, "missing 1 required keyword-only argument: 'power'"),
])  # fmt: skip
def test_options_of_a_loss_that_it_does_not_take(name, options, words, refused, own):
    assert words in refused({"loss.name": name.replace("own:", f"{own}:"), "loss.options": options})


def test_a_loss_takes_its_options(tiny_config, own, one_device):
    logits, targets = jax.numpy.zeros((2, 10)), jax.numpy.eye(10)[:2]

    def loss(name, **options):
        found = set_up(tiny_config({"loss.name": name, "loss.options": options}), devices=one_device).loss
        return float(found(logits, targets)[0])

    assert loss("focal", gamma=1.0) == pytest.approx(0.9 * math.log(10), rel=1e-6)
    assert loss("rbf_loss", rejection=0.0) == pytest.approx(math.log(11), rel=1e-6)
    assert loss(f"{own}:steep", power=2.0) == pytest.approx(math.log(10) ** 2, rel=1e-6)


@pytest.mark.parametrize(("entry", "words"), [
    (("own:stripes", 0.5, -1.0), "a magnitude is not negative"),
    (("own:stripes", 0.5, 0.5, {"wide": 3}), "stripes takes no option 'wide'; did you mean 'width'?; known: width"),
    (("own:stripes", 0.5, 0.5, 3), "with a dict of options behind them"),
    (("own:twice", 0.5, 0.5), "of an image (8, 8, 1) gives (16, 8, 1); it gives an image of the same shape"),
    (("own:Net", 0.5, 0.5), "is the class Net; it is a function of yours, f(key, image, magnitude) -> image"),
    (("stripes", 0.5, 0.5), "unknown operation 'stripes'"),
    (("rotate", 0.5, 0.5, {"width": 3}), "rotate takes no option 'width'"),
])  # fmt: skip
def test_an_operation_that_cannot_be_is_refused(entry, words, refused, own):
    name, *rest = entry
    assert words in refused({"augment.operations": ((name.replace("own:", f"{own}:"), *rest),)})


def test_an_operation_of_the_users_own(tiny_config, own, one_device):
    operations = ((f"{own}:stripes", 1.0, 0.5, {"width": 3}),)
    augment = set_up(tiny_config({"augment.operations": operations}), devices=one_device).about().augment
    row = augment(jax.random.key(0), jax.numpy.ones((1, 6, 1)), 2.0)[0, :, 0]
    assert row.tolist() == [1, 0, -1, 1, 0, -1]


def test_a_slip_in_an_optimizer_or_a_schedule_is_found_before_anything_is_compiled(refused):
    assert "config.optimizer.options: optax:lion takes no option 'b3'" in refused(
        {"optimizer.name": "optax:lion", "optimizer.options": {"b3": 1.0}}
    )
    late = {"schedule.name": "optax:cosine_decay_schedule", "schedule.options": {"decay_steps": "101%"}}
    assert "config.schedule.options is '101%'; a share of the run is from 0% to 100%" in refused(late)


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


def test_a_data_set_is_opened_once_for_all_its_splits(tiny_config, one_device, monkeypatch):
    opened = []
    monkeypatch.setitem(data.sources.FILES, "counted", lambda path: opened.append(path) or digits())
    changes = {"data.name": "counted:a", "data.train": "train[:80%]", "data.validation": "train[80%:]"}
    set_up(tiny_config(changes), devices=one_device)
    assert len(opened) == 1


def test_data_without_labels_are_not_classified(tiny_config):
    splits = {"data.train": "train[:90%]", "data.validation": "train[90%:]", "data.test": "test"}
    config = tiny_config({"data.name": "copy", "data.image_size": (10, 8), **splits})
    with pytest.raises(InputError, match="classification wants a label of each image, but these data hold text"):
        set_up(config)
