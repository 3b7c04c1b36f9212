import itertools

import jax
import numpy as np
import pytest
from tracing import count, macs, order, shapes

from jaxcnn.architectures import CLAIMS, create
from jaxcnn.architectures.autoencoder_mlp import sparse_normal

WIDTHS = (784, 1000, 500, 250, 30, 250, 500, 1000, 784)


def test_counts_by_hand():
    model, claim = create("autoencoder_mlp"), CLAIMS["autoencoder_mlp"]
    _, variables = shapes(model, claim.input)
    pairs = list(itertools.pairwise(WIDTHS))
    assert claim.parameters == sum((a + 1) * b for a, b in pairs) == count(variables)
    assert claim.macs == sum(a * b for a, b in pairs) == macs(model, claim.input)


def test_stages_are_mirrored_around_the_code():
    model = create("autoencoder_mlp", hidden=(9, 8), code=2)
    (image, features), _ = shapes(model, (5, 4, 3))
    assert image.shape == (2, 5, 4, 3)
    assert order(model, (5, 4, 3)) == ["encoder1", "encoder2", "code", "decoder2", "decoder1"]
    assert {name: f.shape[1] for name, f in features.items()} == {
        "encoder1": 9, "encoder2": 8, "code": 2, "decoder2": 8, "decoder1": 9,
    }  # fmt: skip


def test_the_image_is_that_of_the_equations(draw):
    model = create("autoencoder_mlp", hidden=(6, 5), code=2)
    x = np.random.default_rng(0).uniform(size=(3, 3, 2, 2)).astype(np.float32)
    params = draw(model, x.shape[1:])["params"]
    image, features = model.apply({"params": params}, x, train=True)
    y = x.reshape(3, 12)
    for stage in ("encoder1", "encoder2", "code", "decoder2", "decoder1", "output"):
        y = y @ params[stage]["kernel"] + params[stage]["bias"]
        y = y if stage == "code" else 1 / (1 + np.exp(-y))
        if stage == "code":
            np.testing.assert_allclose(features["code"], y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(image, y.reshape(x.shape), rtol=1e-5, atol=1e-6)


def test_sparse_weights_are_15_of_a_unit():
    x, kernels = np.zeros((1, 6, 6, 1), np.float32), {}
    for name in ("suited", "sparse"):
        model = create("autoencoder_mlp", hidden=(), code=2, initialisation=name)
        program = str(jax.make_jaxpr(lambda model=model: model.init(jax.random.key(0), x, train=False))())
        kernels[name] = program.count("top_k")
    assert kernels == {"suited": 0, "sparse": 2}
    drawn = np.asarray(sparse_normal(jax.random.key(1), (64, 400)))
    assert set(np.count_nonzero(drawn, axis=0)) == {15}
    assert np.std(drawn[drawn != 0]) == pytest.approx(1, rel=0.03)
    assert np.count_nonzero(drawn, axis=1).std() < 12  # spread over the inputs: 94 each, deviation 8.5


def test_unknown_names_are_refused():
    for option, said in (
        (("activation", "relo"), "did you mean 'relu'"),
        (("initialisation", "rbm"), "sparse, suited"),
    ):
        with pytest.raises(ValueError, match=said):
            shapes(create("autoencoder_mlp", **dict([option])), (4, 4, 1))
