"""The learning-rate range test."""

import numpy as np
import pytest

from jaxcnn import find_rate
from jaxcnn.errors import InputError
from jaxcnn.visualize.figure import png_bytes
from jaxcnn.visualize.rate_test import draw_rate_test, rate_words

# The loss is 5 - w + w**2 / 4 of one number w that begins at 0, whatever the images are: w = 2 is the best. A plain
# step is w += rate * (1 - w / 2), so that the loss falls until the rate is above 4 and then diverges.
BOWL = """
import flax.linen as nn
import jax.numpy as jnp

from jaxcnn.tasks import Kind, Measure, Player, Scores, Task, Terms


class Number(nn.Module):
    @nn.compact
    def __call__(self, x, *, train: bool):
        w = self.param("w", nn.initializers.zeros, (1,))
        return jnp.full((len(x),), 5.0) - w + w**2 / 4, {}


def create(about):
    def objective(module, batch, numbers):
        return Terms(module(batch["image"], train=True)[0], {})

    def infer(module, batch):
        return {"loss": module(batch["image"], train=False)[0]}

    return Task((Player("number", objective),), infer, lambda outputs, batch: Scores({"loss": outputs["loss"]}))


BOWL = Kind(measures={"loss": Measure(higher_is_better=False)}, selects=("loss",), create=create)
"""


@pytest.fixture
def bowl(user_package, tiny_config):
    user_package("jaxcnn_test_bowl", BOWL)
    config = tiny_config({"optimizer.momentum": 0.0, "schedule.warmup": "5 steps", "schedule.name": "cosine"})
    with config.unlocked():
        config.task.name, config.model.name = "jaxcnn_test_bowl:BOWL", "jaxcnn_test_bowl:Number"
        config.model.options = {}
    return config


def test_the_losses_are_those_of_growing_rates(bowl, one_device):
    found = find_rate(bowl, lowest=0.01, highest=100.0, steps=41, devices=one_device)
    np.testing.assert_allclose(found.rates, 0.01 * 10 ** (np.arange(len(found.rates)) / 10), rtol=1e-12)
    w, wanted = 0.0, []
    for rate in found.rates:
        wanted.append(5 - w + w**2 / 4)
        w += rate * (1 - w / 2)
    near = found.rates < 10  # above, what rounding left of w - 2 grows
    np.testing.assert_allclose(found.losses[near], np.array(wanted)[near], rtol=2e-4)
    assert found.diverged and 4 < found.rates[-1] < 100
    assert repr(found).startswith(f"<RateTest of {len(found.rates)} steps; steepest: ") and "array" not in repr(found)
    lowest = found.rates[found.smooth.argmin()]
    assert found.tenth == pytest.approx(lowest / 10) and 0.01 < found.steepest < lowest < found.rates[-1]
    falls = np.diff(found.losses[: found.losses.argmin()])  # between one step and the next
    assert abs(np.log(found.steepest / found.rates[falls.argmin()])) < 0.5  # two steps of 0.23


def test_a_test_repeats_and_leaves_the_config_as_it_was(tiny_config, one_device):
    config = tiny_config({"augment.flip": True, "optimizer.name": "adam"})
    before = config.to_dict()
    one, other = (find_rate(config, steps=20, devices=one_device) for _ in range(2))
    np.testing.assert_array_equal(one.losses, other.losses)
    assert config.to_dict() == before
    assert not np.array_equal(one.losses, find_rate(tiny_config({"seed": 1}), steps=20, devices=one_device).losses)


def test_the_picture_and_the_words_name_the_rates(bowl, one_device):
    found = find_rate(bowl, lowest=0.01, highest=100.0, steps=41, devices=one_device)
    figure = draw_rate_test(found, title="a $bowl$")
    lines = {line.get_gid(): line for line in figure.axes[0].lines}
    assert lines["steepest"].get_xdata()[0] == found.steepest and lines["tenth"].get_xdata()[0] == found.tenth
    np.testing.assert_array_equal(lines["smooth"].get_ydata(), found.smooth)
    assert png_bytes(figure)
    tried, suggested = rate_words(found)
    assert "where the loss diverged" in tried and f"learning_rate: {found.steepest:.2g}," in suggested


def test_what_cannot_be_tested(tiny_config, bowl, one_device):
    with pytest.raises(InputError, match="grow from above 0"):
        find_rate(bowl, lowest=0.1, highest=0.1)
    with pytest.raises(InputError, match="step already"):
        find_rate(bowl, lowest=1e3, highest=1e9, devices=one_device)
