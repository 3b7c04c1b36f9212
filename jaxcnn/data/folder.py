"""Image folders: one folder a class, below train/ and val/ or without them."""

import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from jaxcnn.data.fit import DataError
from jaxcnn.data.image_files import EXTENSIONS, find_images, folders, loose_images, read_file, say_left_out
from jaxcnn.data.split_folders import split_roots
from jaxcnn.errors import InputError
from jaxcnn.names import shown

SAMPLED, SAMPLED_BYTES = 64, 2**16  # files of a folder, at least one a class, and bytes of each, in its digests


class Folder:
    """A Source over a folder of class folders of images.

    The class is the name of the first-level folder; images lie at any depth below it. Without split folders everything
    is the split `train`. Leavings (hidden files and folders, `__MACOSX`, ...) are ignored; files with other extensions
    are left out and counted. No file is opened or asked for its size until it is read.

    The classes are those of train; another split may lack some of them. Without train they are those of all splits.

    Within a class, records are in the order of a hash of their relative path, so that a new file leaves the order of
    the others as it was; the classes are interleaved by fractional rank, so that every slice is close to stratified.

    Args:
      path: the folder.
    Raises:
      ValueError: the folder does not exist, has another layout or one that can be read in two ways, a split has a class
        that train lacks, or a class of train is empty (found when the split is first used).
    """

    shape = (None, None, 3)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = f"folder:{path}"
        self._root = os.path.abspath(os.path.expanduser(path))
        self._roots = split_roots(self._root)
        self.split_names = tuple(self._roots)
        self._folders = {split: folders(root) for split, root in self._roots.items()}
        self._names = self._folders.get("train") or sorted(set(itertools.chain(*self._folders.values())))
        self.classes = tuple(map(shown, self._names))
        for split, names in self._folders.items():
            if unknown := [shown(name) for name in names if name not in self._names]:
                raise ValueError(
                    f"{self._root}: {split} has classes that train lacks: {', '.join(unknown)}; train has "
                    f"{', '.join(self.classes)}. Give them the names that they have in train, or remove them"
                )
        self._listings = {}

    def shard_lengths(self, split: str) -> tuple[int, ...]:
        return (len(self._listing(split)),)

    def fetch(self, split: str, ids: Sequence[int]) -> list[Any]:
        listing = self._listing(split)
        return [(read_file(self.describe_record(split, record)), int(listing.labels[record])) for record in ids]

    def labels(self, split: str) -> np.ndarray:
        return self._listing(split).labels

    def describe_record(self, split: str, record: int) -> str:
        listing = self._listing(split)
        return os.path.join(self._roots[split], self._names[listing.labels[record]], listing.path(record))

    def files(self, split: str, start: int, stop: int) -> list[tuple[str, str]]:
        """Returns [(class, path)] of the records start to stop of a split."""
        labels = self._listing(split).labels
        return [(self.classes[labels[record]], self.describe_record(split, record)) for record in range(start, stop)]

    def class_digests(self) -> dict[str, str]:
        """Returns {class: digest of its files in all splits}: of all paths, and of what a few of them begin with.

        It says whether a folder still holds the same classes, wherever it lies now, without reading it all.
        """
        sampled = max(1, SAMPLED // len(self.classes))
        digests = {name: blake2b(digest_size=8) for name in self.classes}
        for split in self.split_names:
            with contextlib.suppress(ValueError):  # a split without images, which nobody may want
                listing = self._listing(split)
                ends = np.cumsum(np.bincount(listing.labels, minlength=len(self.classes)))[:-1]
                of_class = np.split(np.argsort(listing.labels, kind="stable"), ends)
                for name, records in zip(self.classes, of_class, strict=True):
                    paths = b"\0".join(os.fsencode(listing.path(record)) for record in records)
                    digests[name].update(split.encode() + b"\0" + paths)
                    for record in records[:sampled]:
                        digests[name].update(beginning(self.describe_record(split, record)))
        return {name: digest.hexdigest() for name, digest in digests.items()}

    def notes(self, splits: Sequence[str]) -> list[str]:
        """Returns sentences on what a person may not expect of these splits: files left out, classes that are not."""
        said, roots = _alike(self.classes), {split: self._roots[split] for split in splits}
        for split, root in roots.items():
            listing = self._listing(split)
            if missing := [shown(name) for name in self._names if name not in listing.present]:
                said.append(f"{split} has no images of {', '.join(missing)}")
            if left_out := say_left_out(listing.left_out):
                said.append(f"{root}: left out: {left_out}")
        for root in dict.fromkeys([self._root, *roots.values()]):
            if loose := loose_images(root):
                said.append(f"{root}: left out: {loose:,} image{'s' * (loose > 1)} beside the class folders")
        if self._root not in self._roots.values() and (beside := set(folders(self._root)) - set(self._roots)):
            said.append(f"{self._root}: left out: {', '.join(sorted(beside))} beside {', '.join(self._roots)}")
        return said

    def _listing(self, split):
        if split not in self._listings:
            required = self._folders[split] if split == "train" else ()
            self._listings[split] = _Listing(self._roots[split], self._names, self._folders[split], required)
        return self._listings[split]


class _Listing:
    """The files of one split. One byte string instead of a million objects: it is pickled to every worker."""

    def __init__(self, root, classes, present, required):
        paths, ranks, labels, self.left_out, self.present = [], [], [], Counter(), set()
        for label, name in enumerate(classes):
            others = Counter()
            found = sorted(find_images(os.path.join(root, name), others), key=_hash) if name in present else []
            if not found and name in required:
                raise InputError(_no_images(os.path.join(root, name), others))
            self.left_out += others
            self.present |= {name} if found else set()
            paths += found
            ranks.append((np.arange(len(found)) + 0.5) / max(len(found), 1))
            labels.append(np.full(len(found), label, np.int32))
        if not paths:
            raise InputError(_no_images(root, self.left_out))
        labels = np.concatenate(labels)
        order = np.lexsort((labels, np.concatenate(ranks)))
        encoded = [os.fsencode(paths[i]) for i in order]
        self.labels = labels[order]
        self._paths = b"".join(encoded)
        self._ends = np.cumsum([len(path) for path in encoded])

    def __len__(self):
        return len(self.labels)

    def path(self, record):
        start = self._ends[record - 1] if record else 0
        return os.fsdecode(self._paths[start : self._ends[record]])


def _no_images(folder, others):
    left_out = say_left_out(others)
    return (
        f"the class folder {folder} holds no images ({', '.join(sorted(EXTENSIONS))})"
        + (f", but {left_out}" if left_out else "")
        + ": add some, or remove the folder"
    )


def _alike(classes):
    """Sentences on classes whose names a person would take for one."""
    of_name = {}
    for name in classes:
        of_name.setdefault(name.strip().casefold(), []).append(name)
    return [
        f"the classes {' and '.join(map(repr, names))} differ only in case or in blanks: are they one?"
        for names in of_name.values()
        if len(names) > 1
    ]


def _hash(path):
    return blake2b(os.fsencode(path.replace(os.sep, "/")), digest_size=8).digest(), path


def beginning(path: str | os.PathLike[str]) -> bytes:
    """What a file begins with, for a digest; nothing of one that cannot be read."""
    found = read_file(path)
    return b"" if isinstance(found, DataError) else found[:SAMPLED_BYTES]
