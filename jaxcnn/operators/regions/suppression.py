"""Non-maximum suppression with a static number of results."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.operators.regions.boxes import iou


def non_maximum_suppression(
    boxes: jax.Array,
    scores: jax.Array,
    *,
    mask: jax.Array | None = None,
    classes: jax.Array | None = None,
    threshold: float,
    count: int,
) -> tuple[jax.Array, jax.Array]:
    """Keeps the best box, leaves out all that overlap it by more than a threshold, and again with what is left.

    A box is left out where IoU > threshold. Of equal scores the first counts as better; one whose score is NaN or -inf
    is never kept.

    Args:
      boxes: (m, 4), of one image.
      scores: (m,), larger is better.
      mask: (m,), 0 or False where there is no box; None where all are.
      classes: (m,) integers: only boxes of one class leave each other out; None for one class.
      threshold: 0.7 between proposals, 0.3 between detections in the papers.
      count: the number of results.
    Returns:
      (indices int32 (count,), best first, and kept bool (count,), False where fewer boxes are left; their index is 0).
    """
    boxes, scores = jnp.asarray(boxes), jnp.asarray(scores)
    left = jnp.where(jnp.isnan(scores), -jnp.inf, scores.astype(jnp.float32))
    left = left if mask is None else jnp.where(jnp.asarray(mask, bool), left, -jnp.inf)
    classes = jnp.zeros(len(boxes), jnp.int32) if classes is None else jnp.asarray(classes)

    def keep_best(left, _):
        best = jnp.argmax(left)
        there = left[best] > -jnp.inf
        # a box without area overlaps nothing, but is not to be kept twice
        out = (iou(boxes, boxes[best][None])[:, 0] > threshold) & (classes == classes[best])
        out |= jnp.arange(len(boxes)) == best
        return jnp.where(out, -jnp.inf, left), (jnp.where(there, best, 0).astype(jnp.int32), there)

    return lax.scan(keep_best, left, None, length=count)[1]
