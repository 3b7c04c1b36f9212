"""The task of restoring images: its measures against scikit-image, its corruptions through training and evaluation."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import jaxcnn
from jaxcnn.cli import main
from jaxcnn.data import LABEL
from jaxcnn.errors import InputError
from jaxcnn.population import train_population
from jaxcnn.tasks import RECONSTRUCTION, About
from jaxcnn.tasks.colour import lab_to_rgb, rgb_to_lab
from jaxcnn.training.train import Preempted

PACKAGE = '''
import flax.linen as nn
import numpy as np

from jaxcnn.data import Arrays, Records, load, read_all


class Restorer(nn.Module):
    """Two convolutions around which the image passes where it has as many channels."""

    channels: int = 0
    width: int = 4
    output: str = ""

    @nn.compact
    def __call__(self, x, *, train: bool):
        hidden = nn.relu(nn.Conv(self.width, (3, 3), name="conv1")(x))
        channels = self.channels or x.shape[-1]
        output = nn.Conv(channels, (3, 3), name="conv2", kernel_init=nn.initializers.normal(0.01))(hidden)
        return (output + x if channels == x.shape[-1] else output), {"hidden": hidden}


class Same(nn.Module):
    """The image as it is, with a parameter that training cannot move."""

    @nn.compact
    def __call__(self, x, *, train: bool):
        return x + 0 * self.param("nothing", nn.initializers.zeros, ()), {}


def pairs(split, *, data_dir, change=lambda images: 255 - images, **options):
    """Digits and their negatives."""
    splits = {}
    for name in ("train", "test"):
        images = read_all(load("digits", f"{name}[:120]", image_size=(16, 16)))["image"]
        splits[name] = change(images), {"target": images}
    return Records(Arrays("pairs", splits, fields={"target": "image"}), split, **options)


def equal_pairs(split, **options):
    """Digits and themselves."""
    return pairs(split, change=lambda images: images, **options)


def colours(split, *, data_dir, **options):
    """Flat colours."""
    random = np.random.default_rng(0)
    splits = {}
    for name in ("train", "test"):
        images = random.integers(0, 256, (120, 1, 1, 3), np.uint8).repeat(16, 1).repeat(16, 2)
        splits[name] = images, np.zeros(120, int)
    return Records(Arrays("colours", splits, ("any",)), split, **options)
'''
CONFIG = {
    "data.image_size": (16, 16),
    "data.train": "train[:90]",
    "data.validation": "train[90:120]",
    "data.test": "test[:40]",
    "model.name": "jaxcnn_test_restorers:Restorer",
    "model.options": {},
    "task.name": "reconstruction",
    "task.options": {"corrupt": "noise", "sigma": 50.0},
    "optimizer.name": "adam",
    "optimizer.learning_rate": 0.01,
    "optimizer.ema": 0.5,
    "batch_size": 16,
    "evaluation.batch_size": 16,
    "duration": "6 steps",
    "evaluation.every": "2 steps",
    "checkpoint.every": "2 steps",
    "log_every": 2,
}


@pytest.fixture
def config(tiny_config, user_package):
    """config({"task.options": {...}}) is the config of a run of 6 steps."""
    user_package("jaxcnn_test_restorers", PACKAGE)

    def make(changes=None):
        with (made := tiny_config()).unlocked():
            made.update_from_flattened_dict({**CONFIG, **(changes or {})})
        return made

    return make


def run(config, workdir, devices=1):
    return jaxcnn.train(config, workdir, quiet=True, devices=jax.devices()[:devices])


def about(shape=(16, 16, 3), **changes):
    channels = shape[2]
    return About((), shape, dict(LABEL), np.zeros(channels, np.float32), np.ones(channels, np.float32))._replace(
        **changes
    )


def scored(task, images, restored):
    """{measure: float} of images that a network restores so, by the evaluation of the task."""
    n = len(images)
    batch = jax.jit(task.inputs)({"image": images, "mask": jnp.ones(n), "index": jnp.arange(n)})
    means = jax.jit(task.score)({"restored": restored, "output": restored}, batch).means
    weighted = {key: x if isinstance(x, tuple) else (x, jnp.ones(n)) for key, x in means.items()}
    return batch, {key: float(x.sum() / weight.sum()) for key, (x, weight) in weighted.items()}


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_and_ssim_are_those_of_scikit_image(channels):
    random = np.random.default_rng(channels)
    images = random.random((3, 24, 17, channels), np.float32)
    restored = np.clip(images + random.normal(0, [[[[0.02]]], [[[0.1]]], [[[0.4]]]], images.shape), 0, 1)
    restored = restored.astype(np.float32)
    task = RECONSTRUCTION.create(about(images.shape[1:]), corrupt="noise", sigma=30.0)
    batch, found = scored(task, images, restored)
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1, "channel_axis": -1}
    for name, shown in (("", restored), ("_input", np.asarray(batch["image"]))):
        pairs = [(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(images, shown, strict=True)]
        psnr = np.mean([peak_signal_noise_ratio(a, b, data_range=1) for a, b in pairs])
        ssim = np.mean([structural_similarity(a, b, **wang) for a, b in pairs])
        assert found["psnr" + name] == pytest.approx(psnr, rel=1e-5)
        assert found["ssim" + name] == pytest.approx(ssim, abs=2e-5)
    square = np.square(restored.astype(np.float64) - images)
    assert found["mse"] == found["loss"] == pytest.approx(square.mean(), rel=1e-5)
    assert found["sse"] == pytest.approx(square.sum(axis=(1, 2, 3)).mean(), rel=1e-5)
    assert found.keys() == RECONSTRUCTION.measures.keys() - {"psnr_mark", "psnr_mark_input"}


def test_psnr_inside_a_mark_is_of_the_marked_pixels_alone():
    images = np.random.default_rng(0).random((4, 32, 32, 3), np.float32)
    task = RECONSTRUCTION.create(about(images.shape[1:]), corrupt="watermark", strength=(0.5, 0.5))
    batch, found = scored(task, images, np.clip(images + 0.1, 0, None))
    marked = np.asarray(batch["mark"])[..., 0] > 0
    given = [np.square(a - b)[m].mean() for a, b, m in zip(images, np.asarray(batch["image"]), marked, strict=True)]
    assert found["psnr_mark_input"] == pytest.approx(np.mean(-10 * np.log10(given)), rel=1e-5)
    assert found["psnr_mark"] == pytest.approx(20, rel=1e-5) and found["psnr_input"] > found["psnr_mark_input"]


def test_equal_images_have_a_psnr_of_100_dB_and_small_ones_no_ssim():
    images = np.random.default_rng(0).random((2, 8, 8, 1), np.float32)
    task = RECONSTRUCTION.create(about((8, 8, 1)))
    _, found = scored(task, images, images)
    assert found == {"loss": 0, "mse": 0, "sse": 0, "psnr": pytest.approx(100)}
    assert set(task.undefined) == RECONSTRUCTION.measures.keys() - found.keys()


def test_lab_is_that_of_scikit_image_and_comes_back():
    images = np.random.default_rng(0).random((5, 7, 3), np.float32)
    np.testing.assert_allclose(rgb_to_lab(images), rgb2lab(images), atol=2e-3)
    np.testing.assert_allclose(lab_to_rgb(rgb_to_lab(images)), images, atol=2e-5)


def test_colours_are_learned_from_luminance():
    """Luminance as Pillow has it goes in, three colours come out; the input that is measured is grey."""
    images = np.random.default_rng(0).random((2, 12, 12, 3), np.float32)
    task = RECONSTRUCTION.create(about((12, 12, 3)), corrupt="gray")
    batch, found = scored(task, images, images)
    grey = (
        np.stack([Image.fromarray(np.uint8(np.round(255 * image))).convert("L") for image in images])[..., None] / 255
    )
    np.testing.assert_allclose(batch["image"], grey.repeat(3, axis=-1), atol=1.01 / 255)
    outputs = task.infer(lambda x, train: (x.repeat(3, axis=-1), {}), {"image": images})
    np.testing.assert_allclose(outputs["restored"], batch["image"], atol=1e-6)
    assert found["psnr"] == pytest.approx(100) and 5 < found["psnr_input"] < 20


def test_of_lab_a_and_b_are_learned_and_the_lightness_stays():
    task = RECONSTRUCTION.create(about((12, 12, 3)), corrupt="gray", space="lab")
    random = np.random.default_rng(0)
    images = random.uniform(0.3, 0.6, (2, 12, 12, 3)).astype(np.float32)
    lab = rgb2lab(images)

    def network(x, train):
        np.testing.assert_allclose(x, lab[..., :1] / 100, atol=2e-4)
        return jnp.full((2, 12, 12, 2), 0.05), {}

    outputs = task.infer(network, task.inputs({"image": images, "index": jnp.arange(2)}))
    found = rgb2lab(outputs["restored"])
    np.testing.assert_allclose(found[..., 0], lab[..., 0], atol=0.02)
    np.testing.assert_allclose(found[..., 1:], 110 * 0.05, atol=0.05)
    terms = task.players[0].objective(network, task.inputs({"image": images, "index": jnp.arange(2)}), {})
    np.testing.assert_allclose(terms.loss, np.square(lab[..., 1:] / 110 - 0.05).mean(axis=(1, 2, 3)), rtol=1e-3)


def test_killed_and_resumed_it_ends_with_the_same_bits_and_its_report_shows_images(
    config, tmp_path, terminate_at, rows, assert_same_bits, one_device
):
    changes = {"augment.flip": True, "augment.pad_crop": 1}
    whole = run(config(changes), tmp_path / "whole")
    terminate_at(3 * 16)
    with pytest.raises(Preempted):
        run(config(changes), tmp_path / "broken")
    resumed = run(config(changes), tmp_path / "broken")
    assert_same_bits(whole.state, resumed.state)
    assert rows(whole.workdir) == rows(resumed.workdir) and whole.test == resumed.test
    (psnr,) = {row["psnr_input"] for row in rows(whole.workdir) if row["split"] == "validation"}
    assert psnr == pytest.approx(20 * np.log10(255 / 50), abs=0.2)  # of 30 images of 256 pixels, to 3 deviations
    assert main(["report", "--workdir", str(whole.workdir)]) == 0
    report = (whole.workdir / "report.html").read_text()
    assert "Restored images" in report and "Held-out PSNR" in report and "Images of test." in report
    assert report.count('class="drawn photographs"') == 1


@pytest.mark.long  # test_own_tasks shows it for any task
def test_eight_devices_give_what_one_does(config, tmp_path):
    changes = {"task.options": {"corrupt": "mask"}, "augment.flip": True, "evaluation.every": "6 steps"}
    one, eight = (run(config(changes), tmp_path / str(count), count) for count in (1, 8))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), one.state.params, eight.state.params
    )
    assert one.test["n"] == eight.test["n"] == 40 and one.test["ssim_input"] < 1
    for name in RECONSTRUCTION.measures:
        assert eight.test[name] == pytest.approx(one.test[name], rel=1e-4), name


@pytest.mark.parametrize("resident", ["yes", pytest.param("no", marks=pytest.mark.long)])
def test_pairs_are_cut_and_turned_alike(resident, config, tmp_path):
    """The two images of a pair are equal and the network gives its input: so is every output its target."""
    changes = {
        "data.name": "jaxcnn_test_restorers:equal_pairs",
        "data.resident": resident,
        "model.name": "jaxcnn_test_restorers:Same",
        "task.options": {"corrupt": "pair"},
        "augment.flip": True,
        "augment.crop": "resized",
        "augment.crop_area": (0.3, 0.9),
    }
    run(config(changes), tmp_path)
    lines = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert [row["psnr"] for row in lines if row.get("split") == "train"] == [pytest.approx(100)] * 3


@pytest.mark.long  # test_own_tasks shows it for any task
def test_a_member_of_a_population_is_the_run_alone(config, tmp_path):
    """Its own corruptions in training, those of every other member in evaluation."""
    once = {"duration": "3 steps", "evaluation.every": "3 steps", "checkpoint.every": "3 steps"}
    rates = ((0, 0.01), (1, 0.02))
    configs = [config({**once, "seed": seed, "optimizer.learning_rate": rate}) for seed, rate in rates]
    folders = [tmp_path / str(number) for number in range(2)]
    members = train_population(configs, folders, tmp_path / "all", quiet=True)
    alone = run(configs[1], tmp_path / "alone")
    assert members[1].test["psnr"] == pytest.approx(alone.test["psnr"], rel=1e-4)
    assert members[0].test["psnr_input"] == members[1].test["psnr_input"] == pytest.approx(alone.test["psnr_input"])
    assert members[0].test["psnr"] != members[1].test["psnr"]


def test_cross_entropy_is_of_pixels_as_probabilities():
    random = np.random.default_rng(0)
    images, restored = random.random((2, 3, 12, 12, 1), np.float32)
    restored[0] = images[0] = np.arange(12)[:, None] % 2  # blacks and whites, met exactly
    _, found = scored(RECONSTRUCTION.create(about((12, 12, 1)), loss="cross_entropy"), images, restored)
    p, t = restored[1:].astype(np.float64), images[1:].astype(np.float64)
    wanted = -np.sum(t * np.log(p) + (1 - t) * np.log(1 - p)) / images.size
    assert found["loss"] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task.options": {"corrupt": "nois"}}, "did you mean 'noise'"),
        ({"task.options": {"corrupt": "noise", "share": 0.5}}, "takes no option 'share'"),
        ({"task.options": {"corrupt": "pair"}}, "data.name 'pairs:PATH' has"),
        ({"task.options": {"corrupt": "gray"}}, "is of colour images; these have 1 channel"),
        ({"task.options": {"loss": "cross_entropy"}, "model.options": {"output": "linear"}}, "'sigmoid' fits"),
        ({"augment.mixup": 0.2}, "mixup and cutmix mix labels"),
        ({"model.options": {"channels": 2}}, r"gives \(2, 16, 16, 2\) .* wants images, \(2, 16, 16, 1\)"),
        (
            {
                "data.name": "jaxcnn_test_restorers:colours",
                "task.options": {"corrupt": "gray", "space": "lab"},
                "model.options": {"channels": 3},
            },
            r"gives \(2, 16, 16, 3\) .* wants images, \(2, 16, 16, 2\)",
        ),
        ({"model.name": "convnet"}, "wants images"),
    ],
)
def test_what_does_not_fit_is_named(changes, words, config, tmp_path):
    with pytest.raises(InputError, match=words):
        run(config(changes), tmp_path)
