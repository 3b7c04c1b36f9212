"""Games as runs: what a step does to the parameters; and they stop, resume and spread over devices as all runs do."""

import jax
import numpy as np
import pytest

import jaxcnn
from jaxcnn.data import load, read_all
from jaxcnn.errors import InputError
from jaxcnn.training.setup import set_up
from jaxcnn.training.state import create_state
from jaxcnn.training.train import Preempted

PACKAGE = '''
import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from jaxcnn.data import Arrays, Records
from jaxcnn.tasks import TASKS, Beginning


class Line(nn.Module):
    """Images of one value: generated sigmoid(w 0.7 + b), judged by c mean + d."""

    conditional: bool = False

    def setup(self):
        self.generator, self.discriminator = nn.Dense(1), nn.Dense(1)

    def __call__(self, x, *, train):
        self.generate(jnp.zeros((1, 1)), None, train=train)
        return self.judge(x, train=train)[0][:, None], {}

    def draw(self, keys, labels):
        return jnp.full((len(keys), 1), 0.7)

    def generate(self, codes, labels, *, train):
        return jnp.broadcast_to(nn.sigmoid(self.generator(codes))[:, :, None, None], (len(codes), 2, 2, 1))

    def judge(self, x, *, train):
        return self.discriminator(x.mean(axis=(1, 2)))[:, 0], None, {}


def grey(split, *, data_dir, **options):
    arrays = {name: (np.full((16, 2, 2, 1), 51, np.uint8), np.arange(16) % 2) for name in ("train", "held", "test")}
    return Records(Arrays("grey", arrays, ("one", "two")), split, **options)


grey.default_splits = {"train": "train", "validation": "held", "test": "test"}


def record(module, batch):
    return {"mean": batch["image"].mean(axis=(1, 2, 3)), "number": batch["index"]}


def change(variables, recorded):
    """The generator's bias is the images' sum, and their numbers' in 1000."""
    bias = np.float32([recorded["mean"].sum() + recorded["number"].sum() / 1000])
    params = variables["params"]
    return {**variables, "params": {**params, "generator": {**params["generator"], "bias": bias}}}


def create(about):
    return TASKS["gan"].create(about)._replace(begin=Beginning(record, change))


BEGUN = TASKS["gan"]._replace(create=create)
'''
SHORT = {
    "model.dropout": None,
    "batch_size": 16,
    "evaluation.batch_size": 16,
    "duration": "4 steps",
    "evaluation.every": "2 steps",
    "checkpoint.every": "2 steps",
    "log_every": 2,
    "optimizer.ema": 0.5,
    "optimizer.name": "adam",
    "optimizer.learning_rate": 1e-3,
    "optimizer.momentum": 0.5,
}
DCGAN = {"size": 8, "channels": 1, "widths": (3, 4), "code": 3}
BAGAN = {"size": 8, "channels": 1, "trunk": (3, 3, 3, 4), "hidden": 5, "widths": (4, 3, 2), "code": 3}
NETWORKS = {  # kind: (task, network, options)
    "gan": ("gan", "dcgan:DCGAN", DCGAN),
    "spectral": ("gan", "dcgan:DCGAN", {**DCGAN, "spectral": True}),
    "acgan": ("acgan", "dcgan:DCGAN", {**DCGAN, "conditional": True}),
    "autoencoder": ("reconstruction", "bagan:BAGAN", BAGAN),
    "bagan": ("bagan", "bagan:BAGAN", BAGAN),
}


@pytest.fixture(scope="module")
def make(tiny_config):
    """make("gan", {...}, **options of the network) is the config of a short run on 8x8 digits."""

    def make(kind, changes=None, **options):
        task, network, own = NETWORKS[kind]
        (config := tiny_config()).unlock()
        config.update_from_flattened_dict({"task.name": task, "model.name": f"jaxcnn.architectures.{network}", **SHORT})
        config.model.options = {**own, **options}
        config.update_from_flattened_dict(changes or {})
        return config

    return make


@pytest.fixture
def line(make, user_package):
    """line({...}, **options of the task) is the config of a game of four numbers."""
    user_package("line_game", PACKAGE)

    def line(changes, **options):
        named = {"model.name": "line_game:Line", "data.name": "line_game:grey", "data.image_size": ()}
        config = make("gan", {**named, **changes})
        config.model.options, config.task.options = {}, options
        return config

    return line


def train(config, workdir, devices=1):
    return jaxcnn.train(config, workdir, quiet=True, devices=jax.devices()[:devices])


def first_params(config):
    setup = set_up(config.copy_and_resolve_references())
    return jax.device_get(jax.jit(lambda: create_state(setup))().params)  # rounded as those of a run


def softplus(x):
    return np.log1p(np.exp(x))


LOSSES = {  # (of the discriminator, of the generator) of the sources of a real and of a generated image
    "non_saturating": (
        lambda real, fake: 0.9 * softplus(-real) + 0.1 * softplus(real) + softplus(fake),
        lambda fake: softplus(-fake),
    ),
    "hinge": (lambda real, fake: max(0, 1 - real) + max(0, 1 + fake), lambda fake: -fake),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_follows_the_gradients_of_each_player_s_own_loss(loss, line, tmp_path):
    """By finite differences: two updates of the discriminator, then one of the generator, against the new one."""
    options = {"discriminator_steps": 2, "loss": loss, **({"real_label": 0.9} if loss != "hinge" else {})}
    plain = {"optimizer.name": "sgd", "optimizer.learning_rate": 0.1, "optimizer.momentum": 0.0}
    config = line({**plain, "duration": "1 steps"}, **options)
    before, after = first_params(config), jax.device_get(train(config, tmp_path).state.params)

    def source(player, value):
        return player[0] * value + player[1]

    def generated(player):
        return 1 / (1 + np.exp(-source(player, 0.7)))

    def descend(function, player):
        shifts = 1e-5 * np.eye(2)
        return player - 0.1 * np.array([(function(player + s) - function(player - s)) / 2e-5 for s in shifts])

    def numbers(params, name):
        return np.array([params[name]["kernel"].item(), params[name]["bias"].item()])

    discriminator, generator = (numbers(before, name) for name in ("discriminator", "generator"))
    judge, fool = LOSSES[loss]
    for _ in range(2):
        discriminator = descend(lambda d: judge(source(d, 0.2), source(d, generated(generator))), discriminator)
    generator = descend(lambda g: fool(source(discriminator, generated(g))), generator)
    np.testing.assert_allclose(numbers(after, "discriminator"), discriminator, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(numbers(after, "generator"), generator, rtol=1e-5, atol=1e-6)
    assert abs(generator - numbers(before, "generator")).min() > 1e-4


@pytest.mark.parametrize("still", ["generator", "discriminator"])
def test_a_player_moves_nothing_of_the_other(still, line, tmp_path):
    """With the rate of one player 0 its parameters stay to the bit, while the other's all move."""
    config = line({"duration": "2 steps"})
    config.optimizers = {still: {"rate": 0.0}}
    before, after = first_params(config), train(config, tmp_path).state.params
    same = jax.tree.map(lambda a, b: bool((a == b).all()), before, after)
    assert all(jax.tree.leaves(same.pop(still))) and not any(jax.tree.leaves(same))


def killed_and_resumed(config, whole, workdir, terminate_at, rows, assert_same_bits):
    terminate_at(3 * 16)
    with pytest.raises(Preempted):
        train(config, workdir)
    resumed = train(config, workdir)
    assert_same_bits(whole.state, resumed.state)
    assert rows(whole.workdir) == rows(resumed.workdir) and whole.test == resumed.test
    assert {"real", "fake"} <= whole.test.keys()


def test_a_run_begins_once_with_the_network_changed_by_all_training_images(
    line, tmp_path, terminate_at, rows, assert_same_bits
):
    config = line({"task.name": "line_game:BEGUN"})
    config.optimizers = {"generator": {"rate": 0.0}}
    whole = train(config, tmp_path / "whole")
    assert float(whole.state.params["generator"]["bias"][0]) == pytest.approx(16 * 0.2 + 0.12, rel=1e-6)
    killed_and_resumed(config, whole, tmp_path / "broken", terminate_at, rows, assert_same_bits)


@pytest.fixture(scope="module")
def source(make, tmp_path_factory):
    """source("bagan") is the changed key of its config: the run of its autoencoder; {} for others."""
    made = {}

    def source(kind):
        if kind != "bagan":
            return {}
        if not made:
            made["finetune.source"] = str(tmp_path_factory.mktemp("autoencoder") / "run")
            train(make("autoencoder"), made["finetune.source"])
        return made

    return source


@pytest.mark.long
@pytest.mark.parametrize("kind", ["gan", "spectral", "acgan", "bagan"])
def test_killed_and_resumed_it_ends_with_the_same_bits(
    kind, make, source, tmp_path, terminate_at, rows, assert_same_bits
):
    config = make(kind, source(kind))
    whole = train(config, tmp_path / "whole")
    killed_and_resumed(config, whole, tmp_path / "broken", terminate_at, rows, assert_same_bits)
    if kind == "spectral":  # whose statistics have names with a slash in them
        train(make(kind, {"finetune.source": str(whole.workdir), "duration": "1 steps"}), tmp_path / "next")


@pytest.mark.long
@pytest.mark.parametrize("kind", ["gan", "spectral", "acgan", "bagan"])
def test_eight_devices_give_what_one_does(kind, make, source, tmp_path):
    changes = {} if kind == "bagan" else {"model.batch_norm": "synchronized"}
    config = make(kind, {**changes, **source(kind)})
    one, eight = (train(config, tmp_path / str(count), count) for count in (1, 8))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), one.state.params, eight.state.params
    )
    for name in ("real", "fake"):
        assert one.test[name] == pytest.approx(eight.test[name], rel=1e-3)


@pytest.mark.long
def test_a_run_of_bagan_begins_with_the_autoencoder_and_gaussians_of_its_codes(make, source, tmp_path):
    config = make("bagan", source("bagan"))
    result, autoencoder = train(config, tmp_path), jaxcnn.Trained(source("bagan")["finetune.source"])
    images = read_all(load("digits", autoencoder.config.data.train, image_size=(8, 8)))
    pixels = images["image"] / np.float32(255)
    codes, _ = autoencoder.model.apply(autoencoder.variables, pixels, train=False, method="encode")
    network = jaxcnn.Trained(result.workdir, "latest")
    gaussians = network.variables["batch_stats"]["gaussians"]
    for label in range(10):
        own = np.asarray(codes)[images["label"] == label].astype(np.float64)
        np.testing.assert_allclose(gaussians["mean"][label], own.mean(axis=0), rtol=1e-4, atol=1e-5)
        factor = np.asarray(gaussians["factor"][label], np.float64)
        np.testing.assert_allclose(factor @ factor.T, np.cov(own, rowvar=False), rtol=1e-3, atol=1e-5)
    assert network.task.sample.conditional


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("acgan", {"conditional": False}, "conditional is False, but this task generates images by class: True fits"),
        ("gan", {"conditional": True}, "generates images without a class: False fits"),
        ("gan", {"size": 4, "widths": (3,)}, r"generates images of \(4, 4, 1\), but those of the data are \(8, 8, 1\)"),
        ("bagan", {"num_classes": 3}, r"class logits of \(2, 3\), but \(2,\) and \(2, 10\) are wanted"),
    ],
)
def test_networks_that_do_not_fit(kind, changes, words, make):
    with pytest.raises(InputError, match=words):
        set_up(make(kind, **changes))


def test_a_network_of_another_game_is_named(make):
    with pytest.raises(InputError, match="DCGAN is no network of this game: it has no encode"):
        set_up(make("acgan", {"task.name": "bagan"}))


def test_a_classifier_is_no_generative_network(tiny_config):
    with pytest.raises(InputError, match="ConvNet is no network of this game: it has no draw, generate, judge, cond"):
        set_up(tiny_config({"task.name": "gan"}))
