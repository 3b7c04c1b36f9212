"""The networks of Goodfellow et al. 2013 for MNIST, and that of Simard et al. 2003."""

import jax
import numpy as np
import pytest
from tracing import macs, shapes

from jaxcnn.architectures import CLAIMS, create
from jaxcnn.architectures.maxout import MaxoutNet


def test_counts_by_hand():
    units = (784 + 1) * 240 * 5, (240 + 1) * 240 * 5, (240 + 1) * 10
    assert CLAIMS["maxout_mnist_dense"].parameters == sum(units) == 1_233_610
    maps = (64 + 1) * 96, (64 * 48 + 1) * 96, (25 * 48 + 1) * 96, (3 * 3 * 24 + 1) * 10
    assert CLAIMS["maxout_mnist"].parameters == sum(maps) == 418_714
    layers = (25 + 1) * 5, (25 * 5 + 1) * 50, (5 * 5 * 50 + 1) * 100, (100 + 1) * 10
    assert CLAIMS["simard_cnn"].parameters == sum(layers) == 132_540
    for name in ("maxout_mnist", "maxout_mnist_dense", "simard_cnn"):
        assert macs(create(name), CLAIMS[name].input) == CLAIMS[name].macs


def test_shapes_of_the_tables():
    (_, features), _ = shapes(create("maxout_mnist"), (28, 28, 1))
    sides = {"h0": (21, 48), "pool0": (10, 48), "h1": (9, 48), "pool1": (4, 48), "h2": (6, 24), "pool2": (3, 24)}
    assert {name: x.shape[1:] for name, x in features.items()} == {k: (s, s, c) for k, (s, c) in sides.items()}
    (_, features), _ = shapes(create("simard_cnn"), (29, 29, 1))
    assert {k: x.shape[1:] for k, x in features.items()} == {"conv1": (13, 13, 5), "conv2": (5, 5, 50), "fc": (100,)}
    with pytest.raises(ValueError, match="at least 13x13"):
        shapes(create("simard_cnn"), (12, 29, 1))


def test_a_maxout_unit_is_the_largest_of_its_pieces(draw):
    model = MaxoutNet(units=(3,), pieces=2, num_classes=2)
    x = np.random.default_rng(0).normal(size=(4, 2, 3, 1)).astype(np.float32)
    params = draw(model, x.shape[1:])["params"]
    logits, _ = model.apply({"params": params}, x, train=False)
    pieces = x.reshape(4, 6) @ params["h0"]["kernel"] + params["h0"]["bias"]
    hidden = pieces.reshape(4, 3, 2).max(axis=2)
    np.testing.assert_allclose(logits, hidden @ params["y"]["kernel"] + params["y"]["bias"], rtol=1e-5, atol=1e-6)
    for rates in ((0.5, 0.0), (0.0, 0.5)):
        dropped = model.clone(dropout_rate=rates[0], input_dropout=rates[1])
        noisy, _ = dropped.apply({"params": params}, x, train=True, rngs={"dropout": jax.random.key(0)})
        assert np.abs(noisy - logits).max() > 1e-3
