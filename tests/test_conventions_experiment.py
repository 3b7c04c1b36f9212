"""experiments/conventions.py: every convention changes what its network computes, keeps or learns by."""

import importlib
import pathlib

import jax
import numpy as np
import pytest

from jaxcnn.sweeps import load_study

EXPERIMENTS = pathlib.Path(__file__).parents[1] / "experiments"


@pytest.fixture(scope="module")
def study():
    return load_study(EXPERIMENTS / "conventions.py")[0]


@pytest.mark.long
def test_each_convention_of_the_network_changes_its_output_or_its_statistics(study):
    module = importlib.import_module("_conventions")
    x = np.random.default_rng(0).normal(size=(4, 16, 16, 1)).astype(np.float32)
    variables = module.Network().init(jax.random.key(0), x, train=False)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == 9 * 16 + 9 * 512 + 9 * 2048 + 224 + 650

    def computed(options):
        network = module.Network(**options)
        (logits, _), changed = network.apply(variables, x, train=True, mutable=["batch_stats"])
        return np.asarray(logits), np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(changed)])

    torch = computed({})
    kept = []
    for name in ("padding", "epsilon", "running", "bessel", "response", "border"):  # one by one; the others are of SGD
        level = study.factors["convention"][name]
        options = {key.removeprefix("model.options."): v for key, v in level.items() if key.startswith("model.")}
        logits, statistics = computed(options)
        assert not np.array_equal(statistics, torch[1]) or not np.array_equal(logits, torch[0]), name
        kept += [name] if np.array_equal(logits, torch[0]) else []
    assert kept == ["running", "bessel"], "only the running statistics tell these from torch's"


def test_the_libraries_are_what_their_parts_are(study):
    levels = study.factors["convention"]
    parts = {"caffe": ("momentum", "biases"), "papers": ("momentum", "response")}
    for name, own in parts.items():
        assert levels[name] == {key: value for part in own for key, value in levels[part].items()}
    tensorflow = {
        key: v for part in ("padding", "epsilon", "running", "border", "biases") for key, v in levels[part].items()
    }
    assert levels["tensorflow"].items() >= tensorflow.items()
    assert all(0 < claim.margin <= 0.01 for claim in study.claims) and len(study.claims) == len(levels) - 1
