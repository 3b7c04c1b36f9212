"""Embedding: images as unit vectors, those of one class near each other; learned by comparing images of a batch.

A network returns (vectors (n, d), features), any classifier's head of d outputs (config.model.options.num_classes):
they are scaled to length 1, and distances are squared Euclidean, from 0 to 4. Batches of P classes with K images of
each are drawn by config.sampler.name "identities". An image is compared with those of the whole global batch.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.errors import InputError, input_errors, look_up
from jaxcnn.tasks.task import About, Kind, Measure, Player, Scores, Task, Terms, check_returned, gathered
from jaxcnn.tasks.verification import area, equal_error_rate

MARGINS = {"triplet": 0.2, "contrastive": 1.0}  # of squared distances (Schroff et al. 2015), and of distances
MOST = 1000  # images of a split whose pairs are all compared: 499,500 of them
LEAST = 1e-12  # squared lengths below it count as this


def create(about: About, *, loss: str = "triplet", mining: str | None = None, margin: float | None = None) -> Task:
    """The Task of embedding the images of `about`.

    With "triplet" an anchor a with a positive p, another image of its class, and a negative n, of another, costs

      max(0, |a - p|^2 - |a - n|^2 + margin)      (Schroff, Kalenichenko and Philbin 2015, arXiv:1503.03832)

    mining "semi_hard": for each a and p the nearest n that is farther than p; where none is, the farthest of all.
    mining "hardest": for each a the farthest p and the nearest n (Hermans, Beyer and Leibe 2017, arXiv:1703.07737).
    The mean over these triplets is minimised.

    With "contrastive" an image a costs the mean over its p of |a - p|^2 / 2 and the mean over its n of
    max(0, margin - |a - n|)^2 / 2 (Hadsell, Chopra and LeCun 2006, on unit vectors).

    Outputs of `infer`: "embedding" (n, d) float32 of length 1, and the network's "features".

    Args:
      about: an About.
      loss: "triplet" or "contrastive".
      mining: of triplets, "semi_hard" or "hardest"; None for the first.
      margin: None for 0.2 of triplets, 1 of contrastive pairs.
    Raises:
      ValueError: an option does not fit, or images are without classes.
    """
    if not about.classes or "label" not in about.fields:
        raise ValueError("images are embedded by class, but these data are without labels")
    if about.mix is not None:
        raise ValueError("mixup and cutmix mix labels, which the comparison of images is without")
    standard = look_up(loss, table=MARGINS, kind="loss")
    mined = look_up("semi_hard" if mining is None else mining, table=MINING, kind="mining")
    if mining is not None and loss != "triplet":
        raise ValueError(f"mining is {mining!r}, which is of triplets; loss {loss!r} compares all pairs")
    margin = standard if margin is None else margin
    if isinstance(margin, bool) or not (isinstance(margin, int | float) and 0 < margin < np.inf):
        raise ValueError(f"margin is {margin!r}; it is a positive number")
    compare = functools.partial(contrastive if loss == "contrastive" else mined, margin=margin)
    return Task(
        players=(Player("embedding", functools.partial(_objective, about, compare)),),
        infer=functools.partial(_infer, about),
        score=_score,
        prepare=about.prepare,
        finish=_finish,
        check=_check,
        whole_batch=True,
    )


def unit(x: jax.Array) -> jax.Array:
    """Vectors (n, d) scaled to length 1, float32; a vector of zeros stays."""
    x = x.astype(jnp.float32)
    return x * lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(x), axis=1, keepdims=True), LEAST))


def squared_distances(x: jax.Array, y: jax.Array) -> jax.Array:
    """|x_i - y_j|^2 of unit vectors (n, d) and (m, d): (n, m) float32."""
    return jnp.maximum(2 - 2 * jnp.matmul(x, y.T, precision="highest"), 0)


def semi_hard(
    distances: jax.Array, positive: jax.Array, negative: jax.Array, *, margin: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(summed losses (n,), their numbers (n,), how many are above 0 (n,)) of the semi-hard triplets of n anchors.

    Args:
      distances: (n, m) squared, of anchors from the images of the batch.
      positive, negative: (n, m) bool, which images are of an anchor's class and another, and which of another class.
      margin: a number.
    """
    others = jnp.sort(jnp.where(negative, distances, jnp.inf), axis=1)
    count = negative.sum(axis=1)
    farther = jax.vmap(functools.partial(jnp.searchsorted, side="right"))(others, distances)
    chosen = jnp.take_along_axis(others, jnp.minimum(farther, jnp.maximum(count - 1, 0)[:, None]), axis=1)
    there = positive & (count > 0)[:, None]
    loss = jnp.where(there, jax.nn.relu(distances - jnp.where(there, chosen, 0) + margin), 0)
    return loss.sum(axis=1), there.sum(axis=1).astype(jnp.float32), (loss > 0).sum(axis=1).astype(jnp.float32)


def hardest(
    distances: jax.Array, positive: jax.Array, negative: jax.Array, *, margin: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """As `semi_hard`, of one triplet an anchor: its farthest positive and its nearest negative."""
    there = positive.any(axis=1) & negative.any(axis=1)
    far = jnp.max(jnp.where(positive, distances, 0), axis=1)
    near = jnp.min(jnp.where(negative, distances, 4), axis=1)
    loss = jnp.where(there, jax.nn.relu(far - near + margin), 0)
    return loss, there.astype(jnp.float32), (loss > 0).astype(jnp.float32)


def contrastive(
    distances: jax.Array, positive: jax.Array, negative: jax.Array, *, margin: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """As `semi_hard`, of one term an image: its mean costs of positives and of negatives; above 0 where any of them is.

    The gradient of the length at 0 is finite: it is taken of max(squared length, 1e-12).
    """
    length = jnp.sqrt(jnp.maximum(distances, LEAST))
    costs = jnp.where(positive, distances / 2, 0), jnp.where(negative, jnp.square(jax.nn.relu(margin - length)) / 2, 0)
    loss: Any = sum(
        cost.sum(axis=1) / jnp.maximum(which.sum(axis=1), 1)
        for cost, which in zip(costs, (positive, negative), strict=True)
    )
    there = positive.any(axis=1) | negative.any(axis=1)
    return loss, there.astype(jnp.float32), (loss > 0).astype(jnp.float32)


MINING = {"semi_hard": semi_hard, "hardest": hardest}


def _objective(about, compare, module, batch, numbers):
    x = unit(module(about.normalise(batch["image"]), train=True)[0])
    every, label, there, position = map(gathered, (x, batch["label"], batch["mask"], batch["position"]))
    seen = (batch["mask"][:, None] > 0) & (there[None] > 0)
    alike = batch["label"][:, None] == label[None]
    itself = batch["position"][:, None] == position[None]
    loss, count, active = compare(squared_distances(x, every), alike & seen & ~itself, ~alike & seen)
    return Terms(loss, {"active": lax.stop_gradient((active, count))}, weight=count)


def _infer(about, module, batch):
    result, features = module(about.normalise(batch["image"]), train=False)
    return {"embedding": unit(result), "features": features}


def _score(outputs, batch):
    return Scores({}, rows={"embedding": outputs["embedding"], "label": batch["label"], "mask": batch["mask"]})


def _finish(n, means, sums, rows):
    """The measures of a split: of all pairs of at most MOST images, and the nearest of all images of each.

    A vector that is not finite counts as one of zeros, and its nearest image as a wrong one.
    """
    from sklearn.neighbors import NearestNeighbors

    there = rows["mask"] > 0
    vectors, label = rows["embedding"][there], rows["label"][there]
    finite = np.isfinite(vectors).all(axis=1)
    vectors = np.where(finite[:, None], vectors, 0)  # a network that diverged is alike to nothing
    some = _compared(label)
    with input_errors(""):
        _check_pairs(label[some])
    first, second = np.triu_indices(len(some), 1)
    same = label[some][first] == label[some][second]
    scores: Any = np.sum(vectors[some][first] * vectors[some][second], axis=1, dtype=np.float64)
    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(vectors).kneighbors(return_distance=False)[:, 0]
    rank1 = float(np.mean((label[nearest] == label) & finite))
    return {"area": area(scores, same), "equal_error_rate": equal_error_rate(scores, same), "rank1": rank1}


def _compared(label):
    """Positions of the images whose pairs are compared: all, or MOST, of whole classes in an order that is fixed.

    Images at equal distances would be all of one class or none, where the records are in an order of classes.
    """
    names, classes = np.unique(label, return_inverse=True)
    turn = np.random.default_rng(0).permutation(len(names))[classes]
    order = np.argsort(turn, kind="stable")
    number = np.arange(len(order)) - np.searchsorted(turn[order], turn[order])  # of each among those of its class
    last = number >= MOST // 2  # after all others, so that one large class is not alone
    return np.sort(order[np.argsort(last, kind="stable")][:MOST])


def _check_split(label):
    """`_check_pairs` of the images that will be compared."""
    label = np.asarray(label)
    _check_pairs(label[_compared(label)])


def _check_pairs(label):
    """Raises ValueError where images of these classes (n,) make no pair of one class, or none of two."""
    counts = np.unique(label, return_counts=True)[1]
    if len(counts) < 2 or counts.max() < 2:
        raise ValueError(
            f"an embedding is measured by pairs of one class and of two, but {len(label)} images of {len(counts)} "
            "classes do not make both: hold out two images or more of each of two classes or more, as train[60%:80%]."
        )


def _check(name, result, about):
    """Raises InputError where a network does not return (vectors (n, d), features)."""
    shape = check_returned(name, result, "vectors")
    if len(shape) != 2 or shape[0] != 2:
        raise InputError(
            f"architecture {name} gives {shape} for 2 images, but embedding wants a vector of each, (2, d): a network "
            "with a head, whose outputs config.model.options.num_classes counts."
        )


EMBEDDING = Kind(
    measures={
        "loss": Measure(higher_is_better=False, label="loss"),
        "area": Measure(label="area below the ROC"),
        "equal_error_rate": Measure("points", higher_is_better=False, label="equal error rate"),
        "rank1": Measure("points", label="nearest image of the same class"),
        "active": Measure("points", label="comparisons that cost something"),
    },
    selects=("area", "rank1"),
    create=create,
    tells_apart=True,
    check_split=_check_split,
)
