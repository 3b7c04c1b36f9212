"""Writing sequences: measures by loops, padding, searches, and a run from training to prediction."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from jaxcnn import Trained, default_config, train
from jaxcnn.architectures import create
from jaxcnn.cli import main
from jaxcnn.data import load
from jaxcnn.errors import InputError
from jaxcnn.tasks import TASKS, About
from jaxcnn.training.setup import set_up

CLASSES = ("<begin>", "<end>", "a", "b")


def task_of(most, **options):
    return TASKS["translation"].create(About(CLASSES, (5, 2, 1), {"text": ((most,), np.int32)}, 0, 1), **options)


@pytest.fixture(scope="module")
def network():
    """(module with attention, its variables, images and texts of three sequences of 5, 1 and 3 symbols)."""
    random, lengths = np.random.default_rng(0), (5, 1, 3)
    image, text = np.zeros((3, 5, 2, 1), np.float32), np.zeros((3, 6), np.int32)
    for row, length in enumerate(lengths):
        symbols = random.integers(0, 2, length)
        image[row, np.arange(length), symbols, 0], text[row, :length], text[row, length] = 1, symbols + 3, 2
    module = create("seq2seq", units=4, embedding=3, attention=True, num_classes=4)
    variables = jax.jit(lambda: module.init(jax.random.key(0), image, train=False))()
    spread = jax.tree.map(lambda leaf: leaf + random.normal(size=leaf.shape, scale=0.5).astype(np.float32), variables)
    return module, spread, image, text


def scored(network, rows, steps, most, **options):
    module, variables, image, text = network
    batch = {"image": image[rows, :steps], "text": text[rows, :most], "mask": np.ones(len(image[rows]), np.float32)}
    task = task_of(most, **options)
    outputs = jax.jit(lambda v: module.apply(v, batch, method=task.infer))(variables)
    terms = jax.jit(lambda v: module.apply(v, batch, {}, method=task.players[0].objective))(variables)
    return task.score(outputs, batch).means, outputs, terms


def test_padding_changes_no_loss_and_no_measure(network):
    whole, _, terms = scored(network, slice(3), 5, 6)
    for row, length in enumerate((5, 1, 3)):
        alone, _, own = scored(network, slice(row, row + 1), length, length + 1)
        for name in ("loss", "token_accuracy"):
            for many, one in zip(whole[name], alone[name], strict=True):
                np.testing.assert_allclose(many[row], one[0], rtol=1e-6)
        np.testing.assert_allclose((terms.loss[row], terms.weight[row]), (own.loss[0], own.weight[0]), rtol=1e-6)
        np.testing.assert_allclose(own.loss[0], alone["loss"][0][0], rtol=1e-6)
        assert own.weight[0] == length + 1


def probability(network, row, tokens):
    """log p of a text by the network's steps, one by one; never nothing, never <begin>."""
    module, variables, image, _ = network
    lengths = np.array([int(image[row].any(axis=(1, 2)).sum())])
    state, total = module.apply(variables, image[row : row + 1], lengths, method="encode"), 0.0
    for before, token in zip((1, *tokens), tokens, strict=False):
        logits, _, state = module.apply(variables, np.array([before]), state, method="step")
        total += float(jax.nn.log_softmax(logits[0, 2:])[token - 2])
    return total


def test_the_search_finds_what_all_texts_show(network):
    texts = [(2,), *((x, 2) for x in (3, 4)), *((x, y) for x in (3, 4) for y in (3, 4))]
    _, found, _ = scored(network, slice(2), 5, 2, beam=9)
    _, greedy, _ = scored(network, slice(2), 5, 2)
    for row in range(2):
        best = max(texts, key=lambda tokens: probability(network, row, tokens))
        assert found["text"][row].tolist() == [token if token != 2 else 0 for token in (*best, 0)[:2]]
        first = max((2, 3, 4), key=lambda token: probability(network, row, (token,)))
        assert greedy["text"][row, 0] == (0 if first == 2 else first)


def test_own_tokens_take_the_place_of_the_true_ones(network):
    module, variables, image, text = network
    batch = {"image": image, "text": text, "key": jax.random.split(jax.random.key(0), 3)}

    def loss(share):
        objective = task_of(6, own_tokens=share).players[0].objective
        return module.apply(variables, batch, {}, method=objective).loss

    forced = np.pad(text[:, :-1], ((0, 0), (1, 0)), constant_values=1)
    lengths = np.array([5, 1, 3])
    logits, _ = module.apply(variables, image, train=True, text=forced, lengths=lengths)
    own = np.pad(np.asarray(logits).argmax(axis=-1)[:, :-1], ((0, 0), (1, 0)), constant_values=1)
    logits, _ = module.apply(variables, image, train=True, text=own, lengths=lengths)
    log_p = np.take_along_axis(np.asarray(jax.nn.log_softmax(logits)), text[..., None], axis=2)[..., 0]
    np.testing.assert_allclose(loss(1.0), -(log_p * (text > 0)).sum(axis=1), rtol=1e-5)
    assert (loss(0.5)[:1] != loss(1.0)[:1]).any()


def test_a_run_writes_and_is_measured_by_tokens(tmp_path, capsys):
    config = default_config()
    config.data.name, config.task.name, config.model.name = "reverse", "translation", "seq2seq"
    config.data.train, config.data.validation, config.data.test = "train[:64]", "train[64:96]", "test[:41]"
    config.model.options, config.task.options = {"units": 8}, {"beam": 2}
    config.batch_size, config.duration, config.evaluation.every = 16, "4 steps", "4 steps"
    train(config, tmp_path / "run")
    trained, batch = Trained(tmp_path / "run"), load("reverse", "test[:41]").read(range(41))
    given = {**batch, "image": batch["image"] / np.float32(255)}
    outputs = jax.jit(lambda v: trained.model.apply(v, given, method=trained.task.infer))(trained.variables)
    assert main(["evaluate", "--workdir", str(tmp_path / "run"), "--split", "test", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    there = batch["text"] > 0
    log_p = np.take_along_axis(np.asarray(jax.nn.log_softmax(outputs["logits"])), batch["text"][..., None], axis=2)
    assert row["loss"] == pytest.approx(-log_p[there].sum() / there.sum(), rel=1e-5) and row["n"] == 41
    assert row["perplexity"] == pytest.approx(np.exp(row["loss"]))
    right = np.asarray(outputs["logits"]).argmax(axis=2) == batch["text"]
    assert row["token_accuracy"] == pytest.approx(right[there].mean())
    Image.fromarray(batch["image"][3, :, :, 0]).save(tmp_path / "three.png")
    (said,) = trained.predict([tmp_path / "three.png"])
    assert said["text"] == " ".join(trained.classes[token - 1] for token in outputs["text"][3].tolist() if token)


@pytest.mark.parametrize("changes, said", [
    ({"data.name": "strings"}, "task translation wants texts whose classes begin with <begin> and <end>"),
    ({"model.name": "crnn_small"}, "a network that reads and writes .* encode and step"),
    ({"task.options.beam": 0}, "beam is 0; it is a width, from 1"),
    ({"task.options.own_tokens": 1.5}, "own_tokens is 1.5; it is a probability"),
    ({"task.options.penalty": 0.7}, "penalty is 0.7, but beam is 1"),
    ({"task.options": {"beam": 2, "penalty": float("nan")}}, "penalty is nan; it is a finite number"),
])  # fmt: skip
def test_what_cannot_write_is_refused(changes, said):
    config = default_config()
    config.data.name, config.task.name, config.model.name = "copy", "translation", "seq2seq"
    config.task.options = {"beam": 1, "own_tokens": 0.0, "penalty": 0.0}
    config.update_from_flattened_dict(changes)
    with pytest.raises(InputError, match=said):
        set_up(config)
