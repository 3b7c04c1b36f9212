"""Translation: a sequence becomes another, token by token (Sutskever, Vinyals and Le 2014, arXiv:1409.3215).

A sequence is an image, a row a step; rows of zeros at the bottom are not there. Its text is the field `text`, see
jaxcnn.tasks.writing. Images are taken as they are, in [0, 1]: normalised, what is not there would no longer be zero.
"""

import functools

import jax
import jax.numpy as jnp

from jaxcnn.data.text.tokens import TEXT
from jaxcnn.tasks import writing
from jaxcnn.tasks.task import About, Kind, Player, Scores, Task, Terms, images_as_they_are, wrong_positions


def create(about: About, *, beam: int = 1, penalty: float = 0.0, own_tokens: float = 0.0) -> Task:
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
    writing.check_texts("translation", about, TEXT, "'copy' and 'reverse'")
    writing.check_options(beam, penalty, own_tokens)
    search = {"classes": about.classes, "length": about.fields[TEXT][0][0], "beam": beam, "penalty": penalty}
    return Task(
        players=(Player("translator", functools.partial(_objective, own_tokens)),),
        infer=functools.partial(_infer, search),
        score=_score,
        finish=_finish,
        details=wrong_positions,
        describe=functools.partial(writing.describe, about),
        init=_init,
        enter=images_as_they_are,
        check=functools.partial(writing.check_logits, "translation", "seq2seq", TEXT),
    )


def steps_there(images: jax.Array) -> jax.Array:
    """The rows of images (n, h, w, c) up to the last that is not all zero, (n,) int32, at least 1."""
    rows = jnp.any(images > 0, axis=(2, 3)) * (1 + jnp.arange(images.shape[1]))[None]
    return jnp.maximum(jnp.max(rows, axis=1), 1)


def _init(module, batch):
    writing.check_writes("translation", module, "seq2seq")
    return module(batch["image"], train=False, text=batch[TEXT])


def _objective(own_tokens, module, batch, numbers):
    lengths = steps_there(batch["image"])

    def write(module, given):
        return module(batch["image"], train=True, lengths=lengths, text=given)

    logits, _ = writing.forced(module, write, batch[TEXT], batch.get("key"), own_tokens)
    loss, right, count = writing.of_tokens(logits, batch[TEXT])
    return Terms(loss, {"token_accuracy": (right, count)}, count)


def _infer(search, module, batch):
    lengths = steps_there(batch["image"])
    found = {TEXT: writing.written(module, module.encode(batch["image"], lengths), **search)}
    if TEXT not in batch:
        return found
    logits, features = module(batch["image"], train=False, text=writing.before(batch[TEXT]), lengths=lengths)
    return {**found, "logits": logits, "features": features}


def _score(outputs, batch):
    text = batch[TEXT]
    loss, right, count = writing.of_tokens(outputs["logits"], text)
    exact = jnp.all(outputs[TEXT] == writing.without_end(text), axis=1).astype(jnp.float32)
    means = {"loss": (loss, count), "token_accuracy": (right, count), "exact": exact}
    return Scores(means, rows={"wrong": (batch["mask"] > 0) & (exact == 0)})


def _finish(n, means, sums, rows):
    return writing.perplexity(means)


TRANSLATION = Kind(measures=writing.MEASURES, selects=("exact", "token_accuracy", "loss"), create=create)
