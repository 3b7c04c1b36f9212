"""Embedding: triplets and pairs as plain loops choose them, measures of a split, runs that resume and are cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import jaxcnn
from jaxcnn import InputError
from jaxcnn.population import train_population
from jaxcnn.tasks.embedding import EMBEDDING, contrastive, hardest, semi_hard, squared_distances, unit
from jaxcnn.tasks.task import About
from jaxcnn.training.train import Preempted
from jaxcnn.transfer.faces.people import default_stage, people_of_network

CHANGES = {
    "task.name": "embedding",
    "model.options": {"widths": (4,), "convolutions": 1, "hidden": (), "num_classes": 6},
    "sampler.name": "identities",
    "sampler.options": {"identities": 4, "images": 4},
    "batch_size": 16,
    "duration": "6 steps",
    "optimizer.ema": 0.5,
    "evaluation.every": "2 steps",
    "checkpoint.every": "2 steps",
    "log_every": 2,
}


@pytest.fixture(scope="module")
def batch():
    """(squared distances (12, 12), labels, which images are there) of 4 classes; one class has a single image."""
    random = np.random.default_rng(0)
    vectors = np.asarray(unit(jnp.asarray(random.normal(size=(12, 3)), jnp.float32)))
    label = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 3])
    there = np.ones(12, bool)
    there[[3, 9]] = False
    return np.asarray(squared_distances(vectors, vectors)), label, there


def triplets(batch, mining):
    """{anchor: [(positive, negative)]} by loops."""
    distances, label, there = batch
    found = {anchor: [] for anchor in range(12)}
    for anchor in np.flatnonzero(there):
        positives = [i for i in range(12) if there[i] and label[i] == label[anchor] and i != anchor]
        negatives = [i for i in range(12) if there[i] and label[i] != label[anchor]]
        if mining == "hardest" and positives:
            far = max(positives, key=lambda i: distances[anchor, i])
            found[anchor].append((far, min(negatives, key=lambda i: distances[anchor, i])))
        for positive in positives if mining == "semi_hard" else ():
            farther = [i for i in negatives if distances[anchor, i] > distances[anchor, positive]]
            choose, among = (min, farther) if farther else (max, negatives)
            found[anchor].append((positive, choose(among, key=lambda i: distances[anchor, i])))
    return found


def compared(batch, compare, margin):
    distances, label, there = batch
    seen, alike = there[:, None] & there[None], label[:, None] == label[None]
    return compare(distances, alike & seen & ~np.eye(12, dtype=bool), ~alike & seen, margin=margin)


@pytest.mark.parametrize("margin", [0.2, 1.5])
@pytest.mark.parametrize(("mining", "compare"), [("semi_hard", semi_hard), ("hardest", hardest)])
def test_mined_triplets_are_those_of_a_plain_loop(mining, compare, margin, batch):
    loss, count, active = compared(batch, compare, margin)
    distances, found = batch[0], triplets(batch, mining)
    assert any(distances[a, n] <= distances[a, p] for a, own in found.items() for p, n in own)  # none is farther
    for anchor, own in found.items():
        costs = [max(0, distances[anchor, p] - distances[anchor, n] + margin) for p, n in own]
        assert float(loss[anchor]) == pytest.approx(sum(costs), abs=1e-5)
        assert (float(count[anchor]), float(active[anchor])) == (len(own), sum(cost > 0 for cost in costs))


def test_the_gradient_pulls_the_positive_and_pushes_the_negative(batch):
    _, label, there = batch
    seen, alike = there[:, None] & there[None], label[:, None] == label[None]
    positive, negative = alike & seen & ~np.eye(12, dtype=bool), ~alike & seen
    gradient = jax.grad(lambda d: semi_hard(d, positive, negative, margin=0.5)[0].sum())(jnp.asarray(batch[0]))
    expected = np.zeros((12, 12))
    for anchor, own in triplets(batch, "semi_hard").items():
        for p, n in own:
            if batch[0][anchor, p] - batch[0][anchor, n] + 0.5 > 0:
                expected[anchor, p] += 1
                expected[anchor, n] -= 1
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_contrastive_pairs_are_those_of_a_plain_loop(batch):
    loss, count, _ = compared(batch, contrastive, 1.2)
    distances, label, there = batch
    for anchor in range(12):
        others = [i for i in np.flatnonzero(there) if there[anchor] and i != anchor]
        same = [distances[anchor, i] / 2 for i in others if label[i] == label[anchor]]
        two = [max(0, 1.2 - distances[anchor, i] ** 0.5) ** 2 / 2 for i in others if label[i] != label[anchor]]
        assert float(loss[anchor]) == pytest.approx(sum(np.mean(x) for x in (same, two) if x), abs=1e-5)
        assert float(count[anchor]) == there[anchor]


def test_measures_of_a_split():
    random = np.random.default_rng(1)
    label = np.repeat(np.arange(5), 8)
    vectors = np.asarray(unit(jnp.asarray(random.normal(size=(5, 4))[label] + random.normal(size=(40, 4)))))
    mask = np.ones(40)
    mask[:3] = 0
    about = About(("a", "b"), (8, 8, 1), {"label": ((), np.int32)}, 0, 1)
    finish = EMBEDDING.create(about).finish
    found = finish(37, {}, {}, {"embedding": vectors, "label": label, "mask": mask})
    x, y = vectors[3:], label[3:]
    alike, (first, second) = x @ x.T, np.triu_indices(37, 1)
    assert found["area"] == pytest.approx(roc_auc_score(y[first] == y[second], alike[first, second]), abs=1e-6)
    assert found["rank1"] == np.mean(y[np.argmax(alike - 9 * np.eye(37), axis=1)] == y)
    lost = finish(
        37, {}, {}, {"embedding": vectors * np.nan, "label": label, "mask": mask}
    )  # of a member that diverged
    assert lost == {"area": 0.5, "equal_error_rate": 0.5, "rank1": 0.0}
    with pytest.raises(InputError, match="2 images of 2 classes do not make both"):
        finish(2, {}, {}, {"embedding": vectors[7:9], "label": label[7:9], "mask": np.ones(2)})


def test_all_pairs_of_a_split_of_a_thousand_are_compared():
    """One of two classes has most of the images: the area is that of every pair."""
    random = np.random.default_rng(2)
    label = np.repeat([0, 1], [800, 200])
    vectors = np.asarray(unit(jnp.asarray(random.normal(size=(2, 4))[label] + random.normal(size=(1000, 4)))))
    finish = EMBEDDING.create(About(("a", "b"), (8, 8, 1), {"label": ((), np.int32)}, 0, 1)).finish
    found = finish(1000, {}, {}, {"embedding": vectors, "label": label, "mask": np.ones(1000)})
    alike, (first, second) = vectors @ vectors.T, np.triu_indices(1000, 1)
    assert found["area"] == pytest.approx(roc_auc_score(label[first] == label[second], alike[first, second]), abs=1e-6)


@pytest.mark.parametrize(("classes", "images"), [(1000, 5), (2, 1500)])
def test_a_large_split_in_the_order_of_its_classes_has_pairs_of_one_and_of_two(classes, images):
    """Every fifth of 5,000 images is another person; the first 1,000 of two large classes are one."""
    label = np.repeat(np.arange(classes), images)
    vectors = np.asarray(unit(jnp.asarray(np.random.default_rng(0).normal(size=(classes, 8)))))[label]
    finish = EMBEDDING.create(About(("a", "b"), (8, 8, 1), {"label": ((), np.int32)}, 0, 1)).finish
    EMBEDDING.check_split(label)
    found = finish(len(label), {}, {}, {"embedding": vectors, "label": label, "mask": np.ones(len(label))})
    assert found == {"area": 1.0, "equal_error_rate": 0.0, "rank1": 1.0}


def train(config, workdir, devices=1):
    return jaxcnn.train(config, workdir, quiet=True, devices=jax.devices()[:devices])


@pytest.fixture
def config(tiny_config):
    def make(changes=None):
        with (made := tiny_config()).unlocked():
            made.update_from_flattened_dict({**CHANGES, **(changes or {})})
        return made

    return make


@pytest.mark.long
def test_killed_and_resumed_it_ends_with_the_same_bits_and_its_vectors_have_length_1(
    config, tmp_path, terminate_at, rows, assert_same_bits
):
    whole = train(config(), tmp_path / "whole")
    terminate_at(3 * 4)  # of the people, whose order is read first: the fourth batch
    with pytest.raises(Preempted):
        train(config(), tmp_path / "broken")
    resumed = train(config(), tmp_path / "broken")
    assert_same_bits(whole.state, resumed.state)
    assert rows(whole.workdir) == rows(resumed.workdir) and whole.test == resumed.test
    assert {"area", "equal_error_rate", "rank1"} <= whole.test.keys()
    trained = jaxcnn.Trained(whole.workdir)
    assert default_stage(trained) == "embedding"
    vectors = people_of_network(trained, "embedding", split="test").vectors(np.arange(9))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


@pytest.mark.long
def test_members_of_a_population_learn_what_their_runs_alone_do(config, one_device, tmp_path):
    configs, folders = [config(), config({"seed": 1})], [tmp_path / "0", tmp_path / "1"]
    members = train_population(configs, folders, tmp_path / "all", quiet=True, devices=one_device)
    alone = train(config({"seed": 1}), tmp_path / "alone").test
    for name in ("area", "equal_error_rate", "rank1"):
        assert members[1].test[name] == pytest.approx(alone[name], rel=1e-4)
    assert members[0].test["area"] != alone["area"]


@pytest.mark.long
@pytest.mark.parametrize("loss", ["triplet", "contrastive"])
def test_eight_devices_give_what_one_does(loss, config, tmp_path):
    options = {"task.options": {"loss": loss}}
    one, eight = (train(config(options), tmp_path / str(count), count) for count in (1, 8))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), one.state.params, eight.state.params
    )
    assert one.test["area"] == pytest.approx(eight.test["area"], rel=1e-3)


@pytest.mark.long
def test_triplets_bring_unseen_images_of_a_digit_together(config, tmp_path):
    changes = {"duration": "300 steps", "evaluation.every": "100 steps", "checkpoint.every": "100 steps"}
    result = train(config({**changes, "log_every": 100, "optimizer.ema": 0.0}), tmp_path)
    # Five seeds: area 0.94 +- 0.02, rank 1 0.88 +- 0.06; three untrained networks: 0.70 +- 0.03, 0.51 +- 0.09.
    assert result.test["area"] > 0.85 and result.test["rank1"] > 0.7


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task.options": {"loss": "triplets"}}, "did you mean 'triplet'"),
        ({"task.options": {"mining": "easy"}}, "unknown mining 'easy'"),
        ({"task.options": {"loss": "contrastive", "mining": "hardest"}}, "mining is 'hardest', which is of triplets"),
        ({"task.options": {"margin": -1.0}}, "margin is -1.0; it is a positive number"),
        ({"augment.mixup": 0.2}, "mixup and cutmix mix labels"),
        ({"data.test": "test[:1]"}, "config.data.test: .*1 images of 1 classes do not make both"),
        ({"optimizer.accumulate": 2}, "compares the images of a whole batch"),
    ],
)
def test_what_does_not_fit_is_named(changes, words, config, tmp_path):
    with pytest.raises(InputError, match=words):
        train(config(changes), tmp_path)
