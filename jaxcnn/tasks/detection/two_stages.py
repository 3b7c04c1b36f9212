"""Learning and use of a network that classifies regions: those that it proposes, or those that it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from jaxcnn.errors import InputError
from jaxcnn.tasks.detection import head, rpn


class Settings(NamedTuple):
    """The numbers of both stages; the defaults are those of Ren et al. 2015 and the authors' code.

    Attributes:
      anchors: drawn of an image to learn from, half of them of objects at most.
      border: pixels by which an anchor that is learned from may reach over the image.
      best_of: (training, use): the anchors of the best scores that non-maximum suppression chooses from.
      proposals: (training, use): how many it keeps; of regions that are given all are used.
      least_side: pixels of a proposal's sides.
      regions: drawn of an image's proposals to learn from, a quarter of them of objects at most; 64 of two images in
        Fast R-CNN.
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


def objective(settings: Settings, module: Any, batch: Mapping[str, Any], images: jax.Array) -> dict[str, jax.Array]:
    """The losses (n,) of each image: "class", "box" of a network that moves boxes, "rpn_class" and "rpn_box" of an RPN.

    Args:
      settings: Settings.
      module: the bound network, a RegionNetwork.
      batch: of `examples.prepare`, with "key" (n,).
      images: normalised.
    """
    size, classes = images.shape[1:3], module.num_classes
    maps, _ = module.maps(images, train=True)
    keys = jax.vmap(jax.random.split)(batch["key"])
    truth = tuple(batch[name] for name in ("objects", "object_mask", "crowd"))
    losses = {}
    if proposes(module):
        anchors, outputs = module.anchors(maps, image=size), module.propose(maps)
        own = rpn.losses(settings, size, anchors, keys[:, 0], *outputs, truth)
        losses = dict(zip(("rpn_class", "rpn_box"), own, strict=True))
        proposals = rpn.propose(settings, 0, size, anchors, *outputs)
    else:
        proposals = batch["regions"], batch["region_mask"]
    boxes, *targets = head.draw(settings, classes, keys[:, 1], proposals, batch["box_label"], truth)
    logits, offsets = module.classify(maps, boxes, image=size, train=True)
    return losses | head.losses(classes, logits, offsets, *targets)


def proposes(module: Any) -> bool:
    """Whether a network finds its regions itself."""
    return hasattr(module, "propose")


def detect(settings: Settings, module: Any, images: jax.Array, given: Any = None) -> dict[str, Any]:
    """The objects of normalised images.

    Args:
      settings: Settings.
      module: the bound network, a RegionNetwork.
      images: normalised.
      given: for a network that does not propose, boxes (n, p, 4) in pixels of the images, and whether there is one.
    Returns:
      {"boxes" (n, d, 4) in pixels of the images, "classes" (n, d), "scores" (n, d), "there" (n, d)}, best first, and
      "proposals" (n, p, 4) with "proposed" (n, p).
    Raises:
      InputError: the network does not propose, and nothing is given.
    """
    size = images.shape[1:3]
    maps, features = module.maps(images, train=False)
    if proposes(module):
        given = rpn.propose(settings, 1, size, module.anchors(maps, image=size), *module.propose(maps))
    elif given is None:
        raise InputError(
            "this network classifies regions that it is given (config.data.proposals), and images alone give none: "
            "predict and the images of a split have them; faster_rcnn, which proposes its regions, is for images alone."
        )
    logits, offsets = module.classify(maps, given[0], image=size, train=False)
    found = head.find(settings, size, given, logits, offsets)
    return {**found, "proposals": given[0], "proposed": given[1], "features": features}
