"""Translation: a sequence becomes another, token by token (Sutskever, Vinyals and Le 2014, arXiv:1409.3215).

A sequence is an image, a row a step; rows of zeros at the bottom are not there. Its text is the field `text`, token k
for classes[k - 1] and 0 behind it; the first two classes are <begin> and <end>, with which every text ends. Images are
taken as they are, in [0, 1]: normalised, what is not there would no longer be zero.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.data.text.tokens import BEGIN, END, FRAMING, TEXT
from jaxcnn.errors import InputError
from jaxcnn.operators.recurrent import beam_search, greedy_search
from jaxcnn.tasks.task import Kind, Measure, Player, Scores, Task, Terms, check_returned, wrong_positions


def create(about, *, beam=1, penalty=0.0, own_tokens=0.0):
    """The Task of writing the texts of sequences.

    Training minimises -log p of each token behind those before it, over all tokens of a batch, <end> among them; the
    network gets the true tokens before (teacher forcing). With `own_tokens` each is replaced, with this probability, by
    what the network itself would have written there (scheduled sampling, Bengio et al. 2015, arXiv:1506.03099, in one
    pass more as Duckworth et al. 2019, arXiv:1906.04331; the share is constant).

    `loss`, `perplexity` (its exponential) and `token_accuracy` are over tokens, behind the true ones; `exact` is the
    share of texts that are written whole without an error, by greedy or beam search.

    Outputs of `infer`: "text" (n, most) int32, with 0 from <end> on; of a batch with texts also "logits", of each token
    behind the true ones.

    Args:
      about: an About, whose fields hold `text` and whose classes begin with <begin> and <end>.
      beam: width of the search; 1 is greedy.
      penalty: of short texts, see `beam_search`.
      own_tokens: from 0 to 1.
    Raises:
      InputError: the data have no such texts.
      ValueError: an option is out of its range.
    """
    if TEXT not in about.fields or tuple(about.classes[:2]) != FRAMING:
        raise InputError(
            f"task translation wants texts whose classes begin with {' and '.join(FRAMING)}, but these data hold "
            f"{', '.join(about.fields)} and begin with {', '.join(about.classes[:2]) or 'none'}: config.data.name "
            "'copy' and 'reverse' have them."
        )
    if isinstance(beam, bool) or not isinstance(beam, int) or beam < 1:
        raise ValueError(f"beam is {beam!r}; it is a width, from 1")
    if not 0 <= own_tokens <= 1:
        raise ValueError(f"own_tokens is {own_tokens!r}; it is a probability")
    return Task(
        players=(Player("translator", functools.partial(_objective, own_tokens)),),
        infer=functools.partial(_infer, {"width": beam, "penalty": penalty}, about.fields[TEXT][0][0]),
        score=_score,
        finish=_finish,
        details=wrong_positions,
        describe=functools.partial(_describe, about),
        init=_init,
        check=_check,
    )


def steps_there(images):
    """The rows of images (n, h, w, c) up to the last that is not all zero, (n,) int32, at least 1."""
    rows = jnp.any(images > 0, axis=(2, 3)) * (1 + jnp.arange(images.shape[1]))[None]
    return jnp.maximum(jnp.max(rows, axis=1), 1)


def _before(text):
    """The tokens that stand before those of texts (n, l)."""
    return jnp.pad(text[:, :-1], ((0, 0), (1, 0)), constant_values=BEGIN)


def _init(module, batch):
    if not hasattr(module, "encode") or not hasattr(module, "step"):
        raise InputError(
            "config.model.name: translation wants a network that reads a sequence and writes token by token (methods "
            f"encode and step), as seq2seq does; {type(module).__name__} is none."
        )
    return module(batch["image"], train=False, text=batch[TEXT])


def _objective(own_tokens, module, batch, numbers):
    text, lengths, before = batch[TEXT], steps_there(batch["image"]), _before(batch[TEXT])
    write = functools.partial(module, batch["image"], train=True, lengths=lengths)
    if own_tokens:
        own = _before(jnp.argmax(jax.lax.stop_gradient(write(text=before)[0]), axis=-1).astype(text.dtype))
        replaced = jax.vmap(lambda key: jax.random.bernoulli(key, own_tokens, text.shape[1:]))(batch["key"])
        before = jnp.where(replaced, own, before)
    loss, right, count = _of_tokens(write(text=before)[0], text)
    return Terms(loss, {"token_accuracy": (right, count)}, count)


def _of_tokens(logits, text):
    """(-log p, tokens that are the likeliest, tokens) of texts (n, l), (n,) each."""
    there = (text > 0).astype(jnp.float32)
    own = jnp.take_along_axis(jax.nn.log_softmax(logits), text[..., None], axis=-1)[..., 0]
    right = (jnp.argmax(logits, axis=-1) == text).astype(jnp.float32)
    return tuple(jnp.sum(there * part, axis=1) for part in (-own, right, jnp.ones_like(own)))


def _infer(search, most, module, batch):
    lengths = steps_there(batch["image"])
    found = {TEXT: _written(search, most, module, module.encode(batch["image"], lengths))}
    if TEXT not in batch:
        return found
    logits, features = module(batch["image"], train=False, text=_before(batch[TEXT]), lengths=lengths)
    return {**found, "logits": logits, "features": features}


def _written(search, most, module, state):
    """The likeliest texts that a search finds, (n, most) int32, 0 from <end> on."""
    pure, variables = module.unbind()

    def step(tokens, state):
        logits, _, state = pure.apply(variables, tokens, state, method="step")
        never = jnp.arange(logits.shape[-1]) < END  # nothing, and <begin>
        return jax.nn.log_softmax(jnp.where(never[None], -jnp.inf, logits)), state

    options = {"step": step, "begin": BEGIN, "end": END, "length": most}
    found = greedy_search(state, **options) if search["width"] == 1 else beam_search(state, **options, **search)
    return jnp.where(found.tokens[:, 0] == END, 0, found.tokens[:, 0])


def _score(outputs, batch):
    text = batch[TEXT]
    loss, right, count = _of_tokens(outputs["logits"], text)
    wanted = jnp.where(text == END, 0, text)
    exact = jnp.all(outputs[TEXT] == wanted, axis=1).astype(jnp.float32)
    means = {"loss": (loss, count), "token_accuracy": (right, count), "exact": exact}
    return Scores(means, rows={"wrong": (batch["mask"] > 0) & (exact == 0)})


def _finish(n, means, sums, rows):
    return {**means, "perplexity": float(np.exp(min(means["loss"], 700.0)))}


def _describe(about, outputs):
    return {TEXT: " ".join(about.classes[token - 1] for token in outputs[TEXT].tolist() if token)}


def _check(name, result, about):
    """Raises InputError where a network does not return (logits (n, l, K + 1), features)."""
    shape, wanted = check_returned(name, result, "logits"), (2, *about.fields[TEXT][0], len(about.classes) + 1)
    if shape != wanted:
        raise InputError(
            f"architecture {name} gives {shape} for 2 sequences, but translation wants the logits of every next token, "
            f"{wanted}: of nothing and {len(about.classes)} tokens, as seq2seq gives them."
        )


TRANSLATION = Kind(
    measures={
        "loss": Measure(higher_is_better=False, label="loss of a token"),
        "exact": Measure("points", label="texts without an error"),
        "token_accuracy": Measure("points", label="token accuracy"),
        "perplexity": Measure(higher_is_better=False, log=True, label="perplexity"),
    },
    selects=("exact", "token_accuracy", "loss"),
    create=create,
)
