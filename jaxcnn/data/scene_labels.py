"""Which digits a scene holds: images with several labels that need no download."""

import numpy as np

from jaxcnn.data.arrays import Arrays
from jaxcnn.data.detection.scenes import scenes
from jaxcnn.data.labels import LABELS, labels_field


def scene_labels() -> Arrays:
    """Returns the Source of the set `scenes` with the digits of each scene in place of their boxes.

    A digit that a scene holds twice is one label.
    """
    source, splits = scenes(), {}
    for split in source.split_names:
        fields = source.values(split)
        labels = np.zeros((len(fields["box_label"]), len(source.classes)), bool)
        scene, box = np.nonzero(fields["box_mask"])
        labels[scene, fields["box_label"][scene, box]] = True
        splits[split] = source.images(split), {LABELS: labels}
    return Arrays("scene_labels", splits, source.classes, fields=labels_field(len(source.classes)))
