"""Any number of labels an image: measures by their definitions, tables of labels, a run from training to report."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score

from jaxcnn import Trained, default_config, train, write_report
from jaxcnn.cli import main
from jaxcnn.data import load
from jaxcnn.data.labels import labels_field
from jaxcnn.errors import InputError
from jaxcnn.tasks import TASKS, About
from jaxcnn.tasks.multilabel import label_scores
from jaxcnn.training.setup import set_up


def test_measures_are_scikit_learn_s():
    random = np.random.default_rng(0)
    labels, scores = random.random((60, 4)) < 0.3, random.random((60, 4)).round(1)  # with ties
    found = label_scores(labels, scores, threshold=0.6)
    assert found["map"] == pytest.approx(average_precision_score(labels, scores))
    assert found["macro_f1"] == pytest.approx(f1_score(labels, scores >= 0.6, average="macro"))
    assert found["micro_f1"] == pytest.approx(f1_score(labels, scores >= 0.6, average="micro"))


def test_measures_by_hand():
    labels = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]], bool)
    scores = np.array([[0.9, 0.2, 0.1], [0.8, 0.3, 0.1], [0.7, 0.6, 0.1]])
    found = label_scores(labels, scores, threshold=0.5)
    # a: right at ranks 1 and 3, 1/2 * 1 + 1/2 * 2/3; b: right at rank 2; c is nowhere and was not predicted
    np.testing.assert_allclose(found["average_precision"], [5 / 6, 1 / 2, np.nan])
    assert found["map"] == pytest.approx((5 / 6 + 1 / 2) / 2)
    # a: 2 right of 3 predicted, all 2 found: 2 * 2 / (2 + 3); b: none; together 2 * 2 / (3 + 4)
    np.testing.assert_allclose(found["f1"], [4 / 5, 0, np.nan])
    assert (found["macro_f1"], found["micro_f1"]) == (pytest.approx(2 / 5), pytest.approx(4 / 7))
    assert label_scores(np.zeros((2, 3), bool), np.zeros((2, 3)), threshold=0.5)["map"] == 0


def test_one_class_is_measured_where_it_is_there():
    labels = np.array([[1], [1], [0], [0]], bool)
    found = label_scores(labels, np.array([[0.9], [0.1], [0.8], [0.2]]), threshold=0.5)
    # one of two found, one of two predicted is right, ranks 1 and 4: 1/2 * 1 + 1/2 * 2/4
    assert [found[name].tolist() for name in ("precision", "recall", "f1")] == [[0.5], [0.5], [0.5]]
    assert (found["map"], found["macro_f1"], found["micro_f1"]) == (0.75, 0.5, 0.5)
    nothing = label_scores(labels, np.zeros((4, 1)), threshold=0.5)
    assert nothing["recall"].tolist() == [0] and nothing["macro_f1"] == nothing["micro_f1"] == 0


def test_scores_that_are_no_numbers_predict_nothing_and_rank_last():
    labels = np.array([[1, 0], [0, 1], [0, 1]], bool)
    found = label_scores(labels, np.array([[np.nan, np.nan], [0.1, 0.9], [0.2, 0.2]]), threshold=0.5)
    assert found["average_precision"].tolist() == [pytest.approx(1 / 3), 1]
    assert found["recall"].tolist() == [0, 0.5]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_the_loss_is_taken_in_float32(dtype):
    fields = {"labels": ((2,), np.dtype(bool))}
    task = TASKS["multilabel"].create(About(("a", "b"), (4, 4, 1), fields, 0.0, 1.0))
    logits = jnp.asarray([[1.25, -0.75]], dtype)
    batch = {"image": jnp.zeros((1, 4, 4, 1)), "targets": jnp.asarray([[1.0, 1.0]])}
    terms = task.players[0].objective(lambda x, train: (logits, {}), batch, {})
    assert terms.loss.dtype == jnp.float32
    np.testing.assert_allclose(terms.loss, np.log1p(np.exp([-1.25, 0.75])).mean(), rtol=1e-6)


@pytest.fixture(scope="module")
def labelling():
    """make(changes): the config of a small network that says which digits a scene holds."""

    def make(changes=None):
        config = default_config()
        config.data.name, config.task.name, config.model.name = "scene_labels", "multilabel", "convnet"
        config.data.train, config.data.validation, config.data.test = "train[:64]", "train[64:96]", "test[:41]"
        config.data.image_size = (16, 16)
        config.model.options = {"widths": (4,), "convolutions": 1, "hidden": ()}
        config.batch_size, config.duration = 16, "4 steps"
        config.evaluation.every = config.checkpoint.every = "4 steps"
        config.augment.mixup = 0.2
        config.update_from_flattened_dict(changes or {})
        return config

    return make


@pytest.fixture(scope="module")
def labeller(labelling, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("labeller")
    train(labelling({"task.options": {"threshold": 0.3}}), workdir, quiet=True, devices=jax.devices()[:1])
    return workdir


def test_a_run_is_measured_and_says_its_labels(labeller, tmp_path, monkeypatch, capsys):
    trained = Trained(labeller)
    batch = load("scene_labels", "test[:41]", image_size=(16, 16)).read(range(41))
    outputs = jax.jit(trained.infer)(trained.variables, batch["image"])
    scores, labels = np.asarray(outputs["scores"]), batch["labels"]
    assert main(["evaluate", "--workdir", str(labeller), "--split", "test", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["n"] == 41 and labels.any(axis=0).all()
    assert row["map"] == pytest.approx(average_precision_score(labels, scores), abs=1e-6)
    assert row["macro_f1"] == pytest.approx(f1_score(labels, scores >= 0.3, average="macro", zero_division=0), abs=1e-6)
    loss = -np.where(labels, np.log(scores), np.log(1 - scores)).mean()
    assert row["loss"] == pytest.approx(loss, rel=1e-4)
    assert row["by_label"]["3"]["n"] == labels[:, 3].sum()
    Image.fromarray(batch["image"][3]).save(tmp_path / "three.png")
    (said,) = trained.predict([tmp_path / "three.png"])
    assert said["labels"] == [name for name, score in zip("0123456789", scores[3], strict=True) if score >= 0.3]
    assert said["probabilities"]["7"] == pytest.approx(float(scores[3, 7]), rel=1e-4)
    assert main(["evaluate", "--workdir", str(labeller), "--split", "test"]) == 0
    assert "average precision" in " ".join(capsys.readouterr().out.split())
    monkeypatch.chdir(tmp_path)  # a long path would be folded
    assert main(["predict", "--workdir", str(labeller), "three.png"]) == 0
    assert "three.png" in capsys.readouterr().out
    page = write_report(labeller).read_text()
    assert "Scores by label" in page and "The first images of test: " in page


def test_a_set_of_scenes_has_the_digits_of_its_boxes():
    boxes, labels = (load(name, "train[:40]").read(range(40)) for name in ("scenes", "scene_labels"))
    np.testing.assert_array_equal(boxes["image"], labels["image"])
    for own, there, row in zip(boxes["box_label"], boxes["box_mask"], labels["labels"], strict=True):
        assert set(np.flatnonzero(row)) == set(own[there > 0].tolist())


def table(folder, text):
    (folder / "images").mkdir(exist_ok=True)
    for name in "abcd":
        Image.fromarray(np.full((6, 6, 3), ord(name), np.uint8)).save(folder / "images" / f"{name}.png")
    (folder / "labels.csv").write_text(text)
    return f"labels:{folder}"


def test_a_table_names_files_and_labels(tmp_path):
    name = table(
        tmp_path, 'file,labels,split\na.png,sea|sky,train\nb.png,,train\n"c.png",sky | sun,test\nd.png,sea,train\n'
    )
    train_part, test_part = (load(name, split, image_size=(6, 6)) for split in ("train", "test"))
    assert train_part.classes == test_part.classes == ("sea", "sky", "sun")
    found = {chr(batch["image"][0, 0, 0]): batch["labels"].tolist() for batch in map(train_part.__getitem__, range(3))}
    assert found == {"a": [True, True, False], "b": [False] * 3, "d": [True, False, False]}
    assert test_part[0]["labels"].tolist() == [False, True, True]


@pytest.mark.parametrize(("text", "words"), [
    ("a.png,sea\n", "begins with 'a.png,sea': the first line is file,labels"),
    ("file,labels\na.png\n", "line 2: 'a.png' has 1 parts, not 2"),
    ("file,labels\na.png,sea\na.png,sky\n", "line 3: a.png is named before"),
    ("file,labels\n,sea\n", "line 2: ',sea' lacks a file"),
    ("file,labels\na.png,\n", "no image has a label"),
    ("file,labels\n", "names no images"),
])  # fmt: skip
def test_a_table_that_is_none_is_refused(text, words, tmp_path):
    with pytest.raises(InputError, match=words):
        load(table(tmp_path, text), "train", image_size=(6, 6))


def test_what_cannot_label_is_refused(labelling):
    for changes, words in (
        ({"data.name": "digits"}, "wants any number of labels .*, but these data hold label: .*'scene_labels'"),
        ({"data.name": "digits", "task.options": {"threshold": 1}}, "threshold is 1; it is a number between 0 and 1"),
    ):
        with pytest.raises(InputError, match=words):
            set_up(labelling(changes))
    about = About(tuple("abc"), (8, 8, 1), labels_field(3), 0, 1)
    two = jax.ShapeDtypeStruct((2, 2), np.float32), {}
    with pytest.raises(InputError, match=r"net gives \(2, 2\) .* each of 3 classes"):
        TASKS["multilabel"].create(about).check("net", two, about)
