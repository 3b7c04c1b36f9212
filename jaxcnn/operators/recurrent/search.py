"""Greedy and beam search for the likely sequences of a network that gives one token at a time; both can be jitted.

The network is `step(tokens (m,), state) -> (log_probabilities (m, V), state)`: of the next token behind the given ones.
The state is a tree of arrays with m rows. A sequence ends with the token `end`, or at the static length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Hypotheses(NamedTuple):
    """Sequences that were found, the best first.

    Attributes:
      tokens: (n, width, length) int32, without the begin; all behind the first `end` are `end` too.
      lengths: (n, width) int32, tokens before the end.
      log_probabilities: (n, width) float32, sums over the tokens, that of the end included.
      scores: (n, width) float32, by which they are ordered.
    """

    tokens: jax.Array
    lengths: jax.Array
    log_probabilities: jax.Array
    scores: jax.Array


def greedy_search(
    state: Any, *, step: Callable[[jax.Array, Any], tuple[jax.Array, Any]], begin: int, end: int, length: int
) -> Hypotheses:
    """Takes the most likely token at each step.

    Args:
      state: a tree of arrays (n, ...).
      step: f(tokens (n,), state) -> (log_probabilities (n, V), state).
      begin: the token that stands before a sequence.
      end: the token that ends it.
      length: most tokens, the end included.
    Returns:
      Hypotheses of width 1; of equal tokens the first is taken.
    """
    n = jax.tree.leaves(state)[0].shape[0]

    def advance(carry, _):
        token, total, done, state = carry
        log_probabilities, state = step(token, state)
        best = jnp.argmax(log_probabilities, axis=-1).astype(jnp.int32)
        own = jnp.take_along_axis(log_probabilities.astype(jnp.float32), best[:, None], axis=1)[:, 0]
        token = jnp.where(done, end, best)
        return (token, total + jnp.where(done, 0.0, own), done | (token == end), state), token

    first = jnp.full(n, begin, jnp.int32), jnp.zeros(n), jnp.zeros(n, bool), state
    (_, total, _, _), tokens = lax.scan(advance, first, length=length)
    tokens, total = tokens.T[:, None], total[:, None]
    return Hypotheses(tokens, _lengths(tokens, end), total, total)


def beam_search(
    state: Any,
    *,
    step: Callable[[jax.Array, Any], tuple[jax.Array, Any]],
    begin: int,
    end: int,
    length: int,
    width: int,
    penalty: float | jax.Array = 0.0,
) -> Hypotheses:
    """Keeps the `width` best sequences at each step, ended ones among them.

    Sequences y are ordered by log p(y) / ((5 + |y|) / 6)**penalty (Wu et al. 2016, arXiv:1609.08144, eq. 14, without
    coverage), |y| with the end; 0 orders by probability, which favours short ones, and 0.6 to 1 is usual. A width of 1
    is greedy search. With as many as V**length nothing is dropped: the search is exhaustive.

    Args:
      state: a tree of arrays (n, ...).
      step: f(tokens (n * width,), state) -> (log_probabilities (n * width, V), state), rows by input.
      begin: the token that stands before a sequence.
      end: the token that ends it.
      length: most tokens, the end included.
      width: sequences that are kept of each input.
      penalty: of short sequences, a number or a traced scalar.
    Returns:
      Hypotheses; those that are no sequence, where there are fewer than `width`, have scores of -inf.
    """
    n = jax.tree.leaves(state)[0].shape[0]
    state = jax.tree.map(lambda part: jnp.repeat(part, width, axis=0), state)
    total = jnp.where(jnp.arange(width)[None] == 0, 0.0, -jnp.inf) + jnp.zeros((n, 1))  # equal sequences would tie
    tokens, last = jnp.full((n, width, length), end, jnp.int32), jnp.full((n, width), begin, jnp.int32)

    def advance(carry, place):
        tokens, last, total, taken, done, state = carry
        log_probabilities, state = step(last.reshape(-1), state)
        own = log_probabilities.astype(jnp.float32).reshape(n, width, -1)
        stays = jnp.where(jnp.arange(own.shape[-1]) == end, 0.0, -jnp.inf)[None, None]
        totals = total[..., None] + jnp.where(done[..., None], stays, own)
        taken = taken + ~done
        scores, chosen = lax.top_k((totals / _divisor(taken, penalty)[..., None]).reshape(n, -1), width)
        parent, token = chosen // own.shape[-1], (chosen % own.shape[-1]).astype(jnp.int32)
        tokens, taken, done = (_rows(part, parent) for part in (tokens, taken, done))
        rows = (parent + width * jnp.arange(n)[:, None]).reshape(-1)
        state = jax.tree.map(lambda part: part[rows], state)
        total = jnp.take_along_axis(totals.reshape(n, -1), chosen, axis=1)
        return (tokens.at[:, :, place].set(token), token, total, taken, done | (token == end), state), scores

    first = tokens, last, total, jnp.zeros((n, width), jnp.int32), jnp.zeros((n, width), bool), state
    (tokens, _, total, _, _, _), scores = lax.scan(advance, first, jnp.arange(length))
    return Hypotheses(tokens, _lengths(tokens, end), total, scores[-1])


def _divisor(taken, penalty):
    return ((5 + taken) / 6) ** penalty


def _rows(part, parent):
    """The rows of part (n, width, ...) that parent (n, width) names."""
    return jax.vmap(lambda own, which: own[which])(part, parent)


def _lengths(tokens, end):
    return jnp.sum(jnp.cumprod((tokens != end).astype(jnp.int32), axis=-1), axis=-1)
