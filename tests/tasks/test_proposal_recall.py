"""Recall against the number of proposals, against a loop."""

import jax
import numpy as np

from jaxcnn.operators import regions
from jaxcnn.tasks.detection.boxes import Objects
from jaxcnn.tasks.detection.recall import recall_of_first


def test_recall_is_what_a_loop_over_objects_finds():
    random = np.random.default_rng(0)
    corners = np.sort(random.uniform(0, 20, (40, 25, 2, 2)), axis=2).reshape(40, 25, 4).astype(np.float32)
    boxes, proposals = corners[:, :4], corners[:, 4:]
    proposals[:, 9] = boxes[:, 0]
    masks = random.random((3, 40, 25)) < 0.8
    objects = Objects(boxes, np.zeros((40, 4), int), masks[0, :, :4], ~masks[1, :, :4])
    there, counts = masks[2, :, 4:], (0, 1, 5, 10, 21)
    found = recall_of_first(objects, proposals, there, counts=counts, threshold=0.4)
    shared = np.asarray(jax.vmap(regions.iou)(boxes, proposals))
    for count, recall in zip(counts, found, strict=True):
        hits = [
            any(there[i, p] and shared[i, j, p] >= 0.4 for p in range(count))
            for i in range(40)
            for j in range(4)
            if objects.there[i, j] and not objects.ignored[i, j]
        ]
        assert recall == np.mean(hits)
    assert found[0] == 0 < found[1] < found[2] < found[3] < found[4] < 1
    assert np.isnan(recall_of_first(objects._replace(there=0 * objects.there > 0), proposals, there, counts=(1,))).all()
