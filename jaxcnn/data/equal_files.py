"""Files of equal content: one image in two classes, or learned from and held out too."""

import contextlib
import errno
import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from jaxcnn.names import shown

BEGINNING = 4096  # bytes
SHOWN = 3  # pairs that are named


def equal_files(records: Mapping[str, Any]) -> list[list[tuple[str, str, str]]]:
    """Groups of files with the same bytes. Of files of equal size the beginnings are read, of equal ones the whole.

    Args:
      records: {split: Records}; those of a folder are compared, others have no files.
    Returns:
      [[(split, class, path), ...], ...], groups of two and more in the order of the splits.
    """
    groups = [[(split, *file) for split, found in records.items() for file in found.files()]]
    for content in (_size, _beginning, _whole):
        groups = [alike for group in groups for alike in _alike(group, content)]
    return groups


def _alike(group, content):
    """The parts of a group, of two and more, that have the same content; files that cannot be read are left out."""
    parts = defaultdict(list)
    for file in group:
        with contextlib.suppress(OSError):  # named when it is read
            parts[content(file[-1])].append(file)
    return [part for part in parts.values() if len(part) > 1]


def _size(path):
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for without an end
        raise OSError(errno.EINVAL, "not a file")
    return found.st_size


def _beginning(path):
    with open(path, "rb") as file:
        return file.read(BEGINNING)


def _whole(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


def say_equal_files(groups: Sequence[Sequence[tuple[str, str, str]]]) -> list[str]:
    """Sentences on groups of `equal_files`: how many lie in two classes, in train and held out, beside each other."""
    kinds = {"in more than one class": [], "both in train and held out": [], "beside each other": []}
    for group in groups:
        splits, classes = {split for split, _, _ in group}, {name for _, name, _ in group}
        if len(classes) > 1:
            kinds["in more than one class"].append(group)
        if "train" in splits and len(splits) > 1:
            kinds["both in train and held out"].append(group)
        if len(classes) == 1 and len(splits) == 1:
            kinds["beside each other"].append(group)
    return [
        f"{len(found):,} {'image lies' if len(found) == 1 else 'images lie'} {where}, as equal files: {_named(found)}"
        for where, found in kinds.items()
        if found
    ]


def _named(groups):
    pairs = [" = ".join(shown(path) for _, _, path in group[:2]) for group in groups[:SHOWN]]
    return "; ".join(pairs) + (", ..." if len(groups) > SHOWN else "")
