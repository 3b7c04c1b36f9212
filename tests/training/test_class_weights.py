"""Classification with weights of the classes, and classes that come equally often."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

import jaxcnn
from jaxcnn import InputError
from jaxcnn.operators.loss import softmax_cross_entropy
from jaxcnn.tasks.classification import balanced_weights
from jaxcnn.training.setup import set_up

THINNED = {"data.keep": {"3": 2, "7": 0.1}, "duration": "1 steps", "log_every": 1, "optimizer.ema": 0.9}


def test_balanced_weights_are_scikit_learns():
    labels = np.repeat([0, 1, 2], (5, 1, 14))
    found = balanced_weights(np.bincount(labels, minlength=4))
    np.testing.assert_allclose(found[:3], compute_class_weight("balanced", classes=np.arange(3), y=labels), rtol=1e-6)
    assert found[3] == 0 and found.dtype == np.float32


@pytest.mark.parametrize(
    "weights, smoothing", [("balanced", 0.0), pytest.param({"3": 30.0, "5": 0.5}, 0.2, marks=pytest.mark.long)]
)
def test_the_loss_is_the_weighted_mean_of_the_batch(weights, smoothing, tiny_config, tmp_path, one_device, rows):
    changes = {**THINNED, "task.options": {"class_weights": weights}, "loss.label_smoothing": smoothing}
    config = tiny_config(changes | {"evaluation.every": "1 steps", "checkpoint.every": "1 steps"})
    jaxcnn.train(config, tmp_path / "run", quiet=True, devices=one_device)
    setup = set_up(config, devices=one_device)
    order = jaxcnn.training.feed.training_order(config, setup.train, seed=0)
    batch = setup.train.read(order.records(0, 32))
    counts = np.bincount(setup.train.labels())
    of_class = counts.sum() / (10 * counts) if weights == "balanced" else np.ones(10)
    if weights != "balanced":
        of_class[[3, 5]] = 30, 0.5
    start = jaxcnn.training.state.create_state(setup)
    trained = jaxcnn.Trained(tmp_path / "run")
    logits = trained.apply({"params": start.params, "batch_stats": {}}, batch["image"])[0]
    targets = np.eye(10, dtype=np.float32)[batch["label"]] * (1 - smoothing) + smoothing / 10
    v = targets @ of_class
    expected = np.sum(v * softmax_cross_entropy(logits, targets)) / np.sum(v)
    train, held_out = rows(tmp_path / "run")
    np.testing.assert_allclose(train["loss"], expected, rtol=2e-6)
    batch = setup.records("validation").read(range(144))
    logits = trained.apply(trained.variables, batch["image"])[0]
    whole = softmax_cross_entropy(logits, np.eye(10, dtype=np.float32)[batch["label"]])
    np.testing.assert_allclose(held_out["loss"], np.mean(whole), rtol=2e-6)  # every image weighs alike there


@pytest.mark.long
def test_on_eight_devices_as_on_one(tiny_config, tmp_path, one_device, numbers):
    changes = {**THINNED, "augment.mixup": 0.4, "task.options": {"class_weights": "balanced"}, "duration": "3 steps"}
    config = tiny_config(changes)
    one, eight = (
        jaxcnn.train(config, tmp_path / str(len(devices or "all")), quiet=True, devices=devices)
        for devices in (one_device, None)
    )
    for name, value in numbers(one.state).items():
        np.testing.assert_allclose(value, numbers(eight.state)[name], rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "weights, words",
    [
        ("balance", "class_weights is 'balance'; it is 'balanced' or {class: weight}"),
        ({"33": 1.0}, "unknown class of class_weights '33'; did you mean '3'"),
        ({"3": 0}, "the weight of '3' is 0; it is a positive number"),
        ({"3": "much"}, "the weight of '3' is 'much'"),
    ],
)
def test_weights_that_cannot_be_are_refused(weights, words, tiny_config, one_device):
    with pytest.raises(InputError, match=f"config.task.options: .*{words}"):
        set_up(tiny_config({"task.options": {"class_weights": weights}}), devices=one_device)


def test_a_thinned_class_comes_as_often_as_the_others_with_the_sampler_balanced(tiny_config, one_device):
    config = tiny_config({**THINNED, "sampler.name": "balanced"})
    setup = set_up(config, devices=one_device)
    order = jaxcnn.training.feed.training_order(setup.config, setup.train, seed=0)
    seen = np.bincount(setup.train.labels()[order.records(0, 320)])
    assert seen.tolist() == [32] * 10
