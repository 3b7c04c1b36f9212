"""Texts that are written token by token: what the tasks that write have in common.

A text is int32 (most,): token k for classes[k - 1], and 0 behind it; the first two classes are <begin> and <end>, with
which every text ends. The network has a method `step`, see jaxcnn.architectures.captioner and seq2seq.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.data.text.tokens import BEGIN, END, FRAMING, TEXT
from jaxcnn.data.text.vocabulary import UNKNOWN
from jaxcnn.errors import InputError
from jaxcnn.operators.recurrent import beam_search, greedy_search
from jaxcnn.tasks.task import About, Measure, check_returned

MEASURES = {
    "loss": Measure(higher_is_better=False, label="loss of a token"),
    "exact": Measure("points", label="texts without an error"),
    "token_accuracy": Measure("points", label="token accuracy"),
    "perplexity": Measure(higher_is_better=False, log=True, label="perplexity"),
}


def check_texts(task: str, about: About, field: str, sets: str) -> None:
    """Raises InputError where the data have no such texts in a field; `sets` names some that have."""
    if field not in about.fields or tuple(about.classes[:2]) != FRAMING:
        first = ", ".join(about.classes[:2]) or "none"
        raise InputError(
            f"task {task} wants texts whose classes begin with {' and '.join(FRAMING)}, in the field {field}. These "
            f"data hold {', '.join(about.fields)}, and their classes begin with {first}: config.data.name {sets} fit."
        )


def check_options(beam: int, penalty: float, own_tokens: float) -> None:
    """Raises ValueError where the width of a search, its penalty or the share of own tokens is out of its range."""
    if isinstance(beam, bool) or not isinstance(beam, int) or beam < 1:
        raise ValueError(f"beam is {beam!r}; it is a width, from 1")
    if not (isinstance(penalty, int | float) and math.isfinite(penalty)):
        raise ValueError(f"penalty is {penalty!r}; it is a finite number")
    if penalty and beam == 1:
        raise ValueError(f"penalty is {penalty}, but beam is 1: a search of one text has nothing to compare it with")
    if not (isinstance(own_tokens, int | float) and 0 <= own_tokens <= 1):
        raise ValueError(f"own_tokens is {own_tokens!r}; it is a probability")


def check_writes(task: str, module: Any, example: str) -> None:
    """Raises InputError where a network lacks the methods of one that writes."""
    if not hasattr(module, "encode") or not hasattr(module, "step"):
        raise InputError(
            f"config.model.name: {task} wants a network that reads and writes token by token (methods encode and "
            f"step), as {example} does; {type(module).__name__} is none."
        )


def check_logits(task: str, example: str, field: str, name: str, result: Any, about: About) -> None:
    """Raises InputError where a network does not return (logits (n, l, K + 1), features)."""
    shape, length = check_returned(name, result, "logits"), about.fields[field][0][-1]
    wanted = (2, length, len(about.classes) + 1)
    if shape != wanted:
        raise InputError(
            f"architecture {name} gives {shape} for 2 images, but {task} wants the logits of every next token, "
            f"{wanted}: of nothing and {len(about.classes)} tokens, as {example} gives them."
        )


def before(text: jax.Array) -> jax.Array:
    """The tokens that stand before those of texts (..., l)."""
    return jnp.pad(text[..., :-1], (*((0, 0) for _ in text.shape[:-1]), (1, 0)), constant_values=BEGIN)


def of_tokens(logits: jax.Array, text: jax.Array) -> tuple[jax.Array, ...]:
    """(-log p, tokens that are the likeliest, tokens) of texts (..., l), (...,) each, behind those before them."""
    there = (text > 0).astype(jnp.float32)
    own = jnp.take_along_axis(jax.nn.log_softmax(logits), text[..., None], axis=-1)[..., 0]
    right = (jnp.argmax(logits, axis=-1) == text).astype(jnp.float32)
    return tuple(jnp.sum(there * part, axis=-1) for part in (-own, right, jnp.ones_like(own)))


def forced(
    module: Any, write: Callable[[Any, jax.Array], Any], text: jax.Array, keys: jax.Array, own_tokens: float
) -> Any:
    """The result of writing behind the true tokens, some of them replaced by the network's own.

    Its own tokens come from a pass that leaves no trace: running statistics move once.

    Args:
      module: the bound network.
      write: f(network, tokens before (n, l)) -> (logits, more).
      text: (n, l).
      keys: (n,), of the images.
      own_tokens: the probability that a token before is replaced by what the network would have written there.
    """
    given = before(text)
    if own_tokens:
        pure, variables = module.unbind()
        rngs = {"dropout": module.make_rng("dropout")} if module.has_rng("dropout") else {}
        (logits, _), _ = pure.apply(variables, given, method=write, rngs=rngs, mutable=["batch_stats"])
        own = before(jnp.argmax(jax.lax.stop_gradient(logits), axis=-1).astype(text.dtype))
        replaced = jax.vmap(lambda key: jax.random.bernoulli(key, own_tokens, text.shape[1:]))(keys)
        given = jnp.where(replaced, own, given)
    return write(module, given)


def written(module: Any, state: Any, classes: Sequence[str], *, length: int, beam: int, penalty: float) -> jax.Array:
    """The likeliest texts that a search finds, (n, length) int32, 0 from <end> on; never nothing, <begin>, <unknown>.

    Args:
      module: the bound network.
      state: of it before the first token.
      classes: names of the tokens from 1 on.
      length: most tokens, the end included.
      beam: width of the search; 1 is greedy.
      penalty: of short texts, see `beam_search`.
    """
    pure, variables = module.unbind()
    never = np.array([True, *(name in (FRAMING[0], UNKNOWN) for name in classes)])

    def step(tokens, state):
        logits, _, state = pure.apply(variables, tokens, state, method="step")
        return jax.nn.log_softmax(jnp.where(never[None], -jnp.inf, logits)), state

    options: dict[str, Any] = {"step": step, "begin": BEGIN, "end": END, "length": length}
    search = greedy_search if beam == 1 else functools.partial(beam_search, width=beam, penalty=penalty)
    tokens = search(state, **options).tokens[:, 0]
    return jnp.where(tokens == END, 0, tokens)


def without_end(text: jax.Array | np.ndarray) -> jax.Array:
    """Texts (..., l) as `written` gives them: 0 in the place of <end>."""
    return jnp.where(text == END, 0, text)


def perplexity(means: Mapping[str, float]) -> dict[str, float]:
    """The means of a split with exp(loss) of a token."""
    return {**means, "perplexity": float(np.exp(min(means["loss"], 700.0)))}


def words(classes: Sequence[str], tokens: Sequence[int]) -> str:
    """The text of tokens (l,), a space between two."""
    return " ".join(classes[token - 1] for token in tokens if token)


def describe(about: About, outputs: Mapping[str, Any]) -> dict[str, str]:
    """{"text": ...} of an image's outputs, for `predict`."""
    return {TEXT: words(about.classes, outputs[TEXT].tolist())}
