"""Pairs of images in two folders, under one name each: `pairs:PATH`."""

import os
from collections.abc import Sequence
from typing import Any

from jaxcnn.data.flat import Flat, listing
from jaxcnn.data.image_files import folders, read_file
from jaxcnn.errors import InputError

FOLDERS = (("dirty", "clean"), ("train", "train_cleaned"))  # of the images, and of their targets
LAYOUT = "expected PATH/dirty/NAME and PATH/clean/NAME, or train/ and train_cleaned/; or such pairs in PATH/SPLIT"
NAMED = 3  # files that are named where partners are missing


class Pairs(Flat):
    """A Source over pairs of image files: the image from `dirty/`, the field `target` from `clean/`.

    The two of a pair have one name and one size. Two folders are the split `train`; folders that hold such pairs are
    splits by their names. Records are in the order of `images:PATH`.

    Args:
      path: the folder.
    Raises:
      ValueError: the folder does not exist or has another layout, or a file has no partner (found when the split is
        first used; the message names it).
    """

    kind, fields = "pairs", {"target": "image"}

    def _find_roots(self, root):
        if sides := _sides(root):
            self._targets = {"train": os.path.join(root, sides[1])}
            return {"train": os.path.join(root, sides[0])}
        found = {name: sides for name in folders(root) if (sides := _sides(os.path.join(root, name)))}
        if not found:
            raise ValueError(f"{root} holds no pairs of folders: {LAYOUT}")
        self._targets = {name: os.path.join(root, name, sides[1]) for name, sides in found.items()}
        return {name: os.path.join(root, name, sides[0]) for name, sides in found.items()}

    def fetch(self, split: str, ids: Sequence[int]) -> list[Any]:
        return [
            (read_file(self.describe_record(split, record)), {"target": read_file(self._target(split, record))})
            for record in ids
        ]

    def _files(self, split, record):
        return self.describe_record(split, record), self._target(split, record)

    def _target(self, split, record):
        return os.path.join(self._targets[split], self._names(split)[record])

    def _listing(self, split):
        if split not in self._listings:
            found, targets = listing(self._roots[split]), listing(self._targets[split])
            alone = [os.path.join(self._roots[split], name) for name in sorted({*found[0]} - {*targets[0]})]
            alone += [os.path.join(self._targets[split], name) for name in sorted({*targets[0]} - {*found[0]})]
            if alone:
                more = f" (and {len(alone) - NAMED} more)" if len(alone) > NAMED else ""
                raise InputError(
                    f"{self.name}: without a partner of the same name in the other folder: "
                    f"{', '.join(alone[:NAMED])}{more}. Add the missing files, or remove these"
                )
            self._listings[split] = found[0], found[1] + targets[1]
        return self._listings[split]


def _sides(root):
    """The names of the two folders of pairs in a folder, or None."""
    there = folders(root)
    return next((sides for sides in FOLDERS if set(sides) <= set(there)), None)
