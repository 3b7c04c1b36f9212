"""Metrics of a user's own: measured as the task's own numbers are, and imported only where somebody evaluates."""

import json
import shutil

import numpy as np
import pytest

import jaxcnn
from jaxcnn import InputError, trust
from jaxcnn.sweeps import Claim, Study
from jaxcnn.tasks import CLASSIFICATION
from jaxcnn.training.setup import set_up
from jaxcnn.visualize.curves import panels_of

OWN = """
import jax

def right(outputs, batch):
    return outputs["logits"].argmax(axis=1) == batch["label"]

def of_zeros(outputs, batch):
    zero = batch["label"] == 0
    return zero * right(outputs, batch), zero

def counts(outputs, batch):
    return jax.nn.one_hot(batch["label"], 10)

counts.finish = lambda total: total.max()
counts.unit, counts.higher_is_better = "images", False

def top1(outputs, batch):
    return right(outputs, batch)

def flat(outputs, batch):
    return right(outputs, batch).mean()

def total(outputs, batch):
    return right(outputs, batch).sum()

total.finish = float

def three(outputs, batch):
    return (right(outputs, batch),) * 3

def listed(outputs, batch):
    return [right(outputs, batch)]

def slips(outputs, batch):
    return outputs["logit"]

number = 3
"""
NAMES = ("right", "of_zeros", "counts")


@pytest.fixture
def own(user_package):
    """The name of a module of a user's own."""
    user_package("jaxcnn_test_metrics", OWN)
    return "jaxcnn_test_metrics"


def with_metrics(run, names, folder):
    """A copy of a run whose config names these metrics."""
    run = shutil.copytree(run, folder / "run")
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "metrics": names}))
    return run


def test_metrics_stand_beside_the_measures_of_the_task(own, tiny_config, tiny_run, tmp_path, one_device):
    """360 test images in batches of 32: what pads the last one is not counted."""
    names = tuple(f"{own}:{name}" for name in NAMES)
    config = tiny_config({"metrics": names})
    kind = set_up(config, devices=one_device).kind  # which allows them
    run = with_metrics(tiny_run, names, tmp_path)
    result, row = jaxcnn.Trained(run).evaluate("test")
    confusion = np.array(result.details["confusion"])
    assert [*row][:10] == ["architecture", "step", "split", "n", "loss", "top1", "top5", *NAMES]
    assert (row["right"], row["counts"]) == (row["top1"], confusion.sum(axis=1).max())
    assert row["of_zeros"] == confusion[0, 0] / confusion[0].sum() and 0 < row["top1"] < 1
    assert [panel.key for panel in panels_of(kind, [row])] == ["loss", "top1", *NAMES]
    assert kind.measures["counts"].unit == "images" and not kind.measures["counts"].higher_is_better


def test_a_run_without_metrics_has_the_kind_of_its_task(tiny_config, one_device):
    assert set_up(tiny_config(), devices=one_device).kind is CLASSIFICATION


def test_a_study_claims_about_them(own, tiny_config):
    rate = "optimizer.learning_rate"
    claim = Claim("", {rate: 0.1}, {rate: 0.2}, metric="test_counts")
    study = Study(tiny_config({"metrics": (f"{own}:counts",)}), {rate: (0.1, 0.2)}, (0,), claims=(claim,))
    assert study.metrics["test_counts"].measure.unit == "images"
    with pytest.raises(InputError, match="test_counts"):
        Study(tiny_config(), {rate: (0.1, 0.2)}, (0,), claims=(claim,))


@pytest.mark.parametrize(("names", "words"), [
    (("accuracy",), "config.metrics: unknown metric 'accuracy'; known: none; one of your own: package.module"),
    (("own:top1",), "'jaxcnn_test_metrics:top1' would be a second measure 'top1'"),
    (("own:right", "own:right"), "would be a second measure 'right'"),
    (("own:flat",), "mean 'flat' of score has shape () for 2 images; it has a value for each, (2,)"),
    (("own:total",), "metric jaxcnn_test_metrics:total gives () for 2 images; it has a row for each, (2, ...)"),
    (("own:three",), "metric jaxcnn_test_metrics:three returns 3 values in a tuple; it returns an array, or two in a"),
    (("own:listed",), "metric jaxcnn_test_metrics:listed returns list; it returns an array, or two in a tuple"),
    (("own:slips",), "line 35: metric jaxcnn_test_metrics:slips: KeyError: 'logit'"),
    (("own:number",), "is an object of type int; it is a function of yours, f(outputs, batch) -> (n,)"),
    ((3,), "config.metrics is (3,); it holds names in quotes"),
])  # fmt: skip
def test_a_metric_that_cannot_be_is_refused(names, words, own, tiny_config, one_device):
    names = tuple(name.replace("own:", f"{own}:") if isinstance(name, str) else name for name in names)
    with pytest.raises(InputError) as refused:
        set_up(tiny_config({"metrics": names}), devices=one_device)
    assert words in str(refused.value), str(refused.value)


def test_a_strangers_metric_is_imported_by_nobody(tiny_run, tmp_path, user_package):
    """predict needs none; evaluate asks for the user's word."""
    user_package("jaxcnn_test_their_metrics", f"open({str(tmp_path / 'IMPORTED')!r}, 'w')")
    run = with_metrics(tiny_run, ["jaxcnn_test_their_metrics:right"], tmp_path)
    trained = jaxcnn.Trained(run)
    with pytest.raises(trust.Untrusted, match="metrics is 'jaxcnn_test_their_metrics:right'"):
        trained.evaluate("validation")
    assert not (tmp_path / "IMPORTED").exists()
