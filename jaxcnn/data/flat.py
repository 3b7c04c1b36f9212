"""Folders of images without classes: `images:PATH`."""

import contextlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from jaxcnn.data.folder import SAMPLED, beginning
from jaxcnn.data.image_files import EXTENSIONS, find_images, folders, loose_images, read_file, say_left_out
from jaxcnn.errors import InputError


class Flat:
    """A Source over a folder of images that have no classes: every label is 0, and `classes` is ().

    Where images lie in the folder itself, all images in and below it are the split `train`. Else every folder in it is
    a split by its name: `train[:90%]` and `test`, or `Train400` and `Set12`. Records are in the order of their paths,
    numbers by their value, so that a slice holds neighbours: pages of one book, frames of one film.

    Args:
      path: the folder.
    Raises:
      ValueError: the folder does not exist or holds no images (found when the split is first used).
    """

    kind, classes, shape = "images", (), (None, None, 3)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = f"{self.kind}:{path}"
        self._root = os.path.abspath(os.path.expanduser(path))
        if not os.path.isdir(self._root):
            raise ValueError(f"{self._root} is not a folder: {self.name} is a folder of images")
        self._roots = self._find_roots(self._root)
        self.split_names = tuple(self._roots)
        self._listings = {}

    def _find_roots(self, root):
        """{split: its folder}."""
        found = folders(root)
        whole = loose_images(root) or not found
        return {"train": root} if whole else {name: os.path.join(root, name) for name in found}

    def shard_lengths(self, split: str) -> tuple[int, ...]:
        return (len(self._names(split)),)

    def fetch(self, split: str, ids: Sequence[int]) -> list[Any]:
        return [(read_file(self.describe_record(split, record)), 0) for record in ids]

    def describe_record(self, split: str, record: int) -> str:
        return os.path.join(self._roots[split], self._names(split)[record])

    def class_digests(self) -> dict[str, str]:
        """Returns {split: digest of its files}: of all paths, and of what a few of them begin with."""
        digests = {}
        for split in self.split_names:
            with contextlib.suppress(ValueError):  # a split without images, which nobody may want
                digests[split] = self._digest(split)
        return digests

    def _digest(self, split):
        names = self._names(split)
        digest = blake2b(b"\0".join(map(os.fsencode, names)), digest_size=8)
        for record in range(min(SAMPLED, len(names))):
            for path in self._files(split, record):
                digest.update(beginning(path))
        return digest.hexdigest()

    def notes(self, splits: Sequence[str]) -> list[str]:
        """Returns sentences on files of these splits that are left out."""
        left_out = {split: say_left_out(self._listing(split)[1]) for split in splits}
        return [f"{self._roots[split]}: left out: {said}" for split, said in left_out.items() if said]

    def _files(self, split, record):
        return (self.describe_record(split, record),)

    def _names(self, split):
        return self._listing(split)[0]

    def _listing(self, split):
        if split not in self._listings:
            self._listings[split] = listing(self._roots[split])
        return self._listings[split]


def listing(root: str) -> tuple[list[str], Counter[str]]:
    """(the paths of the images below a folder, by their numbers, a Counter of other files); InputError without any."""
    left_out = Counter()
    names = sorted(find_images(root, left_out), key=_natural)
    if not names:
        seen = f", but {said}" if (said := say_left_out(left_out)) else ""
        raise InputError(f"the folder {root} holds no images ({', '.join(sorted(EXTENSIONS))}){seen}")
    return names, left_out


def _natural(name):
    """A key by which 2.png comes before 10.png."""
    parts = re.split(r"(\d+)", name.replace(os.sep, "/"))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name
