"""Recurrent layers against loops and each sequence alone; CTC and search against all that is possible."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.operators.recurrent import (
    CELLS,
    AdditiveAttention,
    Bidirectional,
    Recurrent,
    beam_search,
    ctc_greedy,
    ctc_loss,
    greedy_search,
)

LENGTHS = np.array([5, 1, 3])


@pytest.fixture(scope="module")
def sequences():
    """(3, 5, 2), with large numbers where nothing is."""
    x = np.random.default_rng(0).normal(size=(3, 5, 2)).astype(np.float32)
    return np.where(np.arange(5)[None, :, None] < LENGTHS[:, None, None], x, 100).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_loop(cell, p, x):
    """(outputs, last state) of one sequence (t, c) by the papers' equations, in float64."""
    p = jax.tree.map(np.float64, p)
    h = c = np.zeros(4)
    outputs = []
    for step in np.float64(x):
        if cell in ("rnn", "irnn"):
            z = step @ p["i"]["kernel"] + p["i"]["bias"] + h @ p["h"]["kernel"]
            h = np.tanh(z) if cell == "rnn" else np.maximum(z, 0)
        elif cell == "lstm":
            i, f, g, o = (step @ p["i" + k]["kernel"] + p["h" + k]["bias"] + h @ p["h" + k]["kernel"] for k in "ifgo")
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        else:  # Cho et al. 2014, with the reset behind the product, as in cuDNN
            r, z = (sigmoid(step @ p["i" + k]["kernel"] + p["i" + k]["bias"] + h @ p["h" + k]["kernel"]) for k in "rz")
            new = np.tanh(step @ p["in"]["kernel"] + p["in"]["bias"] + r * (h @ p["hn"]["kernel"] + p["hn"]["bias"]))
            h = (1 - z) * new + z * h
        outputs.append(h)
    return np.array(outputs), (c, h) if cell == "lstm" else h


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_a_padded_sequence_gives_what_it_gives_alone_by_the_equations(cell, reverse, sequences):
    layer = Recurrent(4, cell, reverse=reverse)
    (outputs, state), variables = jax.jit(layer.init_with_output)(jax.random.key(0), sequences, LENGTHS)
    for row, length in enumerate(LENGTHS):
        alone = sequences[row, :length]
        wanted, last = by_loop(cell, variables["params"]["cell"], alone[::-1] if reverse else alone)
        np.testing.assert_allclose(outputs[row, :length], wanted[::-1] if reverse else wanted, atol=1e-5)
        for part, own in zip(jax.tree.leaves(state), jax.tree.leaves(last), strict=True):
            np.testing.assert_allclose(part[row], own, atol=1e-5)
        assert not outputs[row, length:].any()


def test_the_identity_adds_up(sequences):
    x = np.abs(sequences)
    layer = Recurrent(2, "irnn")
    params = layer.init(jax.random.key(0), x)["params"]
    params["cell"]["i"]["kernel"] = jnp.eye(2)
    np.testing.assert_allclose(layer.apply({"params": params}, x)[0], np.cumsum(x, axis=1), rtol=1e-6)


def test_both_directions(sequences):
    layer = Bidirectional(4, "gru")
    (outputs, states), variables = jax.jit(layer.init_with_output)(jax.random.key(0), sequences, LENGTHS)
    for part, reverse in ((0, False), (1, True)):
        own = {"params": variables["params"]["backward" if reverse else "forward"]}
        alone, state = Recurrent(4, "gru", reverse=reverse).apply(own, sequences, LENGTHS)
        np.testing.assert_allclose(outputs[..., 4 * part :][..., :4], alone, atol=1e-6)
        np.testing.assert_allclose(states[part], state, atol=1e-6)


def test_a_state_goes_in_and_bfloat16_stays(sequences):
    layer = Recurrent(4, dtype=jnp.bfloat16)
    (outputs, (memory, _)), variables = layer.init_with_output(jax.random.key(0), sequences)
    assert outputs.dtype == memory.dtype == jnp.bfloat16
    whole, _ = Recurrent(4).apply(variables, sequences)
    _, state = Recurrent(4).apply(variables, sequences[:, :2])
    np.testing.assert_allclose(Recurrent(4).apply(variables, sequences[:, 2:], None, state)[0], whole[:, 2:], atol=1e-6)


def test_a_forget_bias_is_added_to_that_of_the_forget_gate(sequences):
    plain, longer = Recurrent(4), Recurrent(4, forget_bias=1.5)
    variables, own = (layer.init(jax.random.key(0), sequences) for layer in (plain, longer))
    jax.tree.map(np.testing.assert_array_equal, variables, own)
    variables["params"]["cell"]["hf"]["bias"] += 1.5
    wanted, _ = plain.apply(variables, sequences, LENGTHS)
    np.testing.assert_allclose(longer.apply(own, sequences, LENGTHS)[0], wanted, atol=1e-6)
    with pytest.raises(ValueError, match=r"forget_bias is 1\.0, but cell 'gru' has no forget gate"):
        Bidirectional(4, "gru", forget_bias=1.0).init(jax.random.key(0), sequences)


def test_an_unknown_cell_is_named():
    with pytest.raises(ValueError, match="unknown cell 'lsmt'; did you mean 'lstm'"):
        Recurrent(4, "lsmt").init(jax.random.key(0), jnp.zeros((1, 2, 3)))


def test_attention_is_the_equation_and_sees_no_padding(sequences):
    query = np.random.default_rng(1).normal(size=(3, 6)).astype(np.float32)
    layer = AdditiveAttention(7)
    (context, weights), variables = layer.init_with_output(jax.random.key(0), query, sequences, LENGTHS)
    p = jax.tree.map(np.float64, variables["params"])
    for row, length in enumerate(LENGTHS):
        keys = sequences[row, :length]
        hidden = np.tanh(query[row] @ p["query"]["kernel"] + p["query"]["bias"] + keys @ p["keys"]["kernel"])
        e = np.exp(hidden @ p["score"]["kernel"][:, 0])
        np.testing.assert_allclose(weights[row], np.pad(e / e.sum(), (0, 5 - length)), atol=1e-6)
        np.testing.assert_allclose(context[row], e @ keys / e.sum(), atol=1e-5)
    projected = layer.apply(variables, sequences, method="project")
    again, _ = layer.apply(variables, query, sequences, LENGTHS, projected=projected)
    np.testing.assert_allclose(again, context, atol=1e-6)
    other, _ = layer.apply(variables, query, sequences, LENGTHS, projected=-projected)
    assert np.abs(other - context).max() > 1e-3


def read(path):
    return tuple(letter for letter, _ in itertools.groupby(path) if letter)


def test_ctc_is_the_sum_over_all_paths():
    logits = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    frames = np.array([5, 5, 3, 4])
    texts = [(1,), (2, 2), (1, 2), ()]
    labels, mask = np.full((4, 3), 7), np.zeros((4, 3))
    for row, text in enumerate(texts):
        labels[row, : len(text)], mask[row, : len(text)] = text, 1
    loss = ctc_loss(logits, labels, mask, logit_mask=np.arange(5)[None] < frames[:, None])
    for row, text in enumerate(texts):
        own = np.float64(logits[row, : frames[row]])
        p = np.exp(own) / np.exp(own).sum(axis=1, keepdims=True)
        paths = itertools.product(range(3), repeat=len(p))
        total = sum(np.prod([p[t, k] for t, k in enumerate(path)]) for path in paths if read(path) == text)
        assert loss[row] == pytest.approx(-np.log(total), abs=1e-5)


def test_ctc_reads_the_best_path():
    paths = np.array(list(itertools.product(range(3), repeat=4)))
    labels, lengths = jax.device_get(jax.jit(ctc_greedy)(np.eye(3)[paths]))
    assert [tuple(row[:length]) for row, length in zip(labels, lengths, strict=True)] == [read(path) for path in paths]
    assert not np.where(np.arange(4)[None] < lengths[:, None], 0, labels).any()
    assert ctc_greedy(np.eye(3)[[[1, 1, 0, 1]]], logit_mask=np.array([[1, 1, 1, 0]]))[1] == 1


END, VOCABULARY, LENGTH = 0, 3, 4


def chain(seed):
    """A network whose next token depends on the last two: (step, state of two inputs, f(row, tokens) -> log p)."""
    table = np.random.default_rng(seed).normal(scale=1.5, size=(2, VOCABULARY + 1, VOCABULARY + 1, VOCABULARY))
    table = jax.nn.log_softmax(jnp.asarray(table, jnp.float32))

    def step(tokens, state):
        which, before = state
        return table[which, before, tokens], (which, tokens)

    def probability(row, tokens):
        places = (VOCABULARY, VOCABULARY, *tokens)
        return sum(float(table[row, places[i], places[i + 1], token]) for i, token in enumerate(tokens))

    return step, (jnp.arange(2), jnp.full(2, VOCABULARY)), probability


def possible():
    """Every sequence: of LENGTH tokens, or shorter and ended."""
    for length in range(1, LENGTH + 1):
        for tokens in itertools.product(range(VOCABULARY), repeat=length):
            if END not in tokens[:-1] and (tokens[-1] == END or length == LENGTH):
                yield tokens


def searched(step, state, **options):
    options = {"begin": VOCABULARY, "end": END, "length": LENGTH, **options}
    return jax.jit(lambda state: (beam_search if "width" in options else greedy_search)(state, step=step, **options))(
        state
    )


@pytest.mark.parametrize("penalty", [0.0, 0.8])
def test_a_beam_of_full_width_finds_what_trying_all_finds(penalty):
    step, state, probability = chain(0)
    found = searched(step, state, width=VOCABULARY**LENGTH, penalty=penalty)
    for row in range(2):
        scored = {tokens: probability(row, tokens) / ((5 + len(tokens)) / 6) ** penalty for tokens in possible()}
        wanted = sorted(scored, key=scored.get, reverse=True)
        for place, tokens in enumerate(wanted):
            assert tuple(found.tokens[row, place])[: len(tokens)] == tokens
            assert not found.tokens[row, place, len(tokens) :].any()
            assert found.lengths[row, place] == len(tokens) - (tokens[-1] == END)
            assert found.scores[row, place] == pytest.approx(scored[tokens], abs=1e-5)
            assert found.log_probabilities[row, place] == pytest.approx(probability(row, tokens), abs=1e-5)
        assert np.isneginf(found.scores[row, len(wanted) :]).all()


def test_a_beam_of_one_is_greedy_and_a_wider_one_finds_what_greed_misses():
    missed = 0
    for seed in range(4):
        step, state, _ = chain(seed)
        greedy, one = searched(step, state), searched(step, state, width=1)
        jax.tree.map(np.testing.assert_array_equal, greedy, one)
        missed += int((searched(step, state, width=4).scores[:, 0] > greedy.scores[:, 0] + 1e-4).sum())
    assert missed
