"""A data set that is already in memory."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxcnn.errors import InputError


class Arrays:
    """A Source over arrays: the short way to a data set of your own.

    ```python
    def load(split, *, data_dir, **options):                       # named my_package.my_module:load in a config
        images, labels = np.load(f"{data_dir}/images.npy"), np.load(f"{data_dir}/labels.npy")
        return Records(Arrays("shapes", {"train": (images, labels)}, ("circle", "square")), split, **options)
    ```

    Args:
      name: what errors call the data set.
      splits: name of a split -> (images uint8 (n, h, w, c), labels integer (n,)); with `fields`, (images, {name: values
        (n, ...)}).
      classes: the names of the classes, in label order; () where there are no labels.
      fields: what an example holds beside its image, as Source has it, or None for a label.
    Raises:
      ValueError: images are not uint8 (n, h, w, c) of one (h, w, c), labels or values do not match them in number, or a
        label has no class.
    """

    def __init__(
        self,
        name: str,
        splits: Mapping[str, Any],
        classes: Iterable[str] = (),
        *,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.classes = tuple(classes)
        self.fields = fields
        self.split_names = tuple(splits)
        self._splits = {}
        for key, (images, values) in splits.items():
            images = np.asarray(images)
            if images.dtype != np.uint8 or images.ndim != 4:
                raise ValueError(f"{name} {key}: images must be uint8 (n, h, w, c), not {images.dtype} {images.shape}")
            if fields and not isinstance(values, dict):
                raise ValueError(f"{name} {key}: beside the images of a set with fields stands a dict of their values")
            values = {field: np.asarray(own) for field, own in (values if fields else {"label": values}).items()}
            for field, own in values.items():
                if own.shape[:1] != images.shape[:1]:
                    raise ValueError(f"{name} {key}: {len(images)} images, but '{field}' {own.dtype} {own.shape}")
            if "label" in values and (self.classes or not fields):
                self._check_labels(f"{name} {key}", values["label"])
            self._splits[key] = _read_only(images), {field: _read_only(own) for field, own in values.items()}
        shapes = {images.shape[1:] for images, _ in self._splits.values()}
        if len(shapes) != 1:
            raise ValueError(f"{name}: the images of all splits must have one shape, not {sorted(shapes)}")
        self.shape = shapes.pop()

    def _check_labels(self, where, labels):
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"{where}: labels are integers (n,), not {labels.dtype} {labels.shape}")
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(self.classes):
            raise ValueError(f"{where}: labels {labels.min()} to {labels.max()}, {len(self.classes)} classes")

    def shard_lengths(self, split: str) -> tuple[int, ...]:
        return (len(self._splits[split][0]),)

    def fetch(self, split: str, ids: Sequence[int]) -> list[Any]:
        images, values = self._splits[split]
        if self.fields:
            return [(images[i], {name: own[i] for name, own in values.items()}) for i in ids]
        return [(images[i], int(values["label"][i])) for i in ids]

    def images(self, split: str) -> np.ndarray:
        return self._splits[split][0]

    def values(self, split: str) -> dict[str, np.ndarray]:
        """{field: (n, ...)} of a split."""
        return self._splits[split][1]

    def labels(self, split: str) -> np.ndarray | None:
        values = self._splits[split][1]
        if "label" not in values:
            raise InputError(f"{self.name} has no labels: its fields are {', '.join(values)}.")
        return values["label"]

    def describe_record(self, split: str, record: int) -> str:
        return f"{self.name} {split} record {record}"


def _read_only(array):
    """What all who read a Source share: a slip that writes into it is an error, and changes nobody's data."""
    view = array.view()
    view.flags.writeable = False
    return view
