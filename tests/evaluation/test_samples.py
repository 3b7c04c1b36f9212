"""A network that generates: samples while it trains, class folders of them, and their measures."""

import json

import jax
import numpy as np
import pytest
import scipy.linalg
from PIL import Image

import jaxcnn
from jaxcnn.cli import main
from jaxcnn.data import LABEL, load, read_all
from jaxcnn.errors import InputError
from jaxcnn.evaluation.samples import Generator, frechet_distance, measure_samples, pair_similarity, write_samples
from jaxcnn.population import train_population
from jaxcnn.tasks import TASKS, About
from jaxcnn.training.samples import Samples, keep_samples, kept_samples, spread
from jaxcnn.visualize.collect import write_report

PACKAGE = '''
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.tasks import Kind, Measure, Player, Sample, Scores, Task, Terms


class Painter(nn.Module):
    """A mean image of each class, and a code that is added to a pixel of it."""

    classes: int = 10
    noise: float = 0.3

    @nn.compact
    def __call__(self, x, *, train: bool):
        return self.param("mean", nn.initializers.constant(-2.0), (self.classes, *x.shape[1:])), {}


def paint(conditional, about):
    def error(module, batch):
        mean, _ = module(batch["image"], train=False)
        return jnp.mean(jnp.square(nn.sigmoid(mean[batch["label"]]) - batch["image"]), axis=(1, 2, 3))

    def codes(module, keys, labels):
        return jax.vmap(lambda key: jax.random.normal(key, (1, 1, 1)))(keys)

    def images(module, codes, labels):
        mean, _ = module(jnp.zeros((1, *about.shape)), train=False)
        return nn.sigmoid(mean[labels] + module.noise * codes)

    def notices(values):
        return ["the error is large"] if values["loss"] > 0.05 else []

    return Task(
        (Player("painter", lambda module, batch, numbers: Terms(error(module, batch), {})),),
        lambda module, batch: {"mean": jnp.zeros_like(batch["image"]) + module(batch["image"], train=False)[0][:1]},
        lambda outputs, batch: Scores({"loss": jnp.mean(jnp.square(outputs["mean"] - batch["image"]), axis=(1, 2, 3))}),
        sample=Sample(codes, images, conditional=conditional),
        notices=notices,
    )


PAINT = Kind({"loss": Measure(higher_is_better=False)}, (), functools.partial(paint, True))
BLIND = PAINT._replace(create=functools.partial(paint, False))
'''


@pytest.fixture(scope="module")
def paint(tiny_config, tmp_path_factory):
    """make(changes) is the config of a run that learns the mean image of every class: 16x16, of which SSIM is taken."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "my_paint.py").write_text(PACKAGE)
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(folder)

    def make(changes=None):
        with (config := tiny_config()).unlocked():
            config.update_from_flattened_dict({"model.options": {}, "data.image_size": (16, 16)})
            config.update_from_flattened_dict({"model.name": "my_paint:Painter", "task.name": "my_paint:PAINT"})
            config.update_from_flattened_dict({"optimizer.name": "adam", "optimizer.learning_rate": 0.3})
            config.update_from_flattened_dict(
                {"duration": "12 steps", "evaluation.every": "4 steps", **(changes or {})}
            )
        return config

    yield make
    patch.undo()


@pytest.fixture(scope="module")
def painter(paint, tmp_path_factory):
    """The directory of such a run, of 12 steps with an evaluation every 4."""
    workdir = tmp_path_factory.mktemp("runs") / "painter"
    jaxcnn.train(paint(), workdir, quiet=True, devices=jax.devices()[:1])
    return workdir


@pytest.fixture(scope="module")
def classifier(tiny_config, tmp_path_factory):
    """The directory of a classifier of the same images at 12x12."""
    workdir = tmp_path_factory.mktemp("runs") / "classifier"
    config = tiny_config({"data.image_size": (12, 12), "duration": "60 steps", "evaluation.every": "60 steps"})
    config.optimizer.learning_rate = 0.05
    jaxcnn.train(config, workdir, quiet=True, devices=jax.devices()[:1])
    return workdir


def test_samples_of_fixed_codes_are_kept_at_each_evaluation(painter):
    kept = kept_samples(painter, (16, 16, 1))
    assert [samples.step for samples in kept] == [4, 8, 12]
    assert all(samples.classes == tuple(map(str, range(10))) for samples in kept)
    first, _, last = (samples.tiles for samples in kept)
    assert last.shape == (10, 8, 16, 16, 1) and last.dtype == np.uint8
    generator = Generator(jaxcnn.Trained(painter))
    np.testing.assert_array_equal(last[3], generator("3", 8))  # what generate writes
    assert (first != last).mean() > 0.5
    events = [json.loads(line) for line in (painter / "metrics.jsonl").read_text().splitlines()]
    said = [(row["step"], row["text"]) for row in events if row.get("event") == "notice"]
    assert said == [(step, "the error is large") for step in (4, 8, 12)]
    page = write_report(painter).read_text()
    assert "Samples of step 12." in page and "The error is large (said at step 12)." in page
    assert page.count("samples of fixed codes over training time") == 1


@pytest.mark.long
def test_on_eight_devices_resumed_and_in_a_population(paint, painter, tmp_path, one_device):
    def sheets(workdir):
        return {file.name: file.read_bytes() for file in (workdir / "samples").iterdir()}

    config = paint({"task.name": "my_paint:BLIND", "data.resident": "no"})
    jaxcnn.train(config, tmp_path / "eight", quiet=True)
    jaxcnn.train(config, tmp_path / "one", quiet=True, devices=one_device)
    assert kept_samples(tmp_path / "one", (16, 16, 1))[0].classes == ()
    for one, eight in zip(*(kept_samples(tmp_path / name, (16, 16, 1)) for name in ("one", "eight")), strict=True):
        assert np.abs(one.tiles.astype(int) - eight.tiles).max() <= 1
    whole = sheets(tmp_path / "one")
    (tmp_path / "one" / "samples" / "12.png").unlink()
    configs, places = [paint({"seed": seed}) for seed in (0, 1)], [tmp_path / "a", tmp_path / "b"]
    train_population(configs, places, tmp_path / "all", quiet=True, devices=one_device)
    for one, other in zip(*(kept_samples(place, (16, 16, 1)) for place in (painter, places[0])), strict=True):
        np.testing.assert_array_equal(one.tiles, other.tiles)
    assert len(whole) == 3


def test_a_collapse_is_said(paint, tmp_path, one_device, capfd):
    config = paint({"model.options": {"noise": 0.0}, "duration": "1 steps", "evaluation.every": "1 steps"})
    jaxcnn.train(config, tmp_path / "run", devices=one_device)
    assert "collapse: the samples of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 are all alike" in capfd.readouterr().err
    values = np.random.default_rng(0).integers(0, 256, (2, 50, 4, 4, 1), dtype=np.uint8)
    np.testing.assert_allclose(spread(values), np.sqrt((values / 255).var(axis=1).mean(axis=(1, 2, 3))))


def test_damaged_sheets_are_left_out(tmp_path):
    tiles = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5, 3), dtype=np.uint8)
    keep_samples(tmp_path, Samples(7, ("a", "b"), tiles))
    (found,) = kept_samples(tmp_path, (4, 5, 3))
    assert found[:2] == (7, ("a", "b"))
    np.testing.assert_array_equal(found.tiles, tiles)
    whole = (tmp_path / "samples" / "7.png").read_bytes()
    (tmp_path / "samples" / "8.png").write_bytes(whole[:100])
    (tmp_path / "samples" / "notes.png").write_bytes(whole)
    assert len(kept_samples(tmp_path, (4, 5, 3))) == 1 and kept_samples(tmp_path, (3, 5, 3)) == []
    assert kept_samples(tmp_path / "none", (4, 5, 3)) == []


def test_generate_writes_class_folders(painter, tmp_path, capsys):
    output = tmp_path / "generated"
    arguments = ["generate", "--workdir", str(painter), "--per-class", "3", "--trust-code", "my_paint:PAINT"]
    arguments += ["--trust-code", "my_paint:Painter", "--output"]
    assert main([*arguments, str(output)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(output), f"{output}.png"]
    files = {file.relative_to(output).as_posix(): file for file in output.rglob("*.png")}
    assert sorted(files) == [f"{name}/0000{number}.png" for name in range(10) for number in range(3)]
    images = np.stack([_pixels(files[f"7/0000{number}.png"]) for number in range(3)])
    np.testing.assert_array_equal(images[..., None], Generator(jaxcnn.Trained(painter))("7", 3))
    assert json.loads((output / "generated.json").read_text())["step"] == 12
    with Image.open(f"{output}.png") as sheet:
        sheet.verify()
    assert main([*arguments, str(output)]) == 2
    assert "is there and holds something" in capsys.readouterr().err
    assert main([*arguments, str(tmp_path / "seven"), "--class", "7", "--seed", "1"]) == 0
    (only,) = [path for path in (tmp_path / "seven").iterdir() if path.is_dir()]
    assert only.name == "7" and (only / "00000.png").read_bytes() != files["7/00000.png"].read_bytes()
    assert load(f"folder:{output}", "train", image_size=(16, 16)).classes == tuple(map(str, range(10)))
    assert not list(tmp_path.glob(".*"))


def _pixels(file):
    with Image.open(file) as image:
        return np.asarray(image)


def test_what_cannot_be_generated_is_refused(painter, classifier, tmp_path):
    generator = Generator(jaxcnn.Trained(painter))
    with pytest.raises(InputError, match="knows no class '77'; did you mean '7'"):
        write_samples(generator, tmp_path / "out", per_class=1, classes=["77"])
    with pytest.raises(InputError, match="0 images of each class"):
        write_samples(generator, tmp_path / "out", per_class=0)
    with pytest.raises(InputError, match=r"task classification of .* generates no images; gan, acgan and bagan do"):
        Generator(jaxcnn.Trained(classifier))
    with pytest.raises(InputError, match="the seed is -1"):
        Generator(jaxcnn.Trained(painter), seed=-1)
    generator.conditional, generator.classes = False, ("all",)
    with pytest.raises(InputError, match="show no class: give one name"):
        write_samples(generator, tmp_path / "out", per_class=1, classes=["3", "4"])
    for name in ("../up", ".hidden", "a/b"):
        with pytest.raises(InputError, match="cannot be the name of a folder"):
            write_samples(generator, tmp_path / "out", per_class=1, classes=[name])
    assert not list(tmp_path.iterdir())
    write_samples(generator, tmp_path / "out", per_class=1, classes=["3"])
    assert (tmp_path / "out" / "3" / "00000.png").is_file()


def smaller(images):
    """Images (n, 16, 16, 1) at 12x12, as the classifier takes them."""
    resized = (Image.fromarray(image[..., 0]).resize((12, 12), Image.Resampling.BILINEAR) for image in images)
    return np.stack([np.asarray(image)[..., None] for image in resized])


def test_samples_are_measured_by_a_classifier(painter, classifier, capsys):
    generator, trained = Generator(jaxcnn.Trained(painter)), jaxcnn.Trained(classifier)
    found = measure_samples(generator, trained, "test", per_class=20)
    of_three = found.classes[3]
    images = smaller(generator("3", 20))
    assert of_three.accuracy == np.mean(trained.probabilities(images).argmax(axis=1) == 3)
    assert found.accuracy == pytest.approx(np.mean([row.accuracy for row in found.classes]))
    assert of_three.spread == pytest.approx(float(spread(images)))
    test = read_all(trained.open("test").records)
    real = test["image"][test["label"] == 3]
    assert (of_three.n, of_three.real_n) == (20, len(real))
    assert of_three.real_ssim == pytest.approx(pair_similarity(real))
    assert of_three.ssim > of_three.real_ssim and of_three.collapsed == (of_three.spread < 0.1 * of_three.real_spread)
    every = np.concatenate([smaller(generator(name, 20)) for name in generator.classes])

    def features(images):
        return trained.map(lambda v, x: trained.apply(v, x)[1][found.stage].mean(axis=(1, 2)), images)

    assert found.frechet == pytest.approx(frechet_distance(features(every), features(test["image"])), rel=1e-4)
    code = ["--trust-code", "my_paint:PAINT", "--trust-code", "my_paint:Painter", "--per-class", "20"]
    assert main(["evaluate", "--workdir", str(painter), "--classifier", str(classifier), "--split", "test", *code]) == 0
    out = capsys.readouterr().out
    assert f"Fréchet distance on {found.stage} of {classifier}" in out and "FID" not in out
    assert f"{found.accuracy:.2%}" in out
    row = json.loads((painter / "evaluations.jsonl").read_text().splitlines()[-1])
    assert row["samples"]["frechet"] == pytest.approx(found.frechet) and len(row["samples"]["classes"]) == 10
    page = write_report(painter).read_text()
    assert f"{found.accuracy:.2%}".replace("%", " %") in page and f">{of_three.ssim:.4f}</td>" in page
    assert main(["evaluate", "--workdir", str(painter), "--seed", "1"]) == 2
    assert "--seed is of generated images" in capsys.readouterr().err
    assert main(["evaluate", "--workdir", str(painter), "--classifier", str(classifier), "--crops", "1"]) == 2
    assert "--classifier measures the samples of one run" in capsys.readouterr().err
    with pytest.raises(InputError, match="unknown stage 'convv'"):
        measure_samples(generator, trained, "test", per_class=20, stage="convv")


def test_the_frechet_distance_is_the_one_of_the_matrix_root():
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=(80, 5)), generator.normal(1, 2, (70, 5)) @ generator.normal(size=(5, 5))
    s, t = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    square = np.sum(np.square(one.mean(0) - other.mean(0))) + np.trace(s + t - 2 * scipy.linalg.sqrtm(s @ t).real)
    assert frechet_distance(one, other) == pytest.approx(square, rel=1e-9)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(one, one + 3) == pytest.approx(45, rel=1e-9)
    assert np.isfinite(frechet_distance(one[:3], other[:3]))  # singular covariances


def test_a_classifier_of_generated_images_is_tested_on_real_ones(painter, tiny_config, tmp_path, one_device):
    write_samples(Generator(jaxcnn.Trained(painter)), tmp_path / "generated", per_class=10)
    changes = {"data.name": f"folder:{tmp_path / 'generated'}", "data.image_size": (16, 16), "data.channels": 1}
    config = tiny_config({**changes, "duration": "2 steps", "evaluation.every": "2 steps"})
    jaxcnn.train(config, tmp_path / "run", quiet=True, devices=one_device)
    _, row = jaxcnn.Trained(tmp_path / "run").evaluate("test", name="digits")
    assert row["n"] == 360 and row["data"] == "digits"


def test_a_discriminator_that_wins_is_said():
    task = TASKS["gan"].create(About((), (8, 8, 1), LABEL, 0, 1))
    (text,) = task.notices({"real": 0.96, "fake": 0.04})
    assert text.startswith("the discriminator wins: D(x) is above 0.95 and D(G(z)) below 0.05")
    assert not task.notices({"real": 0.94, "fake": 0.04}) and not task.notices({"real": 0.96, "fake": 0.06})
