"""Captioning: measures by loops and by sacrebleu, padding, attention's penalty, and a run from training to a file."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sacrebleu
from PIL import Image

from jaxcnn import Trained, default_config, train
from jaxcnn.architectures import create
from jaxcnn.cli import main
from jaxcnn.data import load
from jaxcnn.errors import InputError
from jaxcnn.tasks import TASKS, About
from jaxcnn.tasks.bleu import bleu
from jaxcnn.tasks.captioning import bleu_of
from jaxcnn.training.setup import set_up
from jaxcnn.visualize import attention
from jaxcnn.visualize.collect import write_report
from jaxcnn.visualize.selection import Selection

CLASSES = ("<begin>", "<end>", "<unknown>", "a", "b", "c")
TRUNK = {"backbone": "convnet", "backbone_options": {"widths": (4,), "convolutions": 1, "hidden": ()}}
TRUNK |= {"stage": "conv1_1", "units": 4, "embedding": 3, "dropout_rate": 0.0}
SAID = (((4, 5, 2), (6, 2)), ((5, 2),), ((4, 4, 4, 2), (3, 5, 2), (6, 6, 2)))  # of three images, 3 is <unknown>


def padded(said, most, length):
    """int32 (n, most, length) of lists of captions."""
    found = np.zeros((len(said), most, length), np.int32)
    for rows, captions in zip(found, said, strict=True):
        for row, tokens in zip(rows, captions, strict=False):
            row[: len(tokens)] = tokens
    return found


def task_of(most, length, **options):
    about = About(CLASSES, (4, 4, 1), {"captions": ((most, length), np.int32)}, 0.25, 0.5)
    return TASKS["captioning"].create(about, **options)


@pytest.fixture(scope="module", params=["caption_lstm", "caption_attention"])
def network(request, draw):
    """(module, its variables, three images, its jitted methods encode and step)."""
    image = np.random.default_rng(0).uniform(size=(3, 4, 4, 1)).astype(np.float32)
    module = create(request.param, num_classes=len(CLASSES), **TRUNK)
    encode, step = (jax.jit(functools.partial(module.apply, method=name)) for name in ("encode", "step"))
    return module, draw(module, image.shape[1:]), image, encode, step


@pytest.fixture(scope="module")
def draw():
    def draw(model, size):
        random = np.random.default_rng(0)
        made = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((2, *size)), train=False))
        return jax.tree.map(lambda leaf: random.normal(size=leaf.shape, scale=0.7).astype(np.float32), made)

    return draw


def scored(network, rows, captions, **options):
    module, variables, image, *_ = network
    task = task_of(*captions.shape[1:], **options)
    batch = {"image": image[rows], "captions": captions, "mask": np.ones(len(captions), np.float32)}
    outputs = jax.jit(lambda v: module.apply(v, batch, method=task.infer))(variables)
    return task.score(outputs, batch), outputs


def steps(network, row, tokens):
    """The log probabilities (V,) before each token of a caption, by the network's steps one by one."""
    _, variables, image, encode, step = network
    state = encode(variables, (image[row : row + 1] - 0.25) / 0.5)
    for before in (1, *tokens[:-1]):
        logits, _, state = step(variables, np.array([before]), state)
        yield np.array(logits[0] - np.logaddexp.reduce(logits[0]))


def test_loss_and_accuracy_are_those_of_each_caption_alone_without_padding(network):
    scores, _ = scored(network, slice(3), padded(SAID, 4, 6))
    for row, captions in enumerate(SAID):
        log_p = [
            (p, token) for tokens in captions for p, token in zip(steps(network, row, tokens), tokens, strict=True)
        ]
        loss, right = -sum(p[token] for p, token in log_p), sum(p.argmax() == token for p, token in log_p)
        for name, value in (("loss", loss), ("token_accuracy", right)):
            numerator, divisor = scores.means[name]
            np.testing.assert_allclose((numerator[row], divisor[row]), (value, len(log_p)), rtol=1e-5, err_msg=name)
    alone, _ = scored(network, slice(1, 2), padded(SAID[1:2], 1, 2))
    for name in ("loss", "token_accuracy"):
        for many, one in zip(scores.means[name], alone.means[name], strict=True):
            np.testing.assert_allclose(many[1], one[0], rtol=1e-6)


def test_what_is_written_is_found_by_the_steps_and_compared_with_every_caption(network):
    module, variables, *more = network
    params = jax.tree.map(np.array, variables["params"])
    params["output"]["bias"][[0, 1, 3]] += 20  # nothing, <begin> and <unknown> would be likeliest
    network = (module, {**variables, "params": params}, *more)
    _, outputs = scored(network, slice(3), padded(SAID, 3, 4))
    texts = [[token for token in row if token] for row in outputs["text"].tolist()]
    for row, text in enumerate(texts):
        wanted = [*text, 2][:4]
        for log_p, token in zip(steps(network, row, [*text, 2]), wanted, strict=False):
            log_p[[0, 1, 3]] = -np.inf
            assert log_p.argmax() == token
    said = [[(9, 2), (*text, 2)[:4]] if row != 1 else [(4, 2), (9, 2)] for row, text in enumerate(texts)]
    scores, _ = scored(network, slice(3), padded(said, 2, 4))
    right = [True, False, True]
    assert scores.means["exact"].tolist() == right and scores.rows["wrong"].tolist() == [not r for r in right]
    _, wide = scored(network, slice(3), padded(SAID, 3, 4), beam=3, penalty=0.7)
    assert wide["text"].shape == outputs["text"].shape


def test_own_tokens_move_running_statistics_once(draw):
    trunk = {"widths": (4,), "convolutions": 1, "hidden": (), "batch_norm": True}
    module = create("caption_lstm", num_classes=len(CLASSES), **{**TRUNK, "backbone_options": trunk})
    image = np.random.default_rng(0).uniform(size=(3, 4, 4, 1)).astype(np.float32)
    variables = {**draw(module, image.shape[1:])}
    text = padded(SAID, 1, 4)[:, 0]
    batch = {"image": image, "text": text, "key": jax.random.split(jax.random.key(0), 3)}

    def statistics(share):
        objective = task_of(3, 4, own_tokens=share).players[0].objective
        changed = module.apply(variables, batch, {}, method=objective, mutable=["batch_stats"])[1]
        return jax.tree.leaves(changed["batch_stats"])

    moved = statistics(0.0)
    assert moved and all(map(np.array_equal, moved, statistics(0.5)))
    assert not any(map(np.array_equal, moved, jax.tree.leaves(variables["batch_stats"])))


def test_training_draws_every_caption_alike_and_none_that_is_not_there():
    task, captions = task_of(4, 4), padded(SAID, 4, 4)
    image = np.zeros((4, 4, 1), np.float32)
    draw = jax.jit(
        jax.vmap(lambda key, own: task.prepare(key, {"image": image, "captions": own}, {})["text"], (0, None))
    )
    for own, said in zip(captions, SAID, strict=True):
        texts = np.asarray(draw(jax.random.split(jax.random.key(1), 3000), own))
        shares = [(texts == row).all(axis=1).mean() for row in own[: len(said)]]
        np.testing.assert_allclose(shares, 1 / len(said), atol=0.03)


def test_the_loss_is_that_of_the_drawn_caption_and_attention_pays_for_what_it_leaves_out(network):
    module, variables, image, *_ = network
    text = padded([[own[-1]] for own in SAID], 1, 4)[:, 0]
    batch = {"image": image, "text": text, "key": jax.random.split(jax.random.key(0), 3)}
    terms, more = (
        module.apply(variables, batch, {}, method=task_of(3, 4, spread=share).players[0].objective)
        for share in (0.0, 2.0)
    )
    for row, tokens in enumerate(own[-1] for own in SAID):
        loss = -sum(p[token] for p, token in zip(steps(network, row, tokens), tokens, strict=True))
        np.testing.assert_allclose((terms.loss[row], terms.weight[row]), (loss, len(tokens)), rtol=1e-5)
    np.testing.assert_array_equal(more.means["loss"][0], terms.loss)
    if type(module).__name__ == "ShowAndTell":
        return np.testing.assert_array_equal(more.loss, terms.loss)
    before = np.pad(text[:, :-1], ((0, 0), (1, 0)), constant_values=1)
    _, features = module.apply(variables, (image - 0.25) / 0.5, train=False, text=before)
    np.testing.assert_allclose(features["attention"].sum(axis=(2, 3)), 1, rtol=1e-5)
    for row, tokens in enumerate(own[-1] for own in SAID):
        seen = np.asarray(features["attention"])[row, : len(tokens)].sum(axis=0)
        np.testing.assert_allclose(more.loss[row] - terms.loss[row], 2 * np.square(1 - seen).sum(), rtol=1e-4)


def test_bleu_is_sacrebleus():
    texts = ["a dog runs on the grass", "two men", "a cat"]
    references = [["a dog runs over grass", "the dog runs on the grass"], ["two men sit on a bench"], ["a cat"] * 3]
    scores, signature = bleu(texts, references)
    columns = [["a dog runs over grass", "two men sit on a bench", "a cat"],
               ["the dog runs on the grass", None, "a cat"], [None, None, "a cat"]]  # fmt: skip
    whole = sacrebleu.corpus_bleu(texts, columns, tokenize="none", force=True)
    assert scores["bleu_4"] == whole.score / 100 and "tok:none" in signature and "nrefs:var" in signature
    matches, total, shorter = 6 + 2 + 2, 6 + 2 + 2, np.exp(1 - (6 + 6 + 2) / 10)  # all words occur; r is 14
    assert scores["bleu_1"] == pytest.approx(matches / total * shorter)
    assert scores["bleu_2"] == pytest.approx(np.sqrt(matches / total * (5 + 1 + 1) / 7) * shorter)


def test_an_unknown_word_matches_nothing():
    scores, _ = bleu_of(CLASSES, np.array([[4, 3, 5]]), padded([[(4, 3, 5, 2)]], 1, 4))
    assert scores["bleu_1"] == pytest.approx(2 / 3)


def test_a_caption_without_a_word_is_a_caption():
    """Two texts of two words and one; the first is right, the second has nothing to be right about."""
    scores, _ = bleu_of(CLASSES, np.array([[4, 5], [4, 0]]), padded([[(4, 5, 2)], [(2,)]], 2, 4))
    assert scores["bleu_1"] == pytest.approx(2 / 3)


@pytest.fixture(scope="module", autouse=True)
def few_scenes():
    """All of `sentences` takes seconds to draw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxcnn.data.text.sentences.COUNTS", {"train": 100, "test": 44})
        yield


@pytest.fixture(scope="module")
def captioner(tmp_path_factory):
    """The run directory of a captioner that has trained for six steps, and its config."""
    config = default_config()
    config.data.name, config.task.name, config.model.name = "sentences", "captioning", "caption_attention"
    config.data.train, config.data.validation, config.data.test = "train[:64]", "train[64:96]", "test[:41]"
    trunk = {"widths": (4, 6), "convolutions": 1, "hidden": (), "batch_norm": True}
    config.model.options = {**TRUNK, "backbone_options": trunk, "stage": "conv2_1", "dropout_rate": 0.1}
    config.batch_size, config.duration = 16, "6 steps"
    config.optimizer.name, config.optimizer.learning_rate = "adam", 0.01
    config.evaluation.every = config.checkpoint.every = "3 steps"
    workdir = tmp_path_factory.mktemp("captioner") / "run"
    train(config, workdir)
    return workdir, config


def test_a_run_is_measured_by_tokens_and_by_bleu_and_describes_files(captioner, tmp_path, capsys):
    workdir, _ = captioner
    trained, batch = Trained(workdir), load("sentences", "test[:41]").read(range(41))
    given = {**batch, "image": batch["image"] / np.float32(255)}
    outputs = jax.jit(lambda v: trained.model.apply(v, given, method=trained.task.infer))(trained.variables)
    assert main(["evaluate", "--workdir", str(workdir), "--split", "test", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    there = batch["captions"] > 0
    log_p = np.take_along_axis(np.asarray(jax.nn.log_softmax(outputs["logits"])), batch["captions"][..., None], axis=3)
    assert row["loss"] == pytest.approx(-log_p[there].sum() / there.sum(), rel=1e-5) and row["n"] == 41
    assert row["perplexity"] == pytest.approx(np.exp(row["loss"]))
    names = ("", *trained.classes)
    texts, said = (
        [[" ".join(names[t] for t in text if t not in (0, 2)) for text in rows] for rows in tokens.tolist()]
        for tokens in (np.asarray(outputs["text"])[:, None], batch["captions"])
    )
    columns = [list(column) for column in zip(*said, strict=True)]
    for order in (1, 4):
        metric = sacrebleu.metrics.BLEU(tokenize="none", force=True, max_ngram_order=order)
        assert row[f"bleu_{order}"] == pytest.approx(metric.corpus_score([t for (t,) in texts], columns).score / 100)
    assert row["bleu_signature"].startswith("nrefs:2|case:mixed|eff:no|tok:none")
    assert row["exact"] == pytest.approx(np.mean([t in own for (t,), own in zip(texts, said, strict=True)]))
    Image.fromarray(batch["image"][3]).save(tmp_path / "three.png")
    assert main(["predict", "--workdir", str(workdir), str(tmp_path / "three.png"), "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["predictions"]
    assert answer["text"] == texts[3][0]


def test_the_report_shows_answers_beside_the_true_texts(captioner):
    workdir, _ = captioner
    trained, batch = Trained(workdir), load("sentences", "test[:3]").read(range(3))
    page = write_report(workdir).read_text()
    names = ("", *trained.classes)
    answers = trained.map(trained.infer, batch["image"])["text"]
    for tokens in (*answers, *batch["captions"].reshape(-1, batch["captions"].shape[-1])):
        assert f">{' '.join(names[t] for t in tokens if t not in (0, 2)) or '(nothing)'}</div>" in page
    assert "The first images of test: " in page and page.count('class="answer"') == 24


def test_each_word_shows_the_places_that_it_looked_at(captioner, monkeypatch):
    workdir, _ = captioner
    trained, batch = Trained(workdir), load("sentences", "test[:2]").read(range(2))
    text = np.array([[4, 5, 6, 4, 5, 6, 4, 5, 6], [7, 0, 0, 0, 0, 0, 0, 0, 0]])
    monkeypatch.setattr(type(trained), "infer", lambda self, _, images: {"text": jnp.resize(text, (len(images), 9))})
    seen = {}
    monkeypatch.setattr(attention, "draw_overlays", lambda *arguments: seen.update(zip("ict", arguments, strict=True)))
    attention.draw_attention(trained, Selection(batch["image"], ["one", "two"], [None, None]))
    assert seen["c"] == ["one", "(continued)", "two"] and [len(maps) for maps in seen["t"]] == [7, 2, 1]
    before = np.pad(text[:, :-1], ((0, 0), (1, 0)), constant_values=1)
    given = trained.normalise(batch["image"])
    _, features = trained.model.apply(trained.variables, given, train=False, text=before)
    (word, heat, field), (_, after, _) = seen["t"][0][6], seen["t"][1][0]
    assert word == trained.classes[3] and field.stride == (2.0, 2.0) and field.offset == (0.5, 0.5)
    np.testing.assert_allclose(heat, features["attention"][0, 6], rtol=1e-4)
    np.testing.assert_allclose(after, features["attention"][0, 7], rtol=1e-4)


def test_a_picture_of_attention_is_drawn_where_there_is_some(captioner, tiny_run, tmp_path, capsys):
    output = tmp_path / "looked.png"
    arguments = ["visualize", "attention", "--split", "test", "--index", "0", "3", "--output", str(output)]
    assert main([*arguments, "--workdir", str(captioner[0])]) == 0 and output.exists()
    assert main([*arguments, "--workdir", str(tiny_run)]) == 2
    assert "writes no texts" in capsys.readouterr().err


def test_a_trunk_is_taken_from_a_run_and_stays_as_it_is(tiny_run, tiny_config, tmp_path):
    config = tiny_config()
    with config.unlocked():
        config.data.name, config.task.name, config.model.name = "sentences", "captioning", "caption_lstm"
        config.data.train, config.data.validation, config.data.test = "train[:32]", "train[64:72]", "test[:8]"
        config.data.channels = 1
        config.model.options = {**TRUNK, "stage": "conv1_1"}
        config.batch_size, config.duration = 16, "2 steps"
        config.evaluation.every = config.checkpoint.every = "2 steps"
        config.finetune.source, config.finetune.rename = str(tiny_run), (("*", "trunk/*"),)
        config.finetune.drop, config.finetune.freeze = ("output",), ("trunk",)
        config.finetune.head = ("image", "embed", "decoder", "output")
    found = train(config, tmp_path / "run", quiet=True, devices=jax.devices()[:1])
    source = Trained(tiny_run).variables["params"]["conv1_1"]
    jax.tree.map(np.testing.assert_array_equal, source, jax.device_get(found.state.params["trunk"]["conv1_1"]))


@pytest.mark.parametrize("changes, said", [
    ({"data.name": "strings"}, "task captioning wants texts .* in the field captions. These data hold text"),
    ({"model.name": "crnn_small", "model.options": {}}, "captioning wants a network that reads and writes"),
    ({"task.options": {"spread": -1.0}}, "spread is -1.0; it is the weight of a penalty"),
    ({"task.options": {"beam": 0}}, "beam is 0; it is a width, from 1"),
    ({"model.options": {**TRUNK, "stage": "conv9"}}, "unknown stage 'conv9'"),
    ({"model.options": {**TRUNK, "stage": "fc1", "backbone_options": {"widths": (4,), "hidden": (5,)}}},
     r"stage 'fc1' is of shape \(5,\), no map: one before it fits"),
])  # fmt: skip
def test_what_cannot_describe_is_refused(captioner, changes, said):
    with (config := captioner[1].copy_and_resolve_references()).unlocked():
        for key, value in changes.items():
            section, name = key.split(".")
            config[section][name] = value
        if "data.name" in changes:
            config.data.train = config.data.validation = config.data.test = ""
    with pytest.raises(InputError, match=said):
        set_up(config)
