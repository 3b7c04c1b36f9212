"""Runs that read, write, describe and count: killed and resumed, on eight devices, and members of a study's program."""

import jax
import numpy as np
import pytest

import jaxcnn
from jaxcnn.sweeps import Claim, Study, run_study
from jaxcnn.training.train import Preempted

SMALL_CRNN = {"units": 4, "stages": ((4, 3, True, (2, 2)), (4, 3, True, (2, 1)))}
SMALL_TRUNK = {"backbone_options": {"widths": (4,), "convolutions": 1, "hidden": (), "batch_norm": True}}
SMALL_CAPTIONER = {"backbone": "convnet", **SMALL_TRUNK, "stage": "pool1", "units": 4, "embedding": 3}
KINDS = {  # task: (data, network, its options, options of the task, a measure)
    "reading": ("strings", "crnn_small", SMALL_CRNN, {}, "cer"),
    "translation": ("copy", "seq2seq", {"units": 4, "attention": True}, {"beam": 2, "own_tokens": 0.5}, "loss"),
    "captioning": ("sentences", "caption_attention", SMALL_CAPTIONER, {}, "loss"),
    "regression": ("add_10", "rnn_classifier", {"units": 4, "num_classes": 1}, {}, "loss"),
}
# each compiles a recurrent network and a search, which takes half a minute
ALL = [name if name == "regression" else pytest.param(name, marks=pytest.mark.long) for name in KINDS]


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch):
    """All of `sentences` takes seconds to draw."""
    monkeypatch.setattr("jaxcnn.data.text.sentences.COUNTS", {"train": 100, "test": 44})


@pytest.fixture
def config(tiny_config):
    """make("reading", {"seed": 1}) is the config of six steps on 48 examples, with an average and dropout."""

    def make(kind, changes=None):
        data, network, options, task, _ = KINDS[kind]
        with (made := tiny_config()).unlocked():
            made.data.name, made.model.name, made.model.options = data, network, options
            made.data.image_size = ()
            made.data.train, made.data.validation, made.data.test = "train[:48]", "train[48:72]", "test[:29]"
            made.task.name, made.task.options = kind, task
            made.batch_size, made.duration, made.log_every = 16, "6 steps", 2
            made.optimizer.name, made.optimizer.learning_rate, made.optimizer.ema = "adam", 0.01, 0.5
            made.evaluation.every = made.checkpoint.every = "2 steps"
            made.update_from_flattened_dict(changes or {})
        return made

    return make


def train(config, workdir, devices=1):
    return jaxcnn.train(config, workdir, quiet=True, devices=jax.devices()[:devices])


@pytest.mark.parametrize("kind", ALL)
def test_killed_and_resumed_it_ends_with_the_same_bits(kind, config, tmp_path, terminate_at, rows, assert_same_bits):
    whole = train(config(kind), tmp_path / "whole")
    terminate_at(2 * 16)  # the third batch is read
    with pytest.raises(Preempted):
        train(config(kind), tmp_path / "broken")
    resumed = train(config(kind), tmp_path / "broken")
    assert_same_bits(whole.state, resumed.state)
    assert rows(whole.workdir) == rows(resumed.workdir) and whole.test == resumed.test
    assert whole.test["n"] == 29


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_eight_devices_give_what_one_does(kind, config, tmp_path):
    # own tokens are drawn on each device, and Adam divides by noise
    changes = {"task.options": {}, "optimizer.name": "sgd"}
    if kind in ("reading", "captioning"):  # their networks have norms
        changes["model.batch_norm"] = "synchronized"
    one, eight = (train(config(kind, changes), tmp_path / str(count), count) for count in (1, 8))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), one.state.params, eight.state.params
    )
    measured = [name for name, value in one.test.items() if isinstance(value, float)]
    assert KINDS[kind][-1] in measured and one.test["n"] == eight.test["n"] == 29
    assert [one.test[name] for name in measured] == pytest.approx([eight.test[name] for name in measured], rel=1e-3)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_a_study_in_one_program_judges_a_claim_and_a_member_is_the_run_alone(kind, config, tmp_path):
    rate, metric = "optimizer.learning_rate", f"test_{KINDS[kind][-1]}"
    claim = Claim("A higher rate is farther away.", {rate: 0.02}, {rate: 0.01}, metric)
    study = Study(config(kind), {rate: (0.02, 0.01)}, seeds=(0, 1), claims=(claim,))
    cells, failed = run_study(study, tmp_path, title="", quiet=True, population=True)
    assert not failed and [len(cell.values[metric]) for cell in cells] == [2, 2]
    assert claim.text in (tmp_path / "summary.md").read_text()
    alone = train(study.runs()[3].config, tmp_path / "alone")
    assert cells[1].values[metric][1] == pytest.approx(alone.test[KINDS[kind][-1]], rel=1e-3)
