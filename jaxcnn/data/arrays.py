"""A data set that is already in memory."""

import numpy as np


class Arrays:
    """A Source over arrays: the short way to a data set of your own.

    ```python
    def load(split, *, data_dir, **options):                       # named my_package.my_module:load in a config
        images, labels = np.load(f"{data_dir}/images.npy"), np.load(f"{data_dir}/labels.npy")
        return Records(Arrays("shapes", {"train": (images, labels)}, ("circle", "square")), split, **options)
    ```

    Args:
      name: what errors call the data set.
      splits: name of a split -> (images uint8 (n, h, w, c), labels integer (n,)).
      classes: the names of the classes, in label order.
    Raises:
      ValueError: images are not uint8 (n, h, w, c) of one (h, w, c), labels do not match them, or a label has no class.
    """

    def __init__(self, name, splits, classes):
        self.name = name
        self.classes = tuple(classes)
        self.split_names = tuple(splits)
        self._splits = {key: (np.asarray(images), np.asarray(labels)) for key, (images, labels) in splits.items()}
        for key, (images, labels) in self._splits.items():
            if images.dtype != np.uint8 or images.ndim != 4:
                raise ValueError(f"{name} {key}: images must be uint8 (n, h, w, c), not {images.dtype} {images.shape}")
            if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
                raise ValueError(f"{name} {key}: {len(images)} images, but labels {labels.dtype} {labels.shape}")
            if len(labels) and not 0 <= labels.min() <= labels.max() < len(self.classes):
                raise ValueError(f"{name} {key}: labels {labels.min()} to {labels.max()}, {len(self.classes)} classes")
        shapes = {images.shape[1:] for images, _ in self._splits.values()}
        if len(shapes) != 1:
            raise ValueError(f"{name}: the images of all splits must have one shape, not {sorted(shapes)}")
        self.shape = shapes.pop()

    def shard_lengths(self, split):
        return (len(self._splits[split][1]),)

    def fetch(self, split, ids):
        images, labels = self._splits[split]
        return [(images[i], int(labels[i])) for i in ids]

    def labels(self, split):
        return self._splits[split][1]

    def where(self, split, record):
        return f"{self.name} {split} record {record}"
