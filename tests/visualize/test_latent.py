"""The code of an autoencoder: its map, its walks, and PCA beside it in the report."""

import re
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest

import jaxcnn
from jaxcnn.analysis.pca import pca_error
from jaxcnn.architectures import create
from jaxcnn.architectures.autoencoder_mlp import AutoencoderMLP
from jaxcnn.cli import main
from jaxcnn.data import read_all
from jaxcnn.errors import InputError
from jaxcnn.evaluation.inference import Inference
from jaxcnn.evaluation.latent import Walks, choose_pairs, generated_walks, latent_of, pca_beside, walk
from jaxcnn.tasks import Sample
from jaxcnn.visualize.activations import stage_activations
from jaxcnn.visualize.latent import Coded, draw_latent, draw_walks, lay_out, read_codes


class Nothing(nn.Module):
    """A network whose functions are given beside it."""


@pytest.fixture(scope="module")
def autoencoder(tiny_config, tmp_path_factory):
    """The directory of a run of 20 steps: digits of 8x8 through a code of two numbers."""
    changes = {"task.name": "reconstruction", "model.name": "autoencoder_mlp", "optimizer.name": "adam"}
    with (config := tiny_config()).unlocked():
        config.model.options = {"hidden": (12,), "code": 2, "activation": "relu"}
        config.update_from_flattened_dict({**changes, "optimizer.learning_rate": 0.01})
    workdir = tmp_path_factory.mktemp("runs") / "autoencoder"
    jaxcnn.train(config, workdir, quiet=True, devices=jax.devices()[:1])
    return workdir


@pytest.fixture
def network():
    """make(model) is an Inference whose one variable is 2."""

    def make(model=None):
        return Inference(model, {"params": {"two": jnp.array(2.0)}}, shape=(2, 2, 1), classes=(), mean=0, std=1)

    return make


def test_stages_are_of_the_images_that_the_task_gives_the_network(autoencoder):
    """An autoencoder gets them in [0, 1], not normalised as a classifier."""
    trained = jaxcnn.Trained(autoencoder)
    images = trained.open("test").records.read(range(3))["image"]
    expected = trained.model.apply(trained.variables, images / np.float32(255), train=False)
    found = trained.apply(trained.variables, images)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found, expected)
    stages, probabilities = stage_activations(trained, images[0])
    np.testing.assert_allclose(stages["code"], expected[1]["code"][0], atol=1e-5)
    assert probabilities is None


def test_codes_are_those_of_the_network_and_decode_to_what_it_restores(autoencoder):
    trained = jaxcnn.Trained(autoencoder)
    latent, records = latent_of(trained), trained.open("test").records
    coded = read_codes(trained, latent, records, count=30, seed=4)
    chosen = np.sort(np.random.default_rng(4).permutation(len(records))[:30])
    batch = records.read(chosen)
    np.testing.assert_array_equal(coded.images, batch["image"])
    np.testing.assert_array_equal(coded.labels, batch["label"])
    image, features = trained.model.apply(trained.variables, batch["image"] / np.float32(255), train=False)
    np.testing.assert_allclose(coded.codes, features["code"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(lay_out(coded.codes), coded.codes)
    assert latent.numbers == 2
    walks = walk(trained, latent.decode, coded.codes, np.array([[3, 8], [8, 8]]), steps=3)
    assert walks.images.shape == (2, 3, 8, 8, 1)
    ends = walks.images[[0, 0, 1, 1], [0, 2, 0, 1]]
    np.testing.assert_allclose(ends, np.clip(image, 0, 1)[[3, 8, 8, 8]], rtol=1e-5, atol=1e-6)


def test_a_walk_is_a_straight_line_through_any_generator(network):
    """Codes are maps of two numbers; the generator repeats their sum, doubled."""

    def decode(variables, codes):
        return variables["params"]["two"] * codes.sum(axis=(1, 2, 3)).reshape(-1, 1, 1, 1) * jnp.ones((1, 2, 2, 1))

    codes = np.array([[0.0, 0.1], [0.4, 0.5]], np.float32).reshape(2, 1, 1, 2)
    walks = walk(network(), decode, codes, np.array([[0, 1], [1, 0]]), steps=5)
    np.testing.assert_allclose(walks.images[..., 0, 0, 0], [[0.2, 0.6, 1.0, 1.4, 1.8], [1.8, 1.4, 1.0, 0.6, 0.2]], 1e-6)


@pytest.mark.parametrize("conditional", [True, False])
def test_a_generator_is_walked_class_after_class(conditional, network):
    """It makes of its two numbers and its label a grey: the walk is straight, and stays in its class."""

    def draw(module, keys, labels):
        return jax.vmap(lambda key: jax.random.uniform(key, (2,)))(keys)

    def images(module, codes, labels):
        return (codes.sum(axis=1) + 10 * labels).reshape(-1, 1, 1, 1) * jnp.ones((1, 2, 2, 1))

    generator = network(Nothing())
    generator.classes, generator.task = ("a", "b"), types.SimpleNamespace(sample=Sample(draw, images, conditional))
    walks, labels = generated_walks(generator, 3, steps=5, seed=7)
    assert labels.tolist() == ([0, 1, 0] if conditional else [0, 0, 0])
    greys = walks.images[..., 0, 0, 0] - 10 * labels[:, None]
    np.testing.assert_allclose(np.diff(greys, 2), 0, atol=2e-6)
    assert greys.min() > 0 and greys.max() < 2 and len(np.unique(greys[:, [0, -1]])) == 6
    assert (generated_walks(generator, 3, steps=5, seed=8)[0].images != walks.images).any()
    names = draw_walks(walks, ["a", "b", ""]).axes[0].get_yticklabels()
    assert [text.get_text() for text in names] == ["1: a", "2: b", "3"]


def test_pairs_are_of_two_classes_where_there_are_two():
    labels = np.repeat([0, 1, 2], [8, 1, 1])
    pairs = choose_pairs(labels, 50, seed=1)
    assert (labels[pairs[:, 0]] != labels[pairs[:, 1]]).all() and len(np.unique(pairs)) > 5
    np.testing.assert_array_equal(pairs, choose_pairs(labels, 50, seed=1))
    assert (pairs != choose_pairs(labels, 50, seed=2)).any()
    alike = choose_pairs(np.zeros(3, int), 50)
    assert (alike[:, 0] != alike[:, 1]).all()


def test_a_code_that_is_a_map_is_laid_out_by_all_its_numbers():
    random = np.random.default_rng(0)
    codes = random.normal(size=(40, 2, 2, 3)).astype(np.float32)
    codes[:20, 0, 0] += 30 * np.array([1, -1, 0])
    codes[:20, 1, 1] -= 30 * np.array([1, -1, 0])  # the mean over places says nothing
    places = lay_out(codes, perplexity=5)
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert ((distance.argmin(axis=1) < 20) == (np.arange(40) < 20)).mean() > 0.9  # by chance 0.5


def test_every_image_is_a_point_and_every_walk_a_strip():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (12, 4, 4, 1), np.uint8)
    coded = Coded(images, np.arange(12) % 3, random.normal(size=(12, 2)).astype(np.float32))
    ways = random.random((2, 5, 4, 4, 1), np.float32)
    pairs = np.array([[0, 1], [5, 7]])
    figure = draw_latent(coded, Walks(pairs, ways), ("a", "b", "c"), coded.codes, title="title")
    above, below = (part.axes[0] for part in figure.subfigs)
    offsets = np.concatenate([points.get_offsets() for points in above.collections])
    np.testing.assert_allclose(np.sort(offsets, axis=0), np.sort(coded.codes, axis=0), rtol=1e-6)
    assert [text.get_text() for text in below.get_yticklabels()] == ["1: a to b", "2: c to b"]
    sheet = below.images[0].get_array()
    assert sheet.shape == (4 + 1 + 4, 7 * 4 + 6 + 2 * 2)
    np.testing.assert_allclose(sheet[5:, :4], images[5, ..., 0] / 255, rtol=1e-6)
    np.testing.assert_allclose(sheet[5:, 7:11], ways[1, 0, ..., 0])
    np.testing.assert_allclose(sheet[5:, -4:], images[7, ..., 0] / 255, rtol=1e-6)


def test_visualize_latent_is_one_picture_for_a_seed(autoencoder, tmp_path):
    def drawn(*arguments):
        command = ["visualize", "latent", f"--workdir={autoencoder}", f"--output={tmp_path}/a.png", "--count=40"]
        assert main([*command, "--split=test", "--pairs=2", "--steps=4", *arguments]) == 0
        return matplotlib.image.imread(tmp_path / "a.png")

    first = drawn("--seed=1")
    assert len(np.unique(first.reshape(-1, first.shape[-1]), axis=0)) > 20
    np.testing.assert_array_equal(drawn("--seed=1"), first)
    others = drawn("--seed=1", "--data=digits")  # the same images; the line below them names the data
    above = len(first) * 9 // 10
    np.testing.assert_array_equal(others[:above], first[:above])


def test_the_report_has_walks_and_pca_beside_the_network(autoencoder, capsys):
    assert main(["report", f"--workdir={autoencoder}"]) == 0
    report = (autoencoder / "report.html").read_text()
    assert 'alt="walks between the codes of two images"' in report
    trained = jaxcnn.Trained(autoencoder)
    components, error = pca_beside(trained, "test")
    train, test = (read_all(trained.open(split).records)["image"] for split in ("train", "test"))
    assert components == 2 and error == pytest.approx(pca_error(train, test, 2), rel=1e-12)
    rows = re.findall(r"<tr><td>([^<]*)</td><td[^>]*>2</td><td[^>]*>([\d.]+)</td></tr>", report)
    assert [name for name, _ in rows] == ["autoencoder_mlp", "principal components of the training images"]
    assert float(rows[1][1]) == pytest.approx(error, rel=1e-3) and float(rows[0][1]) > error / 3


def test_a_network_without_a_code_is_named(tiny_run, tmp_path, capsys):
    assert main(["visualize", "latent", f"--workdir={tiny_run}", f"--output={tmp_path}/a.png"]) == 2
    words = " ".join(capsys.readouterr().err.split())
    assert f"convnet of {tiny_run} has no code: that is an entry 'code' among the features" in words
    assert not (tmp_path / "a.png").exists()


def test_a_code_that_gives_no_image_is_named(autoencoder):
    trained = jaxcnn.Trained(autoencoder)
    trained.model = create("autoencoder_mlp", hidden=(12,), code=2, channels=2)
    image = jnp.zeros((1, 8, 8, 1))
    trained.variables = jax.eval_shape(lambda: trained.model.init(jax.random.key(0), image, train=False))
    with pytest.raises(InputError, match=r"decodes a code to \(8, 8, 2\), not to an image of \(8, 8, 1\)"):
        latent_of(trained)


class Other(AutoencoderMLP):
    """Its decoder asks for something of its own."""

    def decode(self, code):
        return super().decode(code, (8, 8, 1))


def test_a_decoder_that_asks_for_something_else_is_named(autoencoder):
    trained = jaxcnn.Trained(autoencoder)
    trained.model = Other(hidden=(12,), code=2)
    with pytest.raises(InputError, match=r"cannot decode a code by decode\(code, shape\): .*positional argument"):
        latent_of(trained)
