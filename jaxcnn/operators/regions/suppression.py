"""Non-maximum suppression with a static number of results."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.operators.regions.boxes import iou


def non_maximum_suppression(
    boxes: jax.Array, scores: jax.Array, *, mask: jax.Array | None = None, threshold: float, count: int
) -> tuple[jax.Array, jax.Array]:
    """Keeps the best box, leaves out all that overlap it by more than a threshold, and again with what is left.

    A box is left out where IoU > threshold. Of equal scores the first counts as better; one whose score is NaN or -inf
    is never kept.

    Args:
      boxes: (m, 4), of one image.
      scores: (m,), larger is better.
      mask: (m,), 0 or False where there is no box; None where all are.
      threshold: 0.7 between proposals, 0.3 between detections in the papers.
      count: the number of results.
    Returns:
      (indices int32 (count,), best first, and kept bool (count,), False where fewer boxes are left; their index is 0).
    """
    boxes = jnp.asarray(boxes)

    def keep(left, _):
        left, best, there = _keep_best(boxes, left, threshold)
        return left, (jnp.where(there, best, 0).astype(jnp.int32), there)

    return lax.scan(keep, _candidates(scores, mask), None, length=count)[1]


def non_maximum_suppression_by_class(
    boxes: jax.Array, scores: jax.Array, *, mask: jax.Array | None = None, threshold: float, count: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The best of what `non_maximum_suppression` of each class on its own keeps.

    Each result looks at the m boxes of its class and at the largest score of each class, not at all K m boxes. Of equal
    scores those of the first class count as better.

    Args:
      boxes: of shape (K, m, 4), those of one image as each class.
      scores: (K, m), as in `non_maximum_suppression`.
      mask: (K, m), or None.
      threshold: as there.
      count: the number of results of all classes together.
    Returns:
      (classes int32 (count,) and indices int32 (count,), best first, and kept bool (count,), False where fewer are
      left; their class and index are 0).
    """
    boxes, left = jnp.asarray(boxes), _candidates(scores, mask)

    def keep(carry, _):
        left, surest = carry  # (K, m), and the largest (K,) of each class
        own = jnp.argmax(surest)
        rest, best, there = _keep_best(boxes[own], left[own], threshold)
        place = (jnp.where(there, number, 0).astype(jnp.int32) for number in (own, best))
        return (left.at[own].set(rest), surest.at[own].set(rest.max())), (*place, there)

    return lax.scan(keep, (left, left.max(axis=1)), None, length=count)[1]


def _candidates(scores, mask):
    """The scores in float32, -inf of what is not to be kept."""
    scores = jnp.asarray(scores)
    left = jnp.where(jnp.isnan(scores), -jnp.inf, scores.astype(jnp.float32))
    return left if mask is None else jnp.where(jnp.asarray(mask, bool), left, -jnp.inf)


def _keep_best(boxes, left, threshold):
    """(the scores (m,) without the best and what overlaps it, the place of the best, whether there is one)."""
    best = jnp.argmax(left)
    # a box without area overlaps nothing, but is not to be kept twice
    out = (iou(boxes, boxes[best][None])[:, 0] > threshold) | (jnp.arange(len(boxes)) == best)
    return jnp.where(out, -jnp.inf, left), best, left[best] > -jnp.inf
