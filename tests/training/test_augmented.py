"""Augmentation as part of a run: recipes, crops where the images are, mixing in the step."""

import jax
import numpy as np
import pytest

import jaxcnn
from jaxcnn.augment import RECIPES
from jaxcnn.data import ResizedCrop, ScaledCrop
from jaxcnn.errors import InputError
from jaxcnn.training.setup import set_up
from jaxcnn.training.state import create_state
from jaxcnn.training.step import make_chunk

COLOURS = """
import numpy as np
from jaxcnn.data import Arrays, Records


def load(split, *, data_dir, **options):
    images = np.random.default_rng(0).integers(0, 256, (64, 16, 20, 3), dtype=np.uint8)
    splits = {name: (images, np.arange(64) % 2) for name in ("train", "test")}
    return Records(Arrays("colours", splits, ("a", "b")), split, **options)
"""


@pytest.fixture
def colours(user_package, tiny_config):
    """make(changes): a config of 16x20 colour images, shown at 8x8."""
    user_package("jaxcnn_test_colours", COLOURS)
    return lambda changes=None: tiny_config({"data.name": "jaxcnn_test_colours:load", **(changes or {})})


def test_a_recipe_fills_what_is_not_set(tiny_config):
    augment = set_up(tiny_config({"augment.recipe": "densenet", "augment.crop_area": (0.5, 1.0)})).config.augment
    expected = {**RECIPES["densenet"], "crop_area": (0.5, 1.0)}
    assert {key: augment[key] for key in expected} == expected
    assert set_up(tiny_config({"augment.recipe": "cifar"})).config.augment.pad_crop == 4


def test_a_part_of_a_recipe_is_left_out(tiny_config):
    augment = set_up(tiny_config({"augment.recipe": "cifar", "augment.without": ("flip",)})).config.augment
    assert (augment.pad_crop, augment.flip) == (4, False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"augment.recipe": "resnt"}, "did you mean 'resnet'"),
        ({"augment.recipe": "cifar", "augment.without": ("crop",)}, "of recipe 'cifar': unknown key 'crop'"),
        ({"augment.without": ("flip",)}, "unknown key 'flip'"),
        ({"augment.crop": "resize"}, "config.augment.crop is 'resize'; it is one of none, resized, scaled"),
        ({"augment.crop_area": (0.0, 1.0)}, "config.augment.crop_area is"),
        ({"augment.crop_scale": (0.9, 2.0)}, "config.augment.crop_scale is"),
        ({"augment.operations": (("rotat", 0.5, 10.0),)}, "did you mean 'rotate'"),
        ({"augment.operations": (("rotate", 0.5),)}, "an entry is \\(name, probability, magnitude\\)"),
        ({"augment.operations": (("rotate", 1.5, 10.0),)}, "a probability is from 0 to 1"),
        ({"augment.operations": (("rotate", "0.5", 15.0),)}, "an entry is \\(name, probability, magnitude\\)"),
        ({"augment.operations": (("rotate", 0.5, float("nan")),)}, "an entry is \\(name, probability, magnitude\\)"),
        ({"augment.operations": (("crop_and_pad", 0.5, 0.5),)}, r"crop_and_pad is below 0.5 \(of the side\)"),
        ({"augment.operations": (("shear_x", 1.0, 30),), "augment.magnitude": 3.0}, "magnitude 3; .* is below 90"),
        ({"augment.crop_area": ("0.5", "1")}, "config.augment.crop_area is"),
        ({"augment.operations": (("elastic", 1.0, 1.0, {"sigma": "a"}),)}, "elastic of an image .* is of another kind"),
        ({"augment.operations": (("coarse_salt", 1.0, 0.1, {"cell": 2.5}),)}, r"one of \{'cell': 2.5\} is of another"),
        ({"augment.rand_augment": 2}, "draws from config.augment.operations, which is empty"),
        ({"augment.pca": (1.0,)}, "config.augment.pca has 1 values"),
        ({"augment.mixup": -1.0}, "config.augment.mixup is -1.0"),
        ({"augment.mixup": 1.0, "batch_size": 15}, "mix pairs.* 16 would do"),
        ({"augment.crop": "scaled", "data.mean": "pixel"}, "moves the places; 'channel' fits"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_read(tiny_config, changes, words):
    with pytest.raises(InputError, match=words):
        set_up(tiny_config(changes), devices=jax.devices()[:1])


def test_a_crop_is_cut_where_the_images_are(colours):
    """Images of one size that fit stay whole on the device; streamed ones are cut while they are read."""
    resident = set_up(colours({"augment.crop": "scaled"}))
    assert (resident.train.shape, resident.shape, resident.crop) == ((16, 20, 3), (8, 8, 3), None)
    assert resident.records("test").shape == (8, 8, 3)
    streamed = set_up(colours({"augment.crop": "scaled", "data.resident": "no"}))
    assert (streamed.train.shape, streamed.shape) == ((8, 8, 3), (8, 8, 3))
    assert streamed.crop == ScaledCrop(scale=(256 / 224, 480 / 224))
    streamed = set_up(colours({"augment.crop": "resized", "augment.crop_area": (0.5, 1.0), "data.resident": "no"}))
    assert streamed.crop == ResizedCrop(area=(0.5, 1.0), aspect=(3 / 4, 4 / 3))


@pytest.mark.parametrize("resize", [12, 24], ids=["smaller", "larger"])
def test_crops_on_the_device_come_from_the_whole_image(resize, colours):
    """config.data.resize is of centre crops: a random one is cut from the image as it is stored."""
    setup = set_up(colours({"augment.crop": "resized", "data.resize": resize}))
    stored = np.random.default_rng(0).integers(0, 256, (64, 16, 20, 3), dtype=np.uint8)
    np.testing.assert_array_equal(setup.train.read([0, 1])["image"], stored[:2])


def test_images_of_several_sizes_are_not_resident_and_cropped(tiny_config, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").touch()
    changes = {
        "data.name": f"folder:{tmp_path}",
        "data.train": "train[:1]",
        "data.validation": "train[1:]",
        "data.test": "train[1:]",
    }
    with pytest.raises(InputError, match="differ in size"):
        set_up(tiny_config({**changes, "augment.crop": "resized", "data.resident": "yes"}))


@pytest.mark.parametrize("resident", ["yes", pytest.param("no", marks=pytest.mark.long)])
def test_a_run_with_crops_learns_and_its_network_opens(resident, colours, tmp_path, one_device):
    changes = {"augment.crop": "resized", "augment.crop_area": (0.5, 1.0), "data.resident": resident}
    config = colours({**changes, "duration": "4 steps", "evaluation.every": "4 steps", "checkpoint.every": "4 steps"})
    jaxcnn.train(config, tmp_path / "run", quiet=True, devices=one_device)
    network = jaxcnn.Trained(tmp_path / "run")
    assert network.shape == (8, 8, 3)
    for split in ("train", "test"):
        assert network.evaluate(split)[0].n > 0


def first_step(setup, batch):
    """The metrics of one step on a batch, from the initial state."""
    chunk = setup.replicas.map(make_chunk(setup.train_step(setup.bare_task), steps=1))
    state = setup.replicas.replicate(create_state(setup))
    return chunk(state, {}, setup.replicas.shard({key: value[None] for key, value in batch.items()}))[1]


@pytest.mark.long
def test_mixing_acts_and_does_not_depend_on_the_devices(colours):
    """The same loss on one device and on four: pairs are neighbours, share and box come from the step."""
    losses = {}
    for name, changes in {"off": {}, "mixup": {"augment.mixup": 1.0}, "cutmix": {"augment.cutmix": 1.0}}.items():
        for devices in (1, 4):
            setup = set_up(colours({**changes, "optimizer.learning_rate": 0.0}), devices=jax.devices()[:devices])
            losses[name, devices] = float(first_step(setup, setup.train.read(range(16)))["loss"][0])
    for name in ("off", "mixup", "cutmix"):
        assert losses[name, 4] == pytest.approx(losses[name, 1], rel=1e-5)
    assert len({round(losses[name, 1], 4) for name in ("off", "mixup", "cutmix")}) == 3


def test_an_image_beside_one_that_was_left_out_stays_as_it_is(colours, one_device):
    """A record that could not be read is zeros with a mask of 0: its neighbour's loss is that without mixing."""
    losses = {}
    for name in ("off", "mixup"):
        changes = {"augment.mixup": 1.0 if name == "mixup" else 0.0, "optimizer.learning_rate": 0.0}
        setup = set_up(colours(changes), devices=one_device)
        batch = dict(setup.train.read(range(16)))
        batch["mask"] = np.tile(np.float32([0, 1]), 8)
        batch["image"] = np.where(batch["mask"][:, None, None, None] > 0, batch["image"], 0)
        metrics = first_step(setup, batch)
        losses[name] = float(metrics["loss"][0]), float(metrics["seen"][0])
    assert losses["mixup"] == losses["off"] and losses["off"][1] == 8
