"""Show and Tell, and Show, Attend and Tell: their equations in NumPy, their parts, and counts by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tracing import count, shapes

from jaxcnn.analysis import analyse
from jaxcnn.architectures import CLAIMS, create

SMALL = {"backbone": "convnet", "stage": "conv2_1", "units": 5, "embedding": 3, "num_classes": 6}
SMALL |= {"backbone_options": {"widths": (4, 6), "convolutions": 1, "hidden": (7,)}}
TEXT = np.array([[1, 4, 2, 0], [1, 6, 3, 5]])


def dense(p, x):
    return x @ p["kernel"] + p.get("bias", 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(p, state, x):
    memory, h = state
    i, f, g, o = (dense(p["i" + k], x) + dense(p["h" + k], h) for k in "ifgo")
    memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
    return memory, sigmoid(o) * np.tanh(memory)


def tell(p, maps, tokens, mean=True):
    """The logits (l, V) of one image's text behind its first look; maps (h, w, c)."""
    x = maps.mean(axis=(0, 1)) if mean else maps.reshape(-1)
    state = lstm(p["decoder"], (np.zeros(5), np.zeros(5)), dense(p["image"], x))
    for token in tokens:
        state = lstm(p["decoder"], state, p["embed"]["embedding"][token])
        yield dense(p["output"], state[1]), None


def attend_and_tell(p, maps, tokens, coordinates=False, token_query=False):
    """The logits (l, V) and the weights (l, t) by equations 4 to 7 and 13, and the gate."""
    places, mean = maps.reshape(-1, maps.shape[-1]), maps.mean(axis=(0, 1))
    if coordinates:  # of 4x6 places
        places = np.array([[*place, i // 6 * 2 / 3 - 1, i % 6 * 2 / 5 - 1] for i, place in enumerate(places)])
    state = np.tanh(dense(p["begin_memory"], mean)), np.tanh(dense(p["begin_output"], mean))
    for token in tokens:
        word = p["embed"]["embedding"][token]
        query = np.concatenate([state[1], word]) if token_query else state[1]
        hidden = np.tanh(dense(p["attend"]["query"], query)[None] + dense(p["attend"]["keys"], places))
        weights = np.exp(dense(p["attend"]["score"], hidden)[:, 0])
        weights = weights / weights.sum()
        context = sigmoid(dense(p["gate"], state[1])) * (weights @ places)
        state = lstm(p["decoder"], state, np.concatenate([word, context]))
        seen = word + dense(p["of_state"], state[1]) + dense(p["of_context"], context)
        yield dense(p["output"], seen), weights


@pytest.mark.parametrize("name, options", [
    ("caption_lstm", {}), ("caption_lstm", {"mean": False}),
    ("caption_attention", {}), ("caption_attention", {"coordinates": True, "token_query": True}),
])  # fmt: skip
def test_a_text_is_written_by_the_equations(name, options, draw):
    model = create(name, **SMALL, **options)
    x = np.random.default_rng(0).normal(size=(2, 8, 12, 3)).astype(np.float32)
    variables = draw(model, x.shape[1:])
    logits, features = jax.jit(lambda v: model.apply(v, x, train=False, text=TEXT))(variables)
    p = jax.tree.map(np.float64, variables["params"])
    for row, maps in enumerate(np.float64(features["conv2_1"])):
        looks = functools.partial(attend_and_tell if name == "caption_attention" else tell, **options)
        wanted = list(looks(p, maps, TEXT[row]))
        np.testing.assert_allclose(logits[row], [own for own, _ in wanted], atol=1e-4)
        if name == "caption_attention":
            weights = [own.reshape(4, 6) for _, own in wanted]
            np.testing.assert_allclose(features["attention"][row], weights, atol=1e-5)


def test_of_the_trunk_no_full_connection_has_parameters_and_tokens_count_with_the_classes():
    for name in ("caption_lstm", "caption_attention"):
        (_, stages), variables = shapes(create(name, **SMALL), (8, 12, 3))
        assert set(variables["params"]["trunk"]) == {"conv1_1", "conv2_1"}
        assert "conv2_1" in stages and not {"pool2", "fc1"} & set(stages)  # nothing behind the map
        assert variables["params"]["embed"]["embedding"].shape == (7, 3)


def test_dropout_acts_in_training_alone(draw):
    model = create("caption_attention", **SMALL, dropout_rate=0.5)
    x, variables = jnp.ones((2, 8, 12, 3)), draw(model, (8, 12, 3))
    options = {"text": TEXT, "rngs": {"dropout": jax.random.key(0)}}
    used, trained, other = (
        model.clone(dropout_rate=rate).apply(variables, x, train=train, **options)[0]
        for rate, train in ((0.5, False), (0.5, True), (0.0, True))
    )
    np.testing.assert_allclose(used, other, atol=1e-5)
    assert np.abs(trained - used).max() > 0.01


@pytest.mark.long
@pytest.mark.parametrize("name", ["caption_lstm", "caption_attention"])
def test_multiply_adds(name):
    assert analyse(create(name), CLAIMS[name].input).macs == CLAIMS[name].macs


def test_counts_by_hand():
    units = embedding = 512
    lstm = 4 * units * (embedding + units + 1)
    words = 11 * embedding
    assert CLAIMS["caption_lstm"].parameters - 1025 * embedding - words - lstm - 513 * 11 == 5_599_904
    trunk = count(shapes(create("vgg_e"), (224, 224, 3))[1]["params"])
    trunk -= (7 * 7 * 512 + 1) * 4096 + 4097 * 4096 + 4097 * 1000
    own = 2 * 513 * 512 + (2 * 512 + 2) * 512 + 513 + words + lstm + 4 * units * 512 + 513 * 512 + 512 * 512 + 513 * 11
    assert CLAIMS["caption_attention"].parameters == trunk + own
