"""Reading: an image becomes a text, by connectionist temporal classification (Graves et al. 2006).

The text is the field `text` of the data, k for the letter classes[k - 1] and 0 where nothing is. The network returns
(logits (n, t, K + 1), features): a frame's class 0 is the blank. It is read by the most likely class of each frame.
"""

import functools

import jax.numpy as jnp

from jaxcnn.data.text.tokens import TEXT
from jaxcnn.errors import InputError
from jaxcnn.operators.recurrent import ctc_greedy, ctc_loss
from jaxcnn.tasks.edits import edit_distance
from jaxcnn.tasks.task import About, Kind, Measure, Player, Scores, Task, Terms, check_returned, wrong_positions


def create(about: About) -> Task:
    """The Task of reading the texts of images.

    Training minimises -log of the probability of an image's text (`ctc_loss`). `exact` is the share of images that are
    read without an error; `cer`, the character error rate, the letters that must be changed, put in or left out
    (Levenshtein 1966) over those that there are, of a whole split.

    Outputs of `infer`: "text" (n, t) int32, the letters that were read and then 0; "logits"; and "features".

    Args:
      about: an About, whose fields hold `text`.
    Raises:
      InputError: the data have no texts.
    """
    if TEXT not in about.fields:
        raise InputError(
            f"task reading wants images with a text, but these data hold {', '.join(about.fields)}: config.data.name "
            "'strings' and text:PATH have them."
        )
    return Task(
        players=(Player("reader", functools.partial(_objective, about)),),
        infer=functools.partial(_infer, about),
        score=_score,
        prepare=about.prepare,
        details=wrong_positions,
        describe=functools.partial(_describe, about),
        check=_check,
    )


def _objective(about, module, batch, numbers):
    logits, _ = module(about.normalise(batch["image"]), train=True)
    return Terms(ctc_loss(logits, batch[TEXT], batch[TEXT] > 0), {})


def _infer(about, module, batch):
    logits, features = module(about.normalise(batch["image"]), train=False)
    return {TEXT: ctc_greedy(logits)[0], "logits": logits, "features": features}


def _score(outputs, batch):
    wanted = batch[TEXT]
    edits, letters = edit_distance(outputs[TEXT], wanted), jnp.sum(wanted > 0, axis=1).astype(jnp.float32)
    means = {
        "loss": ctc_loss(outputs["logits"], wanted, wanted > 0),
        "exact": (edits == 0).astype(jnp.float32),
        "cer": (edits, letters),
    }
    return Scores(means, rows={"wrong": (batch["mask"] > 0) & (edits > 0)})


def _describe(about, outputs):
    return {TEXT: "".join(about.classes[token - 1] for token in outputs[TEXT].tolist() if token)}


def _check(name, result, about):
    """Raises InputError where a network does not return (logits (n, t, K + 1), features), t enough for a text."""
    shape, (most,) = check_returned(name, result, "logits"), about.fields[TEXT][0]
    if len(shape) != 3 or shape[0] != 2 or shape[2] != len(about.classes) + 1:
        raise InputError(
            f"architecture {name} gives {shape} for 2 images, but reading wants logits of frames, "
            f"(2, frames, {len(about.classes) + 1}): of the blank and {len(about.classes)} letters, as crnn_small "
            "gives them."
        )
    if shape[1] < most:
        raise InputError(
            f"architecture {name} gives {shape[1]} frames for images of {about.shape}, but texts have up to {most} "
            "letters, and each takes a frame, and one more between two equal ones: fewer poolings along the width, or "
            "wider images (config.data.image_size)."
        )


READING = Kind(
    measures={
        "loss": Measure(higher_is_better=False, label="loss"),
        "exact": Measure("points", label="texts read without an error"),
        "cer": Measure("points", higher_is_better=False, label="character error rate"),
    },
    # the error rate decides while no text is read whole yet
    selects=("exact", "cer"),
    create=create,
)
