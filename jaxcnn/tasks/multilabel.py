"""Labels that do not exclude each other: an image has each of the classes or not, by a sigmoid of its own.

The truth is the field `labels` of the data, bool (K,). Measures are scikit-learn's.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcnn.data.labels import LABELS
from jaxcnn.errors import InputError
from jaxcnn.tasks.classification import auxiliary_logits, mix
from jaxcnn.tasks.task import About, Kind, Measure, Player, Scores, Task, Terms, check_returned, wrong_positions


def create(about: About, *, threshold: float = 0.5) -> Task:
    """The Task of saying of each class whether an image has it.

    Training minimises the mean over the classes of the sigmoid cross-entropy of the (mixed) labels t and logits z,

      -t log s(z) - (1 - t) log(1 - s(z)),   s(z) = 1 / (1 + exp(-z)),

    plus about.auxiliary_weight times that of each auxiliary head. The logged loss is the network's own.

    `map` is the mean over the classes that an image of the split has of their average precision, sum_n (R_n - R_{n-1})
    P_n over the images by falling score, without interpolation (average_precision_score). F1 is that of s(z) >=
    threshold: `macro_f1` the mean over the classes that are there or were predicted, `micro_f1` of all decisions
    together. Each is 0 where no image has a label.

    Outputs of `infer`: "logits" and "scores" = s(logits), (n, K) float32, and the network's "features".

    Args:
      about: an About, whose fields hold `labels`.
      threshold: of a score, between 0 and 1.
    Raises:
      ValueError: the threshold is not between 0 and 1.
    """
    if isinstance(threshold, bool) or not (isinstance(threshold, int | float) and 0 < threshold < 1):
        raise ValueError(f"threshold is {threshold!r}; it is a number between 0 and 1")
    return Task(
        players=(Player("labeller", functools.partial(_objective, about)),),
        infer=functools.partial(_infer, about),
        score=functools.partial(_score, threshold),
        prepare=functools.partial(_prepare, about),
        mix=None if about.mix is None else functools.partial(mix, about),
        finish=functools.partial(_finish, threshold),
        details=functools.partial(_details, about, threshold),
        describe=functools.partial(_describe, about, threshold),
        check=_check,
    )


def _prepare(about, key, example, numbers):
    return {**about.prepare(key, example, numbers), "targets": example[LABELS].astype(jnp.float32)}


def _loss(logits, targets):
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits.astype(jnp.float32), targets), axis=1)


def _objective(about, module, batch, numbers):
    logits, features = module(about.normalise(batch["image"]), train=True)
    own = _loss(logits, batch["targets"])
    auxiliary = sum(_loss(head, batch["targets"]) for head in auxiliary_logits(features))
    return Terms(own + about.auxiliary_weight * auxiliary, {"loss": jax.lax.stop_gradient(own)})


def _infer(about, module, batch):
    logits, features = module(about.normalise(batch["image"]), train=False)
    logits = logits.astype(jnp.float32)
    return {"logits": logits, "scores": jax.nn.sigmoid(logits), "features": features}


def _score(threshold, outputs, batch):
    scores, there = outputs["scores"], batch["mask"] > 0
    wrong = jnp.any(((scores >= threshold) != batch[LABELS]) | jnp.isnan(scores), axis=1)
    rows = {"scores": scores, LABELS: batch[LABELS], "there": there, "wrong": there & wrong}
    return Scores({"loss": _loss(outputs["logits"], batch[LABELS].astype(jnp.float32))}, rows=rows)


def _finish(threshold, n, means, sums, rows):
    found = label_scores(rows[LABELS][rows["there"]], rows["scores"][rows["there"]], threshold=threshold)
    return {**means, **{name: found[name] for name in ("map", "macro_f1", "micro_f1")}}


def label_scores(labels: np.ndarray, scores: np.ndarray, *, threshold: float) -> dict[str, Any]:
    """The scores of a split, with scikit-learn's definitions. A NaN predicts nothing and ranks last.

    Args:
      labels: bool (n, K).
      scores: (n, K) from 0 to 1, higher for a class that is more likely there.
      threshold: of a score, from which a class is predicted.
    Returns:
      {"map", "macro_f1", "micro_f1": fractions, "n", "average_precision", "precision", "recall", "f1": (K,), NaN where
      a class has no such score}.
    """
    from sklearn.metrics import average_precision_score, precision_recall_fscore_support  # half a second at a start

    predicted, counts, scores = scores >= threshold, labels.sum(axis=0), np.nan_to_num(scores, nan=-1.0)
    average_precision = np.full(labels.shape[1], np.nan)
    for number in np.flatnonzero(counts):
        average_precision[number] = average_precision_score(labels[:, number], scores[:, number])
    # One column is two classes to scikit-learn, without it and with it: the second is ours.
    own = {"labels": [1]} if labels.shape[1] == 1 else {}
    measured = functools.partial(precision_recall_fscore_support, labels.astype(int), predicted.astype(int), **own)
    precision, recall, f1, _ = measured(average=None, zero_division=np.nan)
    return {
        "map": _mean(average_precision),
        "macro_f1": _mean(f1),
        "micro_f1": float(measured(average="micro", zero_division=0)[2]),
        "n": counts,
        "average_precision": average_precision,
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def _mean(values):
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else 0.0


def _details(about, threshold, n, means, sums, rows):
    """by_label: {class: {"n": images with it, "average_precision", "precision", "recall", "f1"}}; wrong: positions."""
    found = label_scores(rows[LABELS][rows["there"]], rows["scores"][rows["there"]], threshold=threshold)
    by_label = {
        name: {
            "n": int(found["n"][number]),
            **{key: _number(found[key][number]) for key in ("average_precision", "precision", "recall", "f1")},
        }
        for number, name in enumerate(about.classes)
    }
    return {"by_label": by_label, **wrong_positions(n, means, sums, rows)}


def _number(value):
    return None if np.isnan(value) else float(value)


def _describe(about, threshold, outputs):
    scores = outputs["scores"].tolist()
    return {
        "labels": [name for name, score in zip(about.classes, scores, strict=True) if score >= threshold],
        "probabilities": dict(zip(about.classes, scores, strict=True)),
    }


def _check(name, result, about):
    """Raises InputError where the data have no labels, or a network does not return (logits (n, K), features)."""
    if LABELS not in about.fields:
        raise InputError(
            f"task multilabel wants any number of labels of each image, but these data hold "
            f"{', '.join(about.fields) or 'none'}: config.data.name 'scene_labels' and labels:PATH have them."
        )
    shape, classes = check_returned(name, result, "logits"), len(about.classes)
    if shape != (2, classes):
        raise InputError(
            f"architecture {name} gives {shape} for 2 images, but multilabel wants a logit of each of {classes} "
            f"classes, (2, {classes})."
        )


MULTILABEL = Kind(
    measures={
        "loss": Measure(higher_is_better=False, label="loss"),
        "map": Measure("points", label="mean average precision"),
        "macro_f1": Measure("points", label="macro F1"),
        "micro_f1": Measure("points", label="micro F1"),
    },
    selects=("map", "loss"),
    create=create,
)
