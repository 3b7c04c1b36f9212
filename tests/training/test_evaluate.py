"""Evaluation on exactly N images, against NumPy, for any batch size, device count and way of the images."""

import itertools
import json

import jax
import numpy as np
import pytest
from PIL import Image

from jaxcnn.data import Arrays, Records
from jaxcnn.errors import InputError
from jaxcnn.tasks.classification import per_class
from jaxcnn.training.feed import Feed
from jaxcnn.training.setup import set_up
from jaxcnn.training.splits import load_records
from jaxcnn.training.state import create_state

DATA = """
import numpy as np
from jaxcnn.data import Arrays, Records

def load(split, *, data_dir, **options):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    labels = np.arange(60) % 3
    splits = {"train": (images, labels), "test": (images[:9], labels[:9])}
    return Records(Arrays("shapes", splits, "abc"), split, **options)
"""


def evaluate(config, records, *, devices=1, resident="auto", variables=None):
    """(Evaluation of the network before its first step, or of variables; the Setup; the variables)."""
    setup = set_up(config, devices=jax.devices()[:devices])
    if variables is None:
        state = create_state(setup)
        variables = {"params": state.params, "batch_stats": state.batch_stats}
    feed = Feed(records, setup.replicas, seed=0, resident=resident)
    evaluator = setup.evaluator(setup.task(np.full(1, 0.3), np.full(1, 0.5)), feed)
    (found,) = evaluator(setup.replicas.replicate(variables))
    return found, setup, variables


def by_numpy(setup, variables, images, labels, classes):
    """(loss, top1, top5, confusion, wrong) of images, by the model's logits alone."""
    pixels = (images.astype(np.float32) / 255 - 0.3) / 0.5
    logits = np.asarray(setup.model.apply(variables, pixels, train=False)[0], np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    ranked = np.argsort(-logits, axis=1)
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (labels, ranked[:, 0]), 1)
    return (
        -log_p[np.arange(len(labels)), labels].mean(),
        (ranked[:, 0] == labels).mean(),
        (ranked[:, :5] == labels[:, None]).any(axis=1).mean(),
        confusion,
        np.flatnonzero(ranked[:, 0] != labels).tolist(),
    )


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(1)
    return generator.integers(0, 256, (37, 8, 8, 1), dtype=np.uint8), generator.integers(0, 9, 37)  # none of class 9


@pytest.fixture(scope="module")
def records(images):
    return Records(Arrays("noise", {"split": images}, map(str, range(10))), "split")


@pytest.mark.parametrize(
    ("devices", "batch_size", "resident"),
    [*itertools.product([1], [7, 50], ["yes", "no"]), *itertools.product([8], [16, 48], ["yes", "no"])],
)
def test_equals_numpy_on_exactly_n_images(tiny_config, images, records, devices, batch_size, resident):
    config = tiny_config({"evaluation.batch_size": batch_size})
    found, setup, variables = evaluate(config, records, devices=devices, resident=resident)
    loss, top1, top5, confusion, wrong = by_numpy(setup, variables, *images, 10)
    assert 0 < len(wrong) < 37 and found.details["wrong"] == wrong
    assert found.n == 37 and type(found.n) is int
    assert list(found.values) == ["loss", "top1", "top5"] and found.values["loss"] == pytest.approx(loss, rel=1e-5)
    assert (found.values["top1"], found.values["top5"]) == (top1, top5)  # exact fractions: a study compares them
    assert found.details["confusion"] == confusion.tolist() and confusion.sum() == 37
    assert type(json.loads(json.dumps(found.details))["wrong"][0]) is int


def test_one_evaluator_serves_many_networks(tiny_config, records):
    config = tiny_config({"evaluation.batch_size": 10})
    setup = set_up(config, devices=jax.devices()[:1])
    evaluator = setup.evaluator(setup.bare_task, Feed(records, setup.replicas, seed=0))
    results = []
    for seed in (0, 1, 0):
        state = create_state(set_up(tiny_config({"seed": seed}), devices=jax.devices()[:1]))
        (found,) = evaluator(setup.replicas.replicate({"params": state.params, "batch_stats": {}}))
        results.append(found.values["loss"])
    assert results[0] == results[2] != results[1]


def test_per_class():
    confusion = np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]])
    found = per_class(("cat", "dog", "none"), confusion)
    assert found == {"cat": 0.75, "dog": 1.0, "none": None}


def test_top5_of_five_classes_or_fewer_says_nothing(tiny_config, user_package):
    user_package("jaxcnn_test_shapes", DATA)
    config = tiny_config({"data.name": "jaxcnn_test_shapes:load", "batch_size": 6, "evaluation.batch_size": 4})
    setup = set_up(config, devices=jax.devices()[:1])
    found, _, _ = evaluate(config, setup.records("test"))
    assert setup.classes == tuple(found.details["per_class"]) == ("a", "b", "c")
    assert found.n == 9 and found.values["top5"] is None
    confusion = np.array(found.details["confusion"])
    assert confusion.shape == (3, 3) and confusion.sum(axis=1).tolist() == [3, 3, 3]
    assert found.values["top1"] == confusion.diagonal().sum() / 9


@pytest.mark.parametrize("resident", ["yes", "no"])
def test_what_cannot_be_read_is_not_counted(tiny_config, tmp_path, resident):
    generator = np.random.default_rng(0)
    for label, i in itertools.product(("a", "b"), range(6)):
        (tmp_path / label).mkdir(exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / label / f"{i}.png")
    for path in (tmp_path / "a" / "3.png", tmp_path / "b" / "0.png", tmp_path / "b" / "1.png"):
        path.write_bytes(path.read_bytes()[:40])
    config = tiny_config({"data.name": f"folder:{tmp_path}", "data.on_error": "skip", "batch_size": 4})
    config.update_from_flattened_dict({"data.train": "train[:1]", "data.validation": "train[1:]"})
    config.evaluation.batch_size = 5
    with (every := set_up(config, devices=jax.devices()[:1]).config.copy_and_resolve_references()).unlocked():
        every.data.train = "train"
    records = load_records(every, "train")
    found, _, _ = evaluate(config, records, resident=resident)
    assert found.n == 9
    confusion, wrong = np.array(found.details["confusion"]), found.details["wrong"]
    assert confusion.sum(axis=1).tolist() == [5, 4]
    unreadable = set(np.flatnonzero(records.read(range(12))["mask"] == 0).tolist())
    assert len(wrong) == confusion.sum() - confusion.diagonal().sum()
    assert wrong and len(unreadable) == 3 and not unreadable & set(wrong)
    for path in tmp_path.glob("*/*.png"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"none of the 12 images of folder:.*, train, could be read, .*\.png among"):
        evaluate(config, load_records(every, "train"), resident=resident)


def test_a_network_of_nans_has_every_image_wrong(tiny_config, records):
    config = tiny_config({"evaluation.batch_size": 16})
    variables = evaluate(config, records)[2]
    broken = jax.tree.map(lambda x: x * np.nan, variables)
    found, _, _ = evaluate(config, records, variables=broken)
    assert found.values["top1"] == 0 and found.details["wrong"] == list(range(37))


def test_many_batches_over_simulated_devices_end(tiny_config):
    """With all of them in flight the devices of a CPU waited for each other, and XLA ended the process."""
    images = np.zeros((12_000, 8, 8, 1), np.uint8), np.zeros(12_000, np.int32)
    records = Records(Arrays("black", {"test": images}, tuple("0123456789")), "test")
    found, _, _ = evaluate(tiny_config({"evaluation.batch_size": 8}), records, devices=8)
    assert found.n == 12_000
