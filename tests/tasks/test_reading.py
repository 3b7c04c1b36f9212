"""Reading and numbers of sequences: measures against loops, padding, and runs from training to prediction."""

import functools
import json

import jax
import numpy as np
import pytest
from PIL import Image

from jaxcnn import Trained, default_config, train
from jaxcnn.cli import main
from jaxcnn.data import load
from jaxcnn.errors import InputError
from jaxcnn.operators.recurrent import ctc_greedy, ctc_loss
from jaxcnn.tasks import TASKS, About
from jaxcnn.tasks.edits import edit_distance
from jaxcnn.training.setup import set_up


@functools.cache
def by_recursion(a, b):
    if not a or not b:
        return len(a) + len(b)
    return min(by_recursion(a[1:], b) + 1, by_recursion(a, b[1:]) + 1, by_recursion(a[1:], b[1:]) + (a[0] != b[0]))


def padded(texts, most):
    return np.array([[*text, *[0] * (most - len(text))] for text in texts], np.int32)


def test_the_edit_distance_is_the_recursion():
    random = np.random.default_rng(0)
    texts = [[random.integers(1, 4, random.integers(0, 5)).tolist() for _ in range(60)] for _ in range(2)]
    found = jax.jit(edit_distance)(padded(texts[0], 6), padded(texts[1], 5))
    assert found.tolist() == [by_recursion(tuple(a), tuple(b)) for a, b in zip(*texts, strict=True)]


@pytest.fixture(scope="module")
def reading():
    """make(changes): the config of a small reader of strings of digits."""

    def make(changes=None):
        config = default_config()
        config.data.name, config.task.name, config.model.name = "strings", "reading", "crnn_small"
        config.data.train, config.data.validation, config.data.test = "train[:64]", "train[64:96]", "test[:41]"
        config.model.options = {"units": 8, "stages": ((8, 3, True, (2, 2)), (8, 3, True, (2, 1)))}
        config.batch_size, config.duration = 16, "6 steps"
        config.optimizer.name, config.optimizer.learning_rate = "adam", 0.01
        config.evaluation.every = config.checkpoint.every = "3 steps"
        config.update_from_flattened_dict(changes or {})
        return config

    return make


@pytest.fixture(scope="module")
def reader(reading, tmp_path_factory):
    """The run directory of a reader that has trained for six steps."""
    workdir = tmp_path_factory.mktemp("reader")
    train(reading(), workdir)
    return workdir


def test_a_run_is_measured_by_its_letters_and_reads_files(reader, tmp_path, capsys):
    trained, batch = Trained(reader), load("strings", "test[:41]").read(range(41))
    assert json.loads((reader / "data.json").read_text())["classes"] == list("0123456789")
    outputs = jax.jit(trained.infer)(trained.variables, batch["image"])
    pairs = zip(outputs["text"].tolist(), batch["text"].tolist(), strict=True)
    edits = np.array([by_recursion(*(tuple(token for token in row if token) for row in pair)) for pair in pairs])
    assert main(["evaluate", "--workdir", str(reader), "--split", "test", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["n"] == 41 and row["cer"] == pytest.approx(edits.sum() / (batch["text"] > 0).sum(), abs=1e-6)
    assert row["exact"] == pytest.approx((edits == 0).mean(), abs=1e-6)
    loss = ctc_loss(outputs["logits"], batch["text"], batch["text"] > 0)
    assert row["loss"] == pytest.approx(float(loss.mean()), rel=1e-5)
    Image.fromarray(batch["image"][3, :, :, 0]).save(tmp_path / "three.png")
    (said,) = trained.predict([tmp_path / "three.png"])
    assert said["text"] == "".join(str(token - 1) for token in outputs["text"][3].tolist() if token)


def test_padding_of_texts_changes_nothing():
    about = About(tuple("abc"), (8, 8, 1), {"text": ((7,), np.int32)}, 0, 1)
    random = np.random.default_rng(0)
    texts = [random.integers(1, 4, length).tolist() for length in (4, 1, 2, 3)]
    logits = random.normal(size=(4, 9, 4)).astype(np.float32)
    score = jax.jit(TASKS["reading"].create(about).score)

    def scored(rows, text):
        outputs = {"logits": logits[rows], "text": ctc_greedy(logits[rows])[0]}
        return score(outputs, {"text": text, "mask": np.ones(len(text), np.float32)}).means

    whole = scored(slice(4), padded(texts, 7))
    for row, text in enumerate(texts):
        alone = scored(slice(row, row + 1), np.array([text]))
        jax.tree.map(lambda one, many: np.testing.assert_allclose(many[row], one[0], rtol=1e-6), alone, whole)  # noqa: B023


@pytest.mark.parametrize("changes, said", [
    ({"data.name": "digits"}, "task reading wants images with a text, but these data hold label: .*'strings'"),
    ({"model.name": "rnn_classifier"}, r"gives \(2, 10\) .* wants .*\(2, frames, 11"),
    ({"data.image_size": (12, 8)}, "gives 4 frames .* texts have up to 5 letters"),
])  # fmt: skip
def test_what_cannot_read_is_refused(reading, changes, said):
    config = reading()
    with config.unlocked():
        config.update_from_flattened_dict(changes)
    if "model.name" in changes:
        config.model.options = {}
    with pytest.raises(InputError, match=said):
        set_up(config)


@pytest.mark.long
def test_the_adding_problem_by_an_lstm(tmp_path, capsys):
    config = default_config()
    config.data.name, config.task.name, config.model.name = "add_10", "regression", "rnn_classifier"
    config.data.train, config.data.validation, config.data.test = "train[:64]", "train[64:96]", "test[:40]"
    config.model.options = {"units": 4, "num_classes": 1}
    config.batch_size, config.duration, config.evaluation.every = 16, "4 steps", "4 steps"
    train(config, tmp_path / "run")
    trained, batch = Trained(tmp_path / "run"), load("add_10", "test[:40]").read(range(40))
    error = np.abs(jax.jit(trained.infer)(trained.variables, batch["image"])["value"] - batch["value"])
    assert main(["evaluate", "--workdir", str(tmp_path / "run"), "--split", "test", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["loss"] == pytest.approx(np.square(error).mean(), rel=1e-5)
    assert row["within"] == pytest.approx((error < 0.04).mean())
    config.model.options.num_classes = 3
    with pytest.raises(InputError, match=r"gives outputs of shape \(2, 3\).*num_classes of 1"):
        set_up(config)
