"""Captioning: an image is described in a sentence, token by token (Vinyals et al. 2015; Xu et al. 2015).

The sentences of an image are the field `captions`, int32 (most, length), see jaxcnn.tasks.writing; rows of zeros are
none. One of them, drawn by key, is learned from in a step; all are measured and compared with.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.data.text.captions import CAPTIONS
from jaxcnn.data.text.tokens import TEXT
from jaxcnn.data.text.vocabulary import UNKNOWN
from jaxcnn.tasks import writing
from jaxcnn.tasks.bleu import MEASURES as BLEU
from jaxcnn.tasks.bleu import bleu, check_installed
from jaxcnn.tasks.task import About, Kind, Measure, Player, Scores, Task, Terms, wrong_positions

NETWORK, SETS = "caption_attention", "'sentences' and captions:PATH"


def create(about: About, *, beam: int = 1, penalty: float = 0.0, own_tokens: float = 0.0, spread: float = 0.0) -> Task:
    """The Task of writing a sentence about an image.

    Training minimises -log p of each token of a caption behind those before it, over all tokens of a batch, <end> among
    them; `own_tokens` is that of translation. A network with attention also pays `spread` times

        sum over places of (1 - sum over tokens of the weight of the place)**2

    of each image, so that no part of it is left out (Xu et al. 2015, section 4.2.1; they have 1). It is in no measure.

    `loss`, `perplexity` and `token_accuracy` are over the tokens of all captions, behind the true ones. What is written
    by greedy or beam search, without <unknown>, is compared with all captions of its image: `exact` is the share that
    equals one of them, `bleu_1` to `bleu_4` are those of the whole split (see jaxcnn.tasks.bleu).

    Outputs of `infer`: "text" (n, length) int32, with 0 from <end> on; of a batch with captions also "logits", of each
    token of each caption.

    Args:
      about: an About, whose fields hold `captions` and whose classes begin with <begin> and <end>.
      beam: width of the search; 1 is greedy.
      penalty: of short texts, see `beam_search`.
      own_tokens: from 0 to 1.
      spread: 0 or more.
    Raises:
      InputError: the data have no captions, or sacrebleu, by which they are measured, is not installed.
      ValueError: an option is out of its range.
    """
    writing.check_texts("captioning", about, CAPTIONS, SETS)
    writing.check_options(beam, penalty, own_tokens)
    if isinstance(spread, bool) or not (isinstance(spread, int | float) and spread >= 0):
        raise ValueError(f"spread is {spread!r}; it is the weight of a penalty, 0 or more")
    if about.loss is not None:  # without it nothing is measured, as in predict
        check_installed()
    search = {"classes": about.classes, "length": about.fields[CAPTIONS][0][1], "beam": beam, "penalty": penalty}
    return Task(
        players=(Player("captioner", functools.partial(_objective, about, own_tokens, spread)),),
        infer=functools.partial(_infer, about, search),
        score=_score,
        prepare=functools.partial(_prepare, about),
        finish=functools.partial(_finish, about),
        details=functools.partial(_details, about),
        describe=functools.partial(writing.describe, about),
        init=_init,
        check=functools.partial(writing.check_logits, "captioning", NETWORK, CAPTIONS),
    )


def _prepare(about, key, example, numbers):
    """The example, augmented, with one of its captions as `text`."""
    own, drawn = jax.random.split(key)
    count = jnp.sum(jnp.any(example[CAPTIONS] > 0, axis=1))
    which = jax.random.randint(drawn, (), 0, jnp.maximum(count, 1))
    return {**about.prepare(own, example, numbers), TEXT: example[CAPTIONS][which]}


def _init(module, batch):
    writing.check_writes("captioning", module, NETWORK)
    return module(batch["image"], train=False, text=batch[CAPTIONS][:, 0])


def _objective(about, own_tokens, spread, module, batch, numbers):
    def write(module, given):
        return module(about.normalise(batch["image"]), train=True, text=given)

    logits, features = writing.forced(module, write, batch[TEXT], batch["key"], own_tokens)
    loss, right, count = writing.of_tokens(logits, batch[TEXT])
    means = {"loss": (loss, count), "token_accuracy": (right, count)}
    if spread and "attention" in features:
        loss = loss + spread * _left_out(features["attention"], batch[TEXT])
    return Terms(loss, means, count)


def _left_out(attention, text):
    """sum_i (1 - sum_t a_ti)**2 of weights (n, l, h, w), over the tokens that are there."""
    total = jnp.sum(jnp.where(text[..., None, None] > 0, attention, 0.0), axis=1)
    return jnp.sum(jnp.square(1 - total), axis=(1, 2))


def _infer(about, search, module, batch):
    state = module.encode(about.normalise(batch["image"]))
    found = {TEXT: writing.written(module, state, **search)}
    if CAPTIONS not in batch:
        return found
    n, most, length = batch[CAPTIONS].shape
    state = jax.tree.map(lambda part: jnp.repeat(part, most, axis=0), state)
    logits, _ = module.write(state, writing.before(batch[CAPTIONS]).reshape(n * most, length))
    return {**found, "logits": logits.reshape(n, most, length, -1)}


def _score(outputs, batch):
    captions = batch[CAPTIONS]
    loss, right, count = (jnp.sum(x, axis=1) for x in writing.of_tokens(outputs["logits"], captions))
    same = jnp.all(outputs[TEXT][:, None] == writing.without_end(captions), axis=2) & jnp.any(captions > 0, axis=2)
    exact = jnp.any(same, axis=1).astype(jnp.float32)
    means = {"loss": (loss, count), "token_accuracy": (right, count), "exact": exact}
    there = batch["mask"] > 0
    rows = {"wrong": there & (exact == 0), "there": there, TEXT: outputs[TEXT], CAPTIONS: captions}
    return Scores(means, rows=rows)


def bleu_of(classes: Sequence[str], texts: np.ndarray, captions: np.ndarray) -> tuple[dict[str, float], str]:
    """BLEU of texts by tokens; <unknown> in a text matches nothing, as the word that it stands for may be any.

    Args:
      classes: names of the tokens from 1 on.
      texts: (n, l), without <end>.
      captions: (n, most, length), with <end>.
    Returns:
      ({"bleu_1": float from 0 to 1, ...}, sacrebleu's signature).
    """
    said = [writing.words(classes, row.tolist()).replace(UNKNOWN, "<unsaid>") for row in np.asarray(texts)]
    known = np.asarray(writing.without_end(captions)), np.asarray(captions)
    true = [  # rows of nothing but padding are no captions; one of <end> alone is the caption without a word
        [writing.words(classes, row.tolist()) for row, ended in zip(*own, strict=True) if ended.any()]
        for own in zip(*known, strict=True)
    ]
    return bleu(said, true)


def _bleu(about, rows):
    there = rows["there"]
    return bleu_of(about.classes, rows[TEXT][there], rows[CAPTIONS][there])


def _finish(about, n, means, sums, rows):
    return {**writing.perplexity(means), **_bleu(about, rows)[0]}


def _details(about, n, means, sums, rows):
    return {**wrong_positions(n, means, sums, rows), "bleu_signature": _bleu(about, rows)[1]}


CAPTIONING = Kind(
    measures={**writing.MEASURES, "exact": Measure("points", label="captions that equal a true one"), **BLEU},
    selects=("bleu_4", "loss"),
    create=create,
)
