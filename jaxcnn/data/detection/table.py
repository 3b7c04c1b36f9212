"""The objects of the images of a split, packed in a few arrays, and the fields that an example has of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from jaxcnn.data.fields import GEOMETRY
from jaxcnn.data.fit import DataError
from jaxcnn.data.image_files import read_file

TOLERANCE = 1.0  # pixels by which a box may reach over the image: rounding of an annotation tool, cut off


class Box(NamedTuple):
    """One object of an image.

    Attributes:
      edges: (x1, y1, x2, y2), floats, in pixels of the image; see jaxcnn.operators.regions.
      label: its class.
      ignored: whether it counts neither as right nor as wrong: `difficult`, or a crowd.
      area: in pixels.
    """

    edges: tuple
    label: int
    ignored: bool
    area: float


class Listed(NamedTuple):
    """One image of a split.

    Attributes:
      path: of its file.
      boxes: [Box].
      damage: why it cannot be used, or "".
      size: (height, width) of the image that its boxes are of; (0, 0) where nothing says it.
    """

    path: str
    boxes: list
    damage: str = ""
    size: tuple = (0, 0)


def within(edges: Sequence[float], size: Sequence[int]) -> Any:
    """Edges cut to an image of (height, width).

    Raises:
      ValueError: nothing of the box is left, or it reaches over the image by more than a pixel; it says which.
    """
    x1, y1, x2, y2 = edges
    height, width = size
    said = f"its box from ({x1:g}, {y1:g}) to ({x2:g}, {y2:g})"
    if not (np.isfinite(edges).all() and x2 > x1 and y2 > y1):
        raise ValueError(f"{said} has no area")
    if min(x1, y1) < -TOLERANCE or x2 > width + TOLERANCE or y2 > height + TOLERANCE:
        raise ValueError(f"{said} reaches out of the image, which is {width} wide and {height} high")
    cut = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        raise ValueError(f"{said} lies outside of the image, which is {width} wide and {height} high")
    return cut


def box_fields(most: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """The fields of images with at most so many boxes.

    boxes float32 (most, 4): edges in pixels of the original image; box_label int32, box_mask bool (whether there is
    one), box_ignored bool, box_area float32, (most,) each; and `view` and `size`, which say what the pixels show.
    """
    each = {"box_label": np.int32, "box_mask": bool, "box_ignored": bool, "box_area": np.float32}
    own = {name: ((most,), np.dtype(dtype)) for name, dtype in each.items()}
    return {"boxes": ((most, 4), np.dtype(np.float32)), **own, **GEOMETRY}


class Table:
    """The images of a split with their boxes. Arrays instead of a million objects: it is pickled to every worker.

    Args:
      listed: iterable of Listed.
    """

    def __init__(self, listed: Iterable[Listed]) -> None:
        listed = list(listed)
        self.paths = [one.path for one in listed]
        self.damage = {number: one.damage for number, one in enumerate(listed) if one.damage}
        counts = [len(one.boxes) for one in listed]
        self.stops = np.cumsum([0, *counts])
        self.most = max(counts, default=0)
        every = [box for one in listed for box in one.boxes]
        self.edges = np.array([box.edges for box in every], np.float32).reshape(-1, 4)
        self.labels = np.array([box.label for box in every], np.int32)
        self.ignored = np.array([box.ignored for box in every], bool)
        self.areas = np.array([box.area for box in every], np.float32)
        self.sizes = np.array([one.size for one in listed], np.int32).reshape(-1, 2)

    def __len__(self) -> int:
        return len(self.paths)

    def values(self, record: int, most: int) -> dict[str, np.ndarray]:
        """The fields of a record, padded to `most` boxes; and, where it is known, the size of the image they are of."""
        rows = slice(self.stops[record], self.stops[record + 1])
        count = rows.stop - rows.start
        found = {name: np.zeros(shape, dtype) for name, (shape, dtype) in box_fields(most).items()}
        found = {name: array for name, array in found.items() if name not in GEOMETRY}
        own = {"boxes": self.edges, "box_label": self.labels, "box_ignored": self.ignored, "box_area": self.areas}
        for name, array in own.items():
            found[name][:count] = array[rows]
        found["box_mask"][:count] = True
        return found | ({"size": self.sizes[record]} if self.sizes[record].all() else {})

    def fetch(self, ids: Sequence[int], most: int) -> list[Any]:
        """[(the bytes of a file, its fields)], as Source.fetch gives them; a DataError in place of what is damaged."""
        found = []
        for record in ids:
            stored = DataError(self.damage[record]) if record in self.damage else read_file(self.paths[record])
            found.append((stored, self.values(record, most)))
        return found

    def digest(self) -> str:
        """Of the names of all files, wherever they lie, and of all boxes."""
        content = b"\0".join(os.fsencode(os.path.basename(path)) for path in self.paths)
        arrays = (self.stops, self.edges, self.labels, self.ignored)
        return blake2b(content + b"".join(array.tobytes() for array in arrays), digest_size=8).hexdigest()

    def present(self) -> set[int]:
        """The labels that occur."""
        return set(np.unique(self.labels).tolist())


def say_split(name: str, table: Table, classes: Sequence[str], train: Table | None) -> list[str]:
    """Sentences on what a person may not expect of a split: images without boxes, classes that train lacks."""
    said = []
    if empty := int((np.diff(table.stops) == 0).sum()):
        said.append(f"{name}: {empty:,} of {len(table):,} images have no boxes")
    if train is not None and (new := table.present() - train.present()):
        said.append(f"{name} has classes that train lacks: {', '.join(classes[label] for label in sorted(new))}")
    return said


class Boxed:
    """The part that sources of files with boxes share: everything behind their tables.

    Args:
      name: what errors call the set.
      classes: names, in label order.
      tables: {split: Table}.
    """

    shape = (None, None, 3)

    def __init__(self, name: str, classes: Sequence[str], tables: Mapping[str, Table]) -> None:
        self.name, self.classes, self.tables = name, tuple(classes), tables
        self.split_names = tuple(tables)
        self.most = max(1, *(table.most for table in tables.values()))
        self.fields = box_fields(self.most)

    def shard_lengths(self, split: str) -> tuple[int, ...]:
        return (len(self.tables[split]),)

    def fetch(self, split: str, ids: Sequence[int]) -> list[Any]:
        return self.tables[split].fetch(ids, self.most)

    def describe_record(self, split: str, record: int) -> str:
        return self.tables[split].paths[record]

    def class_digests(self) -> dict[str, str]:
        """Returns {split: digest of its paths and boxes}."""
        return {split: table.digest() for split, table in self.tables.items()}

    def notes(self, splits: Sequence[str]) -> list[str]:
        """Returns sentences on what a person may not expect of these splits."""
        return [
            sentence
            for split in splits
            for sentence in say_split(split, self.tables[split], self.classes, self.tables.get("train"))
        ]
