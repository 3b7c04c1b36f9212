"""Classification: one label an image, measured by the loss and by top-1 and top-5 accuracy."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.errors import InputError, look_up
from jaxcnn.operators import loss as losses
from jaxcnn.tasks.task import About, Kind, Measure, Player, Scores, Task, Terms, check_returned, wrong_positions


def create(about: About, *, class_weights: str | Mapping[str, float] | None = None) -> Task:
    """The Task of labelling images with the classes of `about`.

    Training minimises about.loss of the smoothed (and mixed) labels, plus about.auxiliary_weight times the loss of
    each auxiliary head: the features named aux1, aux2, ... are logits. The logged loss is the network's own.

    With weights w of the classes an image i with targets t_i counts v_i = sum_c w_c t_ic, and

      sum_i v_i loss_i / sum_i v_i

    over the images of a batch is minimised and logged: of whole labels, torch's CrossEntropyLoss(weight). Evaluation
    weighs every image alike.

    Outputs of `infer`: "logits" and "probabilities", (n, K) float32, and the network's "features".

    Args:
      about: an About.
      class_weights: "balanced", n / (K n_c) of class c with n_c of the n training images (scikit-learn's
        compute_class_weight; a class without images weighs 0 and is none of the K); {class: weight}, 1 for those
        without; or None, all alike.
    Raises:
      ValueError: a class is unknown or a weight is not a positive number.
    """
    weights = _class_weights(about, class_weights)
    return Task(
        players=(Player("classifier", functools.partial(_objective, about, weights)),),
        infer=functools.partial(infer, about),
        score=functools.partial(_score, about),
        prepare=functools.partial(_prepare, about),
        mix=None if about.mix is None else functools.partial(mix, about),
        details=functools.partial(_details, about),
        describe=functools.partial(_describe, about),
        check=check_logits,
        undefined=() if len(about.classes) > 5 else ("top5",),
    )


def _prepare(about, key, example, numbers):
    targets = losses.smooth_labels(
        jax.nn.one_hot(example["label"], len(about.classes), dtype=jnp.float32), smoothing=numbers["label_smoothing"]
    )
    return {**about.prepare(key, example, numbers), "targets": targets}


def mix(about: About, key: jax.Array, batch: Mapping[str, Any], numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The batch with its images and "targets" (n, K) mixed as config.augment says; masked images stay unmixed."""
    own = batch["image"], batch["targets"]
    mixed = about.mix(key, *own)  # ty: ignore[not-callable]  called where there is one
    images, targets = (_unmix_masked(batch["mask"], *pair) for pair in zip(mixed, own, strict=True))
    return {**batch, "image": images, "targets": targets}


def _unmix_masked(mask, mixed, own):
    """Undoes mixing where either image of a pair is masked, since a masked image is zeros."""
    whole = jnp.repeat(mask.reshape(-1, 2).min(axis=1), 2)
    return jnp.where(whole.reshape(-1, *[1] * (own.ndim - 1)) > 0, mixed, own)


def _class_weights(about, given):
    """float32 (K,), or None where all classes weigh alike."""
    if given is None:
        return None
    if given == "balanced":
        return None if about.counts is None else balanced_weights(about.counts())
    if not hasattr(given, "keys"):
        raise ValueError(f"class_weights is {given!r}; it is 'balanced' or {{class: weight}}")
    for name, weight in given.items():
        look_up(name, table=dict.fromkeys(about.classes), kind="class of class_weights")
        if isinstance(weight, bool) or not (isinstance(weight, int | float) and 0 < weight < np.inf):
            raise ValueError(f"class_weights: the weight of '{name}' is {weight!r}; it is a positive number")
    return np.array([given.get(name, 1) for name in about.classes], np.float32)


def balanced_weights(counts: np.ndarray) -> np.ndarray:
    """float32 (K,): n / (K n_c) of a class with n_c of n images, 0 of one without, which is none of the K."""
    counts = np.asarray(counts)
    there = counts > 0
    return np.where(there, counts.sum() / (there.sum() * np.maximum(counts, 1)), 0).astype(np.float32)


def _objective(about, weights, module, batch, numbers):
    logits, features = module(about.normalise(batch["image"]), train=True)
    own = about.loss(logits, batch["targets"])
    auxiliary = sum(about.loss(head, batch["targets"]) for head in auxiliary_logits(features))
    loss, right = own + about.auxiliary_weight * auxiliary, accuracy(logits, batch["label"])
    if weights is None:
        return Terms(loss, {"loss": lax.stop_gradient(own), **right})
    counts = jnp.sum(batch["targets"] * weights[None], axis=1)
    return Terms(counts * loss, {"loss": lax.stop_gradient((counts * own, counts)), **right}, counts)


def infer(about: About, module: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
    """{"logits", "probabilities", "features"} of a batch's images."""
    logits, features = module(about.normalise(batch["image"]), train=False)
    return {"logits": logits, "probabilities": jax.nn.softmax(logits), "features": features}


def _score(about, outputs, batch):
    logits, label = outputs["logits"], batch["label"]
    classes = len(about.classes)
    means = {"loss": about.loss(logits, jax.nn.one_hot(label, classes, dtype=jnp.float32)), **accuracy(logits, label)}
    confusion = jnp.zeros((classes, classes), jnp.float32).at[label, jnp.argmax(logits, axis=1)].add(batch["mask"])
    return Scores(means, {"confusion": confusion}, {"wrong": (batch["mask"] > 0) & (means["top1"] == 0)})


def _details(about, n, means, sums, rows):
    """per_class: {class: its accuracy}, None without images; confusion: rows the true class; wrong: positions."""
    confusion = sums["confusion"].astype(np.int64)
    return {
        "per_class": per_class(about.classes, confusion),
        "confusion": confusion.tolist(),
        **wrong_positions(n, means, sums, rows),
    }


def per_class(classes: Sequence[str], confusion: np.ndarray) -> dict[str, float | None]:
    """{class: its accuracy}, None for one without images, of a confusion matrix (K, K), rows the true class."""
    seen, right = confusion.sum(axis=1), confusion.diagonal()
    return {name: (float(r / s) if s else None) for name, r, s in zip(classes, right, seen, strict=True)}


def _describe(about, outputs):
    row = outputs["probabilities"]
    return {
        "label": about.classes[int(row.argmax())],
        "probabilities": dict(zip(about.classes, row.tolist(), strict=True)),
    }


def accuracy(logits: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
    """{"top1", "top5"}: 1.0 where the label is among the 1 or 5 largest logits, (n,) float32 each."""
    return {f"top{k}": top_k_correct(logits, labels, k=k) for k in (1, 5)}


def top_k_correct(logits: jax.Array, labels: jax.Array, *, k: int) -> jax.Array:
    """1.0 where the label is among the k largest logits, (n,) float32.

    Ties go to the lower class index; a row with a NaN is wrong.
    """
    own = jnp.take_along_axis(logits, labels[:, None], axis=1)
    earlier = jnp.arange(logits.shape[1])[None] < labels[:, None]
    before = jnp.sum((logits > own) | ((logits == own) & earlier), axis=1)
    return ((before < k) & ~jnp.isnan(logits).any(axis=1)).astype(jnp.float32)


def auxiliary_logits(features: Mapping[str, jax.Array]) -> list[jax.Array]:
    """The logits of a network's auxiliary heads, aux1, aux2, ..., by their names among its features."""
    return [features[name] for name in auxiliary_names(features)]


def auxiliary_names(features: Iterable[str]) -> list[str]:
    """The names of auxiliary heads among those of features, sorted."""
    return [name for name in sorted(features) if name.startswith("aux") and name[3:].isdigit()]


def check_logits(name: str, result: Any, about: About) -> None:
    """Raises InputError where the data have no labels, or a network does not return (logits (n, K), features)."""
    if "label" not in about.fields:
        raise InputError(
            f"classification wants a label of each image, but these data hold {', '.join(about.fields) or 'none'}. "
            "config.task.name names the kind of learning that they are for."
        )
    shape, classes = check_returned(name, result, "logits"), len(about.classes)
    if len(shape) != 2:
        raise InputError(
            f"architecture {name} returns arrays of shape {shape} for 2 images, no logits: it cannot "
            f"learn to tell {classes} classes apart. config.task.name names the kind of learning that it is for."
        )
    if shape != (2, classes):
        raise InputError(
            f"architecture {name} gives logits of shape {shape} for 2 images, but the data set has "
            f"{classes} classes: (2, {classes}) would be right. Give its head {classes} classes, for example "
            f"by config.model.options.num_classes."
        )


CLASSIFICATION = Kind(
    measures={
        "loss": Measure(higher_is_better=False, label="loss"),
        "top1": Measure("points", label="accuracy"),
        "top5": Measure("points", label="top-5 accuracy"),
    },
    selects=("top1", "loss"),
    create=create,
    numbers={"label_smoothing": "loss.label_smoothing"},
    tells_apart=True,
)
