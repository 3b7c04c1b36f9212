"""The share of objects that proposals find, against the number of proposals (Hosang et al. 2015, arXiv:1502.05082)."""

from collections.abc import Sequence

import numpy as np

from jaxcnn.tasks.detection.boxes import Objects, overlaps


def recall_of_first(
    objects: Objects, proposals: np.ndarray, there: np.ndarray, *, counts: Sequence[int], threshold: float = 0.5
) -> np.ndarray:
    """The recall of the first proposals of each image: an object is found where one has IoU >= threshold with it.

    Args:
      objects: Objects; ignored ones do not count.
      proposals: (n, p, 4), edges in pixels of the original image, the likeliest first.
      there: (n, p) bool, False where nothing is.
      counts: numbers of proposals of an image.
      threshold: the least IoU.
    Returns:
      float64 (len(counts),), NaN without objects.
    """
    firsts = []
    for image, place in np.argwhere(objects.there & ~objects.ignored):
        shared = np.where(there[image], overlaps(objects.boxes[image, place], proposals[image]), -1)
        found = np.flatnonzero(shared >= threshold)
        firsts.append(found[0] if len(found) else np.inf)
    if not firsts:
        return np.full(len(counts), np.nan)
    return np.mean(np.array(firsts)[None] < np.asarray(counts)[:, None], axis=1)
