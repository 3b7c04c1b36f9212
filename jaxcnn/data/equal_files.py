"""Files of equal content: one image in two classes, or learned from and held out too."""

import os
from collections import defaultdict
from hashlib import blake2b

from jaxcnn.data.fit import DataError
from jaxcnn.data.image_files import read_file
from jaxcnn.names import shown

SHOWN = 3  # pairs that are named


def equal_files(records):
    """Groups of files with the same bytes. Only files of equal size are read.

    Args:
      records: {split: Records}; those of a folder are compared, others have no files.
    Returns:
      [[(split, class, path), ...], ...], groups of two and more in the order of the splits.
    """
    by_size = defaultdict(list)
    for split, found in records.items():
        for name, path in found.files():
            try:
                by_size[os.stat(path).st_size].append((split, name, path))
            except OSError:  # named when it is read
                continue
    groups = defaultdict(list)
    for size, files in by_size.items():
        for file in files if len(files) > 1 else ():
            stored = read_file(file[2])
            if not isinstance(stored, DataError):
                groups[size, blake2b(stored, digest_size=16).digest()].append(file)
    return [group for group in groups.values() if len(group) > 1]


def say_equal_files(groups):
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
