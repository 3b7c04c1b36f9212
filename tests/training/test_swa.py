"""Stochastic weight averaging: config.optimizer.swa."""

import jax
import numpy as np
import pytest

import jaxcnn
from jaxcnn.errors import InputError
from jaxcnn.population import train_population
from jaxcnn.training.loop import STATISTICS_BATCHES
from jaxcnn.training.rundir.about import read_statistics
from jaxcnn.training.setup import set_up
from jaxcnn.training.train import Preempted

SWA = {
    "optimizer.ema": 0.0,
    "optimizer.swa": "8 steps",
    "evaluation.every": "7 steps",
    "model.dropout": 0.0,
    "augment.pad_crop": 0,
    "augment.flip": False,
}


@pytest.fixture(scope="module")
def whole(stateful_config, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("swa")
    return jaxcnn.train(stateful_config(SWA), workdir, quiet=True, devices=jax.devices()[:1])


def assert_near(one, other, rtol):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol), one, other)


def test_the_averaged_weights_have_statistics_of_their_own(whole, stateful_config, one_device):
    """Those of the batches that would come next, forward through the averaged weights."""
    config, state = stateful_config(SWA), whole.state
    setup = set_up(config, devices=one_device)
    about, order = setup.about(*read_statistics(whole.workdir)), setup.feed("train").order

    def forward(module, images):
        return module(about.normalise(images), train=True)

    stats = state.batch_stats
    for number in range(14, 14 + STATISTICS_BATCHES):
        batch = setup.train.read(order.records(16 * number, 16 * (number + 1)))
        variables = {"params": state.ema["params"], "batch_stats": stats}
        images = np.float32(batch["image"]) / 255
        stats = setup.model.apply(variables, images, method=forward, mutable=["batch_stats"])[1]["batch_stats"]
    assert int(state.step) == 14
    assert_near(state.ema["batch_stats"], stats, rtol=1e-4)
    differ = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), state.ema["batch_stats"], state.batch_stats)
    assert min(jax.tree.leaves(differ)) > 1e-3


def test_evaluation_is_of_the_average(whole):
    network = jaxcnn.Trained(whole.workdir, "latest")
    assert_near(network.variables["params"], whole.state.ema["params"], rtol=0)
    assert_near(network.variables["batch_stats"], whole.state.ema["batch_stats"], rtol=0)


@pytest.mark.long
def test_a_member_of_a_population_is_the_run_alone(whole, stateful_config, tmp_path):
    config = stateful_config(SWA)
    (member,) = train_population([config], [tmp_path / "one"], tmp_path / "all", quiet=True, devices=jax.devices()[:1])
    assert_near(member.state.ema, whole.state.ema, rtol=1e-4)
    assert member.validation == pytest.approx(whole.validation, rel=1e-4)


def test_a_run_that_is_broken_off_ends_with_the_same_bits(
    whole, stateful_config, tmp_path, one_device, terminate_at, assert_same_bits, rows
):
    terminate_at(9 * 16, 12 * 16)  # read ahead in the step before; read for the statistics of step 10
    for step in (9, 10):
        with pytest.raises(Preempted, match=f"step {step} of"):
            jaxcnn.train(stateful_config(SWA), tmp_path, quiet=True, devices=one_device)
    broken = jaxcnn.train(stateful_config(SWA), tmp_path, quiet=True, devices=one_device)
    assert_same_bits(whole.state, broken.state)
    assert rows(whole.workdir) == rows(broken.workdir) and whole.test == broken.test


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer.swa": "75%", "optimizer.ema": 0.9}, "two averages"),
        ({"optimizer.swa": "100%"}, "no weights would be averaged"),
        ({"optimizer.swa": "0.75"}, "a duration is written"),
    ],
)
def test_what_does_not_fit(changes, words, tiny_config, tmp_path):
    with pytest.raises(InputError, match=words):
        jaxcnn.train(tiny_config(changes), tmp_path, quiet=True)
