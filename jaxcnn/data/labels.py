"""Images with any number of labels each: `labels:PATH`, a table of files and labels."""

import csv
import os
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from jaxcnn.data.image_files import read_file
from jaxcnn.data.text.tables import folder_of_images, random_place
from jaxcnn.errors import InputError

LABELS = "labels"  # the field: whether an image has each of the classes
TABLE = "labels.csv"
COLUMNS = ("file", "labels", "split")
LAYOUT = (
    "the first line is file,labels or file,labels,split, a line as beach/01.jpg,sea|sky or beach/01.jpg,sea|sky,test, "
    "with nothing between the commas of a file without labels"
)


def labels_field(classes: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """{"labels": ...} of a set with so many classes."""
    return {LABELS: ((classes,), np.dtype(bool))}


class LabelTable:
    """A Source over a table of files and labels: `labels:PATH/labels.csv`, or `labels:PATH` for the table of that name.

    The table is CSV in UTF-8 with the columns file, labels, and split where there are splits; without it all are
    `train`. Labels stand between bars, sea|sky; an image may have none. Files lie beside the table or in `images`
    there. The classes are the labels of all splits, sorted. Records are in an order that depends on the names of the
    files alone, so that a slice is a random part.

    Args:
      path: of the table or its folder.
    Raises:
      InputError: the table is missing or no such table, a line is damaged, a file is named twice, or there is no label.
    """

    shape = (None, None, 3)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = f"labels:{path}"
        table = os.path.abspath(os.path.expanduser(path))
        if os.path.isdir(table):
            table = os.path.join(table, TABLE)
        self._rows = _read(table)
        self.split_names = tuple(self._rows)
        self.classes = tuple(sorted({label for rows in self._rows.values() for _, own in rows for label in own}))
        if not self.classes:
            raise InputError(f"{table}: no image has a label; {LAYOUT}.")
        self.fields = labels_field(len(self.classes))
        self._folder = folder_of_images(table, next(iter(self._rows.values()))[0][0])

    def shard_lengths(self, split: str) -> tuple[int, ...]:
        return (len(self._rows[split]),)

    def fetch(self, split: str, ids: Sequence[int]) -> list[Any]:
        return [(read_file(self.describe_record(split, i)), {LABELS: self._labels(split, i)}) for i in ids]

    def _labels(self, split, record):
        own = self._rows[split][record][1]
        return np.array([label in own for label in self.classes])

    def describe_record(self, split: str, record: int) -> str:
        return os.path.join(self._folder, self._rows[split][record][0])

    def class_digests(self) -> dict[str, str]:
        """Returns {split: digest of its files' names and labels}."""

        def digest(rows):
            text = "\0".join(f"{name}\t{'|'.join(own)}" for name, own in rows)
            return blake2b(text.encode(), digest_size=8).hexdigest()

        return {split: digest(rows) for split, rows in self._rows.items()}


def _read(path):
    """{split: [(file, sorted labels)]} of a table."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table of labels ({error}): {LAYOUT}.") from error
    header = tuple(name.strip() for name in lines[0]) if lines else ()
    if header not in (COLUMNS[:2], COLUMNS):
        raise InputError(f"{path} begins with {','.join(header)!r}: {LAYOUT}.")
    found, seen = {}, set()
    for number, line in enumerate(lines[1:], 2):
        if not any(line):
            continue
        if len(line) != len(header):
            raise InputError(f"{path}, line {number}: {','.join(line)!r} has {len(line)} parts, not {len(header)}.")
        name, labels, split = (part.strip() for part in (*line, "train")[:3])
        if not (name and split):
            raise InputError(f"{path}, line {number}: {','.join(line)!r} lacks a file or a split; {LAYOUT}.")
        if name in seen:
            raise InputError(f"{path}, line {number}: {name} is named before; all labels of a file stand in one line.")
        seen.add(name)
        own = sorted({label.strip() for label in labels.split("|")} - {""})
        found.setdefault(split, []).append((name, own))
    if not found:
        raise InputError(f"{path} names no images: {LAYOUT}.")
    return {split: sorted(rows, key=lambda row: random_place(row[0])) for split, rows in found.items()}
