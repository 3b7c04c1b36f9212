"""Learning without forgetting: the loss, what is recorded, and the methods that it is compared with."""

import functools
import shutil

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from safetensors.numpy import load_file

import jaxcnn
from jaxcnn.data import Arrays, Records, load, read_all
from jaxcnn.errors import InputError
from jaxcnn.operators import softmax_cross_entropy
from jaxcnn.population import train_population
from jaxcnn.tasks import TASKS, About
from jaxcnn.training.finetune.plan import changes_with_classes
from jaxcnn.training.preflight.checks import teacher_checks
from jaxcnn.training.preflight.dry_run import describe
from jaxcnn.transfer.forgetting import TwoHeads, likelihood, predictions, second_task

SETTINGS = {
    "data.image_size": (8, 8),
    "model.options": {"widths": (4,), "convolutions": 1, "hidden": (8,)},
    "batch_size": 24,
    "duration": "4 steps",
    "evaluation.every": "4 steps",
    "optimizer.weight_decay": 0.01,
}


def task(split, *, data_dir, image_size, on_error, **options):
    """ "old", "new" or "both": 96 digits 0 to 4, 5 to 9, or the two together; "old_again" for what is held out."""
    arrays = _digits(image_size)
    which = split.removesuffix("_again")
    digits = {"old": range(5), "new": range(5, 10), "both": range(10)}[which]
    kept = np.flatnonzero(np.isin(arrays["label"], digits))[: 96 * (1 + (which == "both"))]
    images, labels = arrays["image"][kept], arrays["label"][kept] - digits.start
    return Records(Arrays(split, {split: (images, labels)}, map(str, digits)), split, on_error=on_error)


task.default_splits = {"test": ""}


@functools.cache
def _digits(image_size):
    return read_all(load("digits", "train[:400]", image_size=image_size))


@pytest.fixture(scope="module")
def recipe(tiny_config):
    def make(split, changes=None):
        names = {"data.name": "test_forgetting:task", "data.train": split, "data.validation": f"{split}_again"}
        with (config := tiny_config()).unlocked():
            config.update_from_flattened_dict({**SETTINGS, **names, **(changes or {})})
        return config

    return make


@pytest.fixture(scope="module")
def old(recipe, tmp_path_factory):
    """The Result of the run of the old task."""
    return jaxcnn.train(recipe("old"), tmp_path_factory.mktemp("old"), quiet=True, devices=jax.devices()[:1])


@pytest.fixture(scope="module")
def learned(recipe, old, tmp_path_factory):
    """learned(method, weight=1.0): the Result of the second task, without a warm-up but for feature extraction."""
    done = {}

    def get(method, weight=1.0):
        if (method, weight) not in done:
            config = recipe("both" if method == "joint" else "new", {"seed": 1})
            config = second_task(config, old.workdir, method=method, weight=weight)
            folder = tmp_path_factory.mktemp(method)
            done[method, weight] = jaxcnn.train(config, folder, quiet=True, devices=jax.devices()[:1])
        return done[method, weight]

    return get


def parameters(result):
    return {name: np.asarray(x) for name, x in flatten_dict(result.state.params, sep="/").items()}


def softmax(logits):
    exponential = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponential / exponential.sum(axis=1, keepdims=True)


def test_the_loss_is_the_paper_s():
    """Equations 2 to 4: -lambda sum y' log yhat', with y' = y**(1 / T) / sum y**(1 / T) of recorded probabilities y."""
    generator = np.random.default_rng(0)
    ours, recorded = generator.normal(size=(2, 6, 5))
    about = About(tuple("abcde"), (8, 8, 1), {}, 0.0, 1.0, loss=softmax_cross_entropy)
    batch = {"image": np.zeros((6, 8, 8, 1), np.float32), "label": np.arange(6) % 5, "old": np.float32(recorded)}
    batch["targets"] = np.eye(5, dtype=np.float32)[batch["label"]]

    def network(images, *, train):
        return np.zeros((len(images), 5), np.float32), {"old": np.float32(ours)}

    def loss(task, **options):
        return TASKS[task].create(about, **options).players[0].objective(network, batch, {}).loss

    loss = loss("learning_without_forgetting", weight=3.0) - loss("classification")
    teacher, student = (softmax(x) ** 0.5 for x in (recorded, ours))
    teacher, student = (x / x.sum(axis=1, keepdims=True) for x in (teacher, student))
    np.testing.assert_allclose(loss, -3 * (teacher * np.log(student)).sum(axis=1), rtol=1e-5)


def test_responses_are_those_of_the_old_network_to_the_new_images(old, learned):
    recorded = load_file(learned("lwf").workdir / "responses.safetensors")["old"]
    trained = jaxcnn.Trained(old.workdir)
    images = read_all(task("new", data_dir="", image_size=(8, 8), on_error="raise"))["image"]
    np.testing.assert_allclose(softmax(recorded), trained.probabilities(images), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("content", [None, b"{}"])
def test_responses_that_are_lost_or_damaged_are_named_and_not_recorded_again(content, recipe, old, learned, tmp_path):
    run = shutil.copytree(learned("lwf").workdir, tmp_path / "run")
    (run / "responses.safetensors").unlink()
    if content is not None:
        (run / "responses.safetensors").write_bytes(content)
    config = second_task(recipe("new", {"seed": 1, "duration": "6 steps"}), old.workdir, method="lwf")
    with pytest.raises(InputError, match=r"responses\.safetensors is damaged: .* Restore it"):
        jaxcnn.train(config, run, quiet=True, devices=jax.devices()[:1], extend=True)


def test_without_weight_it_is_training_of_the_new_task_with_the_old_head_idle(learned):
    """lambda_old 0: shared and new parameters as fine-tuning's; the old head gets weight decay and nothing else."""
    free, tuned = parameters(learned("lwf", 0.0)), parameters(learned("fine_tuning"))
    assert free.keys() == tuned.keys()
    for name in free:
        if not name.startswith("output/"):
            np.testing.assert_allclose(free[name], tuned[name], rtol=1e-5, atol=1e-6, err_msg=name)
    held = parameters(learned("lwf"))
    assert np.abs(held["conv1_1/kernel"] - free["conv1_1/kernel"]).max() > 1e-4


@pytest.mark.parametrize(
    ("method", "stays"),
    [("feature_extraction", ("conv1_1", "fc1", "output")), ("fine_tuning", ("output",)), ("lwf", ()), ("joint", ())],
)
def test_what_a_method_leaves_as_it_was(method, stays, old, learned):
    before, after = parameters(old), parameters(learned(method))
    assert after.keys() - before.keys() == {"new_head/kernel", "new_head/bias"}
    for name in before:
        assert (before[name].tobytes() == after[name].tobytes()) == (name.split("/")[0] in stays), name


def test_a_step_follows_both_losses(old, recipe, tmp_path, one_device):
    """The second of two steps of plain SGD on all images: w - rate * grad(new + 2 * distillation), by jax.grad."""
    changes = {"duration": "2 steps", "batch_size": 96, "checkpoint.every": "1 steps"}
    changes |= {"optimizer.momentum": 0.0, "optimizer.weight_decay": 0.0, "optimizer.learning_rate": 0.5}
    config = second_task(recipe("new", changes), old.workdir, weight=2.0)
    ended = parameters(jaxcnn.train(config, tmp_path, quiet=True, devices=one_device))
    before, first = jaxcnn.Trained(tmp_path, 1), jaxcnn.Trained(old.workdir)
    batch = read_all(task("new", data_dir="", image_size=(8, 8), on_error="raise"))
    images = (batch["image"] / np.float32(255) - first.mean) / first.std
    recorded = np.asarray(first.model.apply(first.variables, images, train=False)[0], np.float64)
    teacher = softmax(recorded / 2).astype(np.float32)
    labels = np.eye(5, dtype=np.float32)[batch["label"]]

    def distillation(features):
        return -(teacher * jax.nn.log_softmax(features["old"] / 2)).sum(axis=1).mean()

    def objective(params, weight):
        logits, features = before.model.apply({"params": params}, images, train=False)
        return -(labels * jax.nn.log_softmax(logits)).sum(axis=1).mean() + weight * distillation(features)

    begun = flatten_dict(before.variables["params"], sep="/")
    both, new = (flatten_dict(jax.grad(objective)(before.variables["params"], w), sep="/") for w in (2.0, 0.0))
    for name, gradient in both.items():
        np.testing.assert_allclose(ended[name], begun[name] - 0.5 * gradient, atol=1e-5, err_msg=name)
    assert np.abs(both["conv1_1/kernel"] - new["conv1_1/kernel"]).max() > 1e-4  # the second term is there


def test_joint_gives_each_task_its_own_probabilities():
    model = TwoHeads("convnet", 3, {"widths": (2,), "convolutions": 1, "hidden": ()}, num_classes=5, joint=True)
    images = np.random.default_rng(0).normal(size=(4, 4, 4, 1)).astype(np.float32)
    (logits, features), _ = model.init_with_output(jax.random.key(0), images, train=False)
    expected = np.concatenate([np.log(softmax(np.asarray(features[head]))) for head in ("old", "new")], axis=1)
    np.testing.assert_allclose(logits, expected, rtol=1e-5)
    targets = np.eye(5, dtype=np.float32)[[0, 2, 3, 4]]
    np.testing.assert_allclose(likelihood(logits, targets), -expected[np.arange(4), [0, 2, 3, 4]], rtol=1e-5)


def test_predictions_of_both_heads(old, learned):
    images = read_all(task("both", data_dir="", image_size=(8, 8), on_error="raise"))["image"]
    kept = jaxcnn.Trained(learned("feature_extraction").workdir)
    found = predictions(kept, images, batch_size=50)
    assert {name: x.shape for name, x in found.items()} == {"old": (192,), "new": (192,)}
    np.testing.assert_array_equal(found["old"], jaxcnn.Trained(old.workdir).probabilities(images).argmax(axis=1))
    np.testing.assert_array_equal(found["new"], kept.probabilities(images).argmax(axis=1))


def test_the_head_is_found_by_what_depends_on_the_classes():
    model = jaxcnn.create("googlenet_bn", num_classes=7)
    heads = {name.rpartition("/")[0] for name in changes_with_classes(model, (224, 224, 3))}
    assert heads == {"linear", "aux1/linear", "aux2/linear"}


def test_what_does_not_fit_is_refused(recipe, old, tmp_path, one_device):
    def refused(config):
        with pytest.raises(InputError) as caught:
            jaxcnn.train(config, tmp_path / "run", quiet=True, devices=one_device)
        return str(caught.value)

    with pytest.raises(InputError, match="fine_tuning"):
        second_task(recipe("new"), old.workdir, method="finetuning")
    task = {"task.name": "learning_without_forgetting"}
    assert "config.finetune.source" in refused(recipe("new", task))
    task["finetune.source"] = str(old.workdir)
    assert "whole images" in refused(recipe("new", {**task, "augment.mixup": 0.2}))
    assert "above 0" in refused(recipe("new", {**task, "task.options": {"temperature": 0.0}}))
    assert "temprature" in refused(recipe("new", {**task, "task.options": {"temprature": 1.0}}))
    config = second_task(recipe("new", {"data.resident": "no"}), old.workdir)
    assert "streamed" in refused(config)
    with pytest.raises(InputError, match="for runs alone"):
        train_population([config], [tmp_path / "member"], tmp_path / "all", quiet=True)


def test_the_new_head_reads_no_map_of_the_old_classes():
    """NiN ends in a map for each class: those are the old head's."""
    model = TwoHeads("nin_cifar", 5, {}, num_classes=3)
    images = np.zeros((1, 32, 32, 3), np.float32)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))["params"]
    assert shapes["new_head"]["kernel"].shape == (8 * 8 * 192, 3)  # cccp5, not the 5 maps of cccp6


def test_a_dry_run_of_a_second_task_ends_and_the_checks_say_that_they_do_not_apply(recipe, old):
    config = second_task(recipe("new"), old.workdir)
    assert any(line.startswith("temporary memory of a training step") for line in describe(config))
    with pytest.raises(InputError, match="task learning_without_forgetting learns from what the network"):
        teacher_checks(config)
