"""R-CNN's second half: linear SVMs, and the regression of boxes, on the features of a network of regions.

Girshick et al. 2014 (arXiv:1311.2524), section 2.3 and appendices B and C, with the constants of the authors' code. The
network is a run of the task detection with architecture `rcnn`; `fast_rcnn` has such features too.

```python
trained = jaxcnn.Trained("runs/rcnn")
fitted = fit(trained, trained.open("train").records)
evaluate(trained, fitted, trained.open("test").records)["ap50"]
```
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.operators import regions
from jaxcnn.tasks.detection import head
from jaxcnn.tasks.detection.examples import REGIONS, given_regions
from jaxcnn.tasks.detection.two_stages import Settings

if TYPE_CHECKING:
    from jaxcnn.evaluation.trained import Trained


NORM = 20.0  # mean length that feature vectors are scaled to
COST, CONSTANT, OF_OBJECTS = 1e-3, 10.0, 2.0  # of the SVMs: C, the constant feature, the weight of an object
BACKGROUND = 0.3  # IoU below which a region is background to the SVM of a class
HARD, EASY = -1.0, -1.2  # scores above which background joins the cache, and below which it leaves it
FIRST = 5  # regions of background for each object that the cache begins with
NEAR, RIDGE = 0.6, 1000.0  # IoU from which a region learns to move; weight of the squared coefficients


class Fitted(NamedTuple):
    """What is learned from the features of regions, of K classes.

    Attributes:
      scales: (2,), factors of the vectors that the SVMs see, (d,), and of those that boxes are moved by, (d',).
      weights, biases: (K, d), (K,) of the SVMs; the bias of a class without objects is -inf.
      shifts, offsets: (K, d', 4), (K, 4): linear in the vector, `regions.encode` of the object from the region.
    """

    scales: np.ndarray
    weights: np.ndarray
    biases: np.ndarray
    shifts: np.ndarray
    offsets: np.ndarray


class Rows(NamedTuple):
    """Regions to learn from: proposals and the objects themselves.

    Attributes:
      vectors: (r, d) float32, behind the head's last full connection.
      labels: (r,), the class of a row that is an object; K for a proposal.
      overlaps: (r, K), the largest IoU with an object of each class, also an ignored one.
      pooled: (s, d') float32, behind the pooling, of the proposals near an object alone.
      classes, targets: (s,), (s, 4): of that object; `regions.encode` of it from the proposal.
    """

    vectors: np.ndarray
    labels: np.ndarray
    overlaps: np.ndarray
    pooled: np.ndarray
    classes: np.ndarray
    targets: np.ndarray


def fit(trained: Trained, records: Any, *, seed: int = 0, passes: int = 2) -> Fitted:
    """Learns SVMs and the regression of boxes from the images of `records`, one after the other.

    All features lie in memory: 4 d bytes for each region.

    Args:
      trained: a Trained of architecture `rcnn`, or another that classifies regions.
      records: Records with proposals, of its images and classes.
      seed: of the background that is looked at first.
      passes: over all background, after each of which the SVMs are fitted anew with what they had wrong.
    Returns:
      Fitted.
    Raises:
      InputError: the network or the records have no regions, or a class has objects and no background.
    """
    rows = gather(trained, records)
    scales = np.array([_scale(rows.vectors), _scale(rows.pooled)])
    vectors, pooled = scales[0] * rows.vectors, scales[1] * rows.pooled
    classes = range(len(trained.classes))
    machines = [fit_machine(vectors, rows, number, seed=seed, passes=passes) for number in classes]
    moves = [_fit_moves(pooled[rows.classes == number], rows.targets[rows.classes == number]) for number in classes]
    weights, biases, shifts, offsets = (
        np.stack(arrays) for arrays in (*zip(*machines, strict=True), *zip(*moves, strict=True))
    )
    return Fitted(scales, weights, biases, shifts, offsets)


def evaluate(trained: Trained, fitted: Fitted, records: Any) -> dict[str, Any]:
    """The measures of the run's task on images of `records`, of what SVMs and regression find.

    Args:
      trained, records: as in `fit`.
      fitted: Fitted.
    Returns:
      {measure: value}, those of the task that do not need a loss.
    """
    options = trained.config.task.options.to_dict()
    options = {name: value for name, value in options.items() if name in Settings._fields}
    settings = Settings(**options)._replace(least_score=-np.inf)

    def run(variables, fitted, batch):
        boxes, there, vectors, pooled = describe(trained, variables, batch)
        outputs = _find(settings, trained.shape[:2], fitted, boxes, there, vectors, pooled)
        return trained.task.score({**outputs, "proposals": boxes, "proposed": there}, batch)

    compiled = jax.jit(run)
    scores = [compiled(trained.variables, fitted, batch) for batch in _batches(trained, records)]
    rows = {name: np.concatenate([score.rows[name] for score in scores]) for name in scores[0].rows}
    found, objects = np.sum([score.means["proposal_recall"] for score in scores], axis=(0, 2))
    return trained.task.finish(len(scores), {"proposal_recall": float(found / max(objects, 1))}, {}, rows)


def _find(settings, size, fitted, boxes, there, vectors, pooled):
    """As head.find, of SVMs."""
    scores = jnp.einsum("npd,kd->npk", fitted.scales[0] * vectors, fitted.weights) + fitted.biases[None, None]
    moves = jnp.einsum("npd,kde->npke", fitted.scales[1] * pooled, fitted.shifts) + fitted.offsets[None, None]
    moved = regions.decode(moves, jnp.broadcast_to(boxes[:, :, None], moves.shape))
    moved = regions.clip(moved, size=size)
    found = jax.vmap(lambda boxes, scores: head.best(settings, boxes, scores))(
        moved, jnp.where(there[..., None], scores, -jnp.inf)
    )
    return dict(zip(("boxes", "classes", "scores", "there"), found, strict=True))


def describe(trained: Trained, variables: Any, batch: Mapping[str, Any], more: Any = None) -> tuple[Any, ...]:
    """(boxes (n, p, 4), there (n, p), vectors (n, p, d), pooled (n, p, d')) of the proposals of a batch; pure.

    Args:
      trained: a Trained.
      variables: its variables, as an argument.
      batch: of Records.
      more: (boxes (n, m, 4), there (n, m)) that come behind the proposals, in pixels of the images, or None.
    """
    size = trained.shape[:2]
    given: Any = given_regions(batch, size)  # not None: `records` have proposals
    boxes, there = given
    if more is not None:
        boxes, there = jnp.concatenate([boxes, more[0]], axis=1), jnp.concatenate([there, more[1]], axis=1)

    def run(module):
        maps, _ = module.maps(trained.normalise(batch["image"]), train=False)
        return module.describe(maps, boxes, image=size, train=False)

    pooled, vectors = trained.model.apply(variables, method=run)
    return boxes, there, vectors, pooled.astype(jnp.float32)


def gather(trained: Trained, records: Any) -> Rows:
    """The Rows of all images of `records`."""
    size = trained.shape[:2]

    def run(variables, batch):
        objects = regions.clip(regions.shown(batch["boxes"], view=batch["view"], size=size), size=size)
        more = objects, batch["box_mask"] & ~batch["box_ignored"]
        boxes, there, vectors, pooled = describe(trained, variables, batch, more)
        overlaps = jax.vmap(regions.iou)(boxes, objects) * batch["box_mask"][:, None]
        certain = jnp.where(batch["box_ignored"][:, None], 0, overlaps)
        nearest = certain.argmax(axis=2)
        targets = regions.encode(jnp.take_along_axis(objects, nearest[..., None], axis=1), boxes)
        near = certain.max(axis=2) >= NEAR
        own = {"there": there, "vectors": vectors, "pooled": pooled, "overlaps": overlaps}
        return {**own, "near": near, "nearest": nearest, "targets": targets}

    compiled, found = jax.jit(run), []
    for batch in _batches(trained, records):
        described = compiled(trained.variables, batch)
        own = {name: np.asarray(value[0]) for name, value in described.items()}
        found.append(_rows(own, batch["box_label"][0], len(trained.classes)))
    return Rows(*(np.concatenate(arrays) for arrays in zip(*found, strict=True)))


def _batches(trained, records):
    """Batches of one image, of those that can be read."""
    if getattr(type(trained.model), "result", "") != "regions" or not set(REGIONS) <= set(records.fields):
        raise InputError(
            f"{trained.workdir} and {records.name}: SVMs of regions need a network that classifies regions, as rcnn, "
            "and data that give them (config.data.proposals)."
        )
    batches = (records.read([number]) for number in range(len(records)))
    return (batch for batch in batches if batch["mask"][0])


def _rows(own, labels, classes):
    """The Rows of an image, from what `gather` computes of it and the labels (m,) of its objects."""
    there, proposals = own["there"], len(own["there"]) - len(labels)
    of_class = labels[:, None] == np.arange(classes)
    overlaps = np.where(of_class[None], own["overlaps"][:, :, None], 0).max(axis=1)
    near = there & own["near"] & (np.arange(len(there)) < proposals)
    return Rows(
        vectors=own["vectors"][there],
        labels=np.concatenate([np.full(proposals, classes), labels])[there],
        overlaps=overlaps[there],
        pooled=own["pooled"][near],
        classes=labels[own["nearest"][near]],
        targets=own["targets"][near],
    )


def _scale(vectors):
    """The factor by which the mean length of vectors becomes NORM."""
    length = np.linalg.norm(vectors, axis=1).mean() if len(vectors) else 0
    return np.float32(NORM / length if length else 1)


def fit_machine(vectors: np.ndarray, rows: Any, number: int, *, seed: int, passes: int) -> tuple[np.ndarray, Any]:
    """(weights (d,), bias) of the SVM of a class, with the background that is hard for it.

    Args:
      vectors: those of rows, scaled.
      rows: Rows.
      number: the class.
      seed, passes: as in `fit`.
    """
    classes = rows.overlaps.shape[1]
    right, background = (
        vectors[own]
        for own in (rows.labels == number, (rows.labels == classes) & (rows.overlaps[:, number] < BACKGROUND))
    )
    if not len(right):
        return np.zeros(vectors.shape[1], np.float32), np.float32(-np.inf)
    if not len(background):
        raise InputError(f"class number {number} has {len(right)} objects and no proposal that is background to it.")
    cached = np.zeros(len(background), bool)
    cached[np.random.default_rng(seed).permutation(len(background))[: FIRST * len(right)]] = True
    for left in range(passes, -1, -1):
        weights, bias = _fit_linear(right, background[cached], seed)
        scores = background @ weights + bias
        hard = (scores > HARD) & ~cached
        if not left or not hard.any():
            break
        cached = hard | (cached & (scores >= EASY))
    return weights, bias


def _fit_linear(right, wrong, seed):
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    machine = LinearSVC(
        C=COST,
        loss="hinge",
        class_weight={1: OF_OBJECTS, 0: 1.0},
        intercept_scaling=CONSTANT,
        max_iter=10_000,
        random_state=seed,
    )
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):  # nearly is enough between passes
        machine.fit(np.concatenate([right, wrong]), np.repeat([1, 0], [len(right), len(wrong)]))
    return machine.coef_[0].astype(np.float32), np.float32(machine.intercept_[0])


def _fit_moves(pooled, targets):
    """(shifts (d', 4), offsets (4,)) of a class; zeros without a proposal that lies near an object."""
    from sklearn.linear_model import Ridge

    if not len(pooled):
        return np.zeros((pooled.shape[1], 4), np.float32), np.zeros(4, np.float32)
    ridge = Ridge(alpha=RIDGE).fit(pooled, targets)
    return ridge.coef_.T.astype(np.float32), ridge.intercept_.astype(np.float32)
