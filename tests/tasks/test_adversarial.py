"""The objectives of the games, on networks that are plain functions: no network is compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcnn.data import LABEL
from jaxcnn.errors import InputError
from jaxcnn.tasks import TASKS, About

CLASSES = ("one", "two", "three")
COUNT = 12
SOURCE = {"real": np.linspace(-2, 1, COUNT), "fake": np.linspace(1, -3, COUNT)}
RANDOM = np.random.default_rng(0)
LOGITS = {"real": RANDOM.normal(size=(COUNT, 3)), "fake": RANDOM.normal(size=(COUNT, 3))}
LABELS = np.arange(COUNT) % 2


def about(**changes):
    return About(**{"classes": CLASSES, "shape": (2, 2, 1), "fields": LABEL, "mean": 0, "std": 1, **changes})


class Network:
    """Generates zeros, real images are ones; keeps the labels that it was asked for."""

    def __init__(self, judge):
        self.judgement, self.shown = judge, []

    def draw(self, keys, labels):
        return jnp.zeros((len(keys), 1))

    def generate(self, codes, labels, *, train):
        self.shown.append(np.asarray(labels))
        return jnp.zeros((len(codes), 2, 2, 1))

    def judge(self, images, *, train):
        return self.judgement["real" if images.max() > 0 else "fake"]


def batch(task, *, position=range(COUNT), key=0):
    """A batch as the step gives it to an objective."""
    position = np.array(position)
    made = {
        "image": jnp.ones((len(position), 2, 2, 1)),
        "label": jnp.asarray(LABELS[: len(position)]),
        "position": jnp.asarray(position),
        "mask": jnp.ones(len(position)),
        "key": jax.random.split(jax.random.key(1), len(position)),
    }
    return task.mix(jax.random.key(key), made, {})


def play(task, network, **options):
    """{player: its Terms}."""
    return {player.name: player.objective(network, batch(task, **options), {}) for player in task.players}


def sourced(classes=None):
    return {kind: (jnp.asarray(SOURCE[kind]), classes and jnp.asarray(classes[kind]), {}) for kind in SOURCE}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cross_entropy(logits, labels):
    return -np.log(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))[np.arange(len(labels)), labels]


@pytest.mark.parametrize(("real_label", "fake_label"), [(1.0, 0.0), (0.9, 0.0), (0.8, 0.1)])
def test_the_players_minimise_what_goodfellow_and_salimans_print(real_label, fake_label):
    task = TASKS["gan"].create(about(), real_label=real_label, fake_label=fake_label)
    terms = play(task, Network(sourced()))
    real, fake = (sigmoid(SOURCE[kind]) for kind in ("real", "fake"))
    of_real = -real_label * np.log(real) - (1 - real_label) * np.log(1 - real)
    of_fake = -fake_label * np.log(fake) - (1 - fake_label) * np.log(1 - fake)
    np.testing.assert_allclose(terms["discriminator"].loss, of_real + of_fake, rtol=1e-5)
    np.testing.assert_allclose(terms["generator"].loss, -np.log(fake), rtol=1e-5)  # smoothing leaves it alone
    np.testing.assert_allclose(terms["discriminator"].means["real"], real, rtol=1e-5)
    np.testing.assert_allclose(terms["generator"].means["fake"], fake, rtol=1e-5)


def test_the_hinge_loss():
    terms = play(TASKS["gan"].create(about(), loss="hinge"), Network(sourced()))
    hinged = np.maximum(0, 1 - SOURCE["real"]) + np.maximum(0, 1 + SOURCE["fake"])
    np.testing.assert_allclose(terms["discriminator"].loss, hinged, rtol=1e-5)
    np.testing.assert_allclose(terms["generator"].loss, -SOURCE["fake"], rtol=1e-5)


def test_both_players_of_acgan_learn_the_classes():
    network = Network(sourced(LOGITS))
    terms = play(TASKS["acgan"].create(about()), network)
    first, second = network.shown
    plain = play(TASKS["gan"].create(about()), Network(sourced()))
    told = cross_entropy(LOGITS["real"], LABELS) + cross_entropy(LOGITS["fake"], first)
    np.testing.assert_allclose(terms["discriminator"].loss - plain["discriminator"].loss, told, rtol=1e-4)
    told = cross_entropy(LOGITS["fake"], second)
    np.testing.assert_allclose(terms["generator"].loss - plain["generator"].loss, told, rtol=1e-4)
    right = LOGITS["fake"].argmax(axis=1) == second
    assert 0 < right.mean() < 1 and np.array_equal(terms["generator"].means["top1"], right)


def test_bagan_has_one_output_for_what_is_generated():
    """Its losses are the cross entropy of K + 1 outputs; generated images count 1 / K of real ones."""

    def source(x):
        return jax.nn.logsumexp(x[:, :3], axis=1) - x[:, 3]

    logits = {kind: RANDOM.normal(size=(COUNT, 4)).astype(np.float32) for kind in SOURCE}
    network = Network({kind: (source(x), jnp.asarray(x[:, :3]), {}) for kind, x in logits.items()})
    terms = play(TASKS["bagan"].create(about()), network)
    entropy = optax.softmax_cross_entropy_with_integer_labels
    generated = np.full(COUNT, len(CLASSES))
    loss = entropy(logits["real"], LABELS) + entropy(logits["fake"], generated) / 3
    np.testing.assert_allclose(terms["discriminator"].loss, loss, rtol=1e-5)
    np.testing.assert_allclose(terms["discriminator"].weight, 4 / 3, rtol=1e-6)
    np.testing.assert_allclose(terms["generator"].loss, entropy(logits["fake"], network.shown[1]), rtol=1e-5)
    real = 1 - jax.nn.softmax(logits["real"])[:, 3]
    np.testing.assert_allclose(terms["discriminator"].means["real"], real, rtol=1e-5)


@pytest.mark.parametrize("name", ["acgan", "bagan"])
def test_generated_batches_are_balanced_in_every_turn_and_on_every_number_of_devices(name):
    """With as many turns as classes, where every third position would be of one class."""
    task = TASKS[name].create(about(), discriminator_steps=3)
    discriminator, generator = task.players

    def shown(player, parts, key):
        network = Network(dict.fromkeys(SOURCE, (jnp.zeros(6), jnp.zeros((6, 3)), {})))
        for positions in parts:
            player.objective(network, batch(task, position=positions, key=key), {})
        return np.concatenate(network.shown)

    beginnings = set()
    for key in range(8):
        turns = [shown(discriminator, [range(part, 18, 3)], key) for part in range(3)]
        whole = shown(generator, [range(6), range(6, 12), range(12, 18)], key)  # three devices
        assert [np.bincount(labels).tolist() for labels in (*turns, whole)] == [*[[2, 2, 2]] * 3, [6, 6, 6]]
        beginnings.add(int(whole[0]))
    assert beginnings == {0, 1, 2}


@pytest.mark.parametrize(
    ("name", "options", "changes", "words"),
    [
        ("gan", {"loss": "hinge", "real_label": 0.9}, {}, "which the loss 'hinge' is without"),
        ("gan", {"loss": "hing"}, {}, "hinge"),
        ("gan", {"real_label": 0.1, "fake_label": 0.2}, {}, "real_label is 0.1 and fake_label 0.2"),
        ("bagan", {"discriminator_steps": 0}, {}, "discriminator_steps is 0; it is a whole number from 1"),
        ("acgan", {}, {"classes": ()}, "these data are without labels; task 'gan' needs none"),
        ("bagan", {}, {"fields": {}}, "these data are without labels"),
        ("gan", {}, {"mix": lambda *arrays: arrays}, "images that are not real"),
    ],
)
def test_options_that_do_not_fit(name, options, changes, words):
    with pytest.raises(ValueError, match=words):
        TASKS[name].create(about(**changes), **options)


def test_bagan_fits_a_gaussian_to_the_codes_of_each_class():
    """Means and covariances as NumPy has them, also where there are fewer images than numbers in a code."""
    task, random = TASKS["bagan"].create(about()), np.random.default_rng(1)
    labels, there = np.repeat([0, 1, 2], [50, 4, 9]), np.arange(63) < 60
    codes = random.normal(size=(63, 5)) @ random.normal(size=(5, 5)) + labels[:, None]
    codes[~there] = np.nan
    kept, fresh = {"kernel": np.ones(3)}, {"kernel": np.zeros(3)}
    params = {
        "encoder": {"trunk": kept, "head": fresh},
        "discriminator": {"trunk": fresh, "head": fresh},
        "generator": {},
    }
    variables = {"params": params, "batch_stats": {"gaussians": {}}}
    recorded = {"code": codes.astype(np.float32), "label": labels, "mask": there.astype(np.float32)}
    begun = task.begin.change(variables, recorded)
    assert begun["params"]["discriminator"] == {"trunk": kept, "head": fresh}  # begins as the encoder
    gaussians = begun["batch_stats"]["gaussians"]
    for label in range(3):
        mean, factor = gaussians["mean"][label], gaussians["factor"][label]
        own = codes[(labels == label) & there]
        np.testing.assert_allclose(mean, own.mean(axis=0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(factor @ factor.T, np.cov(own, rowvar=False), rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="class two has 0 images; a covariance needs 2"):
        task.begin.change(variables, {**recorded, "label": np.where(labels == 1, 0, labels)})
