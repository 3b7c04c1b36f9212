"""Learning and use of a network that proposes regions and classifies them (Ren et al. 2015, arXiv:1506.01497)."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxcnn.operators import regions
from jaxcnn.operators.regions.coding import STDS


class Settings(NamedTuple):
    """The numbers of both stages; the defaults are those of the paper and the authors' code.

    Attributes:
      anchors: drawn of an image to learn from, half of them of objects at most.
      border: pixels by which an anchor that is learned from may reach over the image.
      best_of: (training, use): the anchors of the best scores that non-maximum suppression chooses from.
      proposals: (training, use): how many it keeps.
      least_side: pixels of a proposal's sides.
      regions: drawn of an image's proposals to learn from, a quarter of them of objects at most.
      background: the least IoU of a proposal that is learned from as background; 0.1 in Fast R-CNN.
      detections: the most of an image.
      least_score: probability of the class.
      overlap: IoU at which one detection leaves out another of its class.
    """

    anchors: int = 256
    border: float = 0.0
    best_of: tuple = (12000, 6000)
    proposals: tuple = (2000, 300)
    least_side: float = 16.0
    regions: int = 128
    background: float = 0.0
    detections: int = 100
    least_score: float = 0.05
    overlap: float = 0.3


def objective(settings, module, batch, images):
    """{"rpn_class", "rpn_box", "class", "box": (n,)}, the four losses of each image.

    Args:
      settings: Settings.
      module: the bound network, a FasterRCNN.
      batch: of `examples.prepare`, with "key" (n,).
      images: normalised.
    """
    size, count = images.shape[1:3], module.num_classes
    maps, _ = module.maps(images, train=True)
    anchors, (scores, offsets) = module.anchors(maps, image=size), module.propose(maps)
    keys = jax.vmap(jax.random.split)(batch["key"])
    truth = tuple(batch[name] for name in ("objects", "object_mask", "crowd"))
    rpn = jax.vmap(functools.partial(_rpn_losses, settings, size, anchors))(keys[:, 0], scores, offsets, *truth)
    proposed = propose(settings, 0, size, anchors, scores, offsets)
    draw = jax.vmap(functools.partial(_draw_regions, settings, count))
    boxes, labels, targets, drawn = draw(keys[:, 1], *proposed, batch["box_label"], *truth)
    logits, moved = module.classify(maps, boxes, image=size, train=True)
    head = jax.vmap(functools.partial(_head_losses, count))(logits, moved, labels, targets, drawn)
    return dict(zip(("rpn_class", "rpn_box", "class", "box"), (*rpn, *head), strict=True))


def _rpn_losses(settings, size, anchors, key, scores, offsets, objects, mask, crowd):
    within = regions.inside(anchors, size=size, margin=settings.border)
    options = {"positive": 0.7, "negative": 0.3, "best": True}
    found = regions.assign(anchors, objects, mask, crowd=crowd, mask=within, **options)
    count = min(settings.anchors, len(anchors))
    rows, drawn = regions.sample(key, found.labels, count=count, positives=count // 2)
    positive = drawn & (found.labels[rows] == 1)
    targets = regions.encode(objects[found.objects[rows]], anchors[rows])
    wrong = optax.sigmoid_binary_cross_entropy(scores[rows], positive.astype(jnp.float32))
    off = regions.smooth_l1(offsets[rows] - targets, beta=1 / 9).sum(axis=1)
    return _mean(wrong, drawn, drawn), _mean(off, positive, drawn)


def _mean(values, mask, counted):
    """The sum over a mask, divided by the number of what is counted."""
    return jnp.sum(jnp.where(mask, values, 0)) / jnp.maximum(counted.sum(), 1)


def propose(settings, use, size, anchors, scores, offsets):
    """(boxes (n, p, 4), whether there is one (n, p)) of the RPN's outputs; no gradient passes.

    Args:
      settings: Settings.
      use: 0 in training, 1 in use.
      size: (height, width) of the images.
      anchors: (a, 4).
      scores, offsets: (n, a), (n, a, 4).
    """
    best, count = min(settings.best_of[use], len(anchors)), settings.proposals[use]

    def of_image(scores, offsets):
        scores, rows = lax.top_k(scores, best)
        boxes = regions.clip(regions.decode(offsets[rows], anchors[rows]), size=size)
        large = ((boxes[:, 2:] - boxes[:, :2]) >= settings.least_side).all(axis=1)
        kept, there = regions.non_maximum_suppression(boxes, scores, mask=large, threshold=0.7, count=count)
        return boxes[kept], there

    return jax.vmap(of_image)(*lax.stop_gradient((scores, offsets)))


def _draw_regions(settings, count, key, boxes, there, label, objects, mask, crowd):
    """(boxes (r, 4), labels (r,), targets (r, 4), drawn (r,)); the objects themselves are proposals too."""
    boxes, there = jnp.concatenate([boxes, objects]), jnp.concatenate([there, mask & ~crowd])
    options = {"positive": 0.5, "negative": 0.5, "lowest": settings.background}
    found = regions.assign(boxes, objects, mask, crowd=crowd, mask=there, **options)
    number = min(settings.regions, len(boxes))
    rows, drawn = regions.sample(key, found.labels, count=number, positives=number // 4)
    own = found.objects[rows]
    labels = jnp.where(found.labels[rows] == 1, label[own], count)  # the background comes last
    return boxes[rows], labels, regions.encode(objects[own], boxes[rows], stds=STDS), drawn


def _head_losses(count, logits, offsets, labels, targets, drawn):
    wrong = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    rows = jnp.arange(len(labels))
    off = regions.smooth_l1(offsets[rows, jnp.minimum(labels, count - 1)] - targets).sum(axis=1)
    return _mean(wrong, drawn, drawn), _mean(off, drawn & (labels < count), drawn)


def detect(settings, module, images):
    """The objects of normalised images.

    Returns:
      {"boxes" (n, d, 4) in pixels of the images, "classes" (n, d), "scores" (n, d), "there" (n, d)}, best first, and
      "proposals" (n, p, 4) with "proposed" (n, p).
    """
    size = images.shape[1:3]
    maps, features = module.maps(images, train=False)
    anchors, (scores, offsets) = module.anchors(maps, image=size), module.propose(maps)
    boxes, there = propose(settings, 1, size, anchors, scores, offsets)
    logits, moved = module.classify(maps, boxes, image=size, train=False)
    found = jax.vmap(functools.partial(_best, settings, size))(boxes, there, jax.nn.softmax(logits), moved)
    names = ("boxes", "classes", "scores", "there")
    return {**dict(zip(names, found, strict=True)), "proposals": boxes, "proposed": there, "features": features}


def _best(settings, size, boxes, there, probabilities, offsets):
    classes = offsets.shape[1]
    every = jnp.broadcast_to(boxes[:, None], offsets.shape)
    moved = regions.clip(regions.decode(offsets, every, stds=STDS), size=size).reshape(-1, 4)
    scores = jnp.where(there[:, None], probabilities[:, :classes], 0).reshape(-1)
    # suppression asks each result about each candidate: the surest are enough
    scores, rows = lax.top_k(scores, min(4 * settings.detections, len(scores)))
    label, moved = rows % classes, moved[rows]
    options = {"threshold": settings.overlap, "count": settings.detections}
    likely = scores >= settings.least_score
    kept, found = regions.non_maximum_suppression(moved, scores, mask=likely, classes=label, **options)
    return moved[kept], label[kept], scores[kept], found
