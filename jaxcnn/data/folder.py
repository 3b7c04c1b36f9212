"""Image folders: one folder a class, below train/ and val/ or without them."""

import os
import stat
from hashlib import blake2b

import numpy as np

from jaxcnn.data.fit import DataError

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
SPLIT_FOLDERS = ("train", "val", "valid", "validation", "test")
LAYOUT = "expected PATH/<class>/**/<image>, or PATH/train/<class>/**/<image> and the same below PATH/val (or test)"

SAMPLED, SAMPLED_BYTES = 64, 2**16  # files of a folder, at least one a class, and bytes of each, in its digests


class Folder:
    """A Source over a folder of class folders of images.

    The class is the name of the first-level folder; images lie at any depth below it. Without split folders everything
    is the split `train`. Hidden files and folders, and files with other extensions, are ignored. No file is opened or
    asked for its size until it is read.

    Within a class, records are in the order of a hash of their relative path, so that a new file leaves the order of
    the others as it was; the classes are interleaved by fractional rank, so that every slice is close to stratified.

    Args:
      path: the folder.
    Raises:
      ValueError: the folder does not exist or has another layout, the splits differ in their classes, or a class is
        empty (found when the split is first used).
    """

    shape = (None, None, 3)

    def __init__(self, path):
        self.name = f"folder:{path}"
        self._root = os.path.abspath(os.path.expanduser(path))
        self._roots = _split_roots(self._root)
        self.split_names = tuple(self._roots)
        classes = {split: _folders(root) for split, root in self._roots.items()}
        first, *others = classes
        for other in others:
            if classes[first] != classes[other]:
                only = [
                    f"only in {a}: {', '.join(sorted(set(classes[a]) - set(classes[b]))) or 'none'}"
                    for a, b in ((first, other), (other, first))
                ]
                raise ValueError(f"{self._root}: {first} and {other} must have the same classes; {'; '.join(only)}")
        self.classes = tuple(classes[first])
        self._listings = {}

    def shard_lengths(self, split):
        return (len(self._listing(split)),)

    def fetch(self, split, ids):
        listing = self._listing(split)
        return [(_read_file(self.where(split, record)), int(listing.labels[record])) for record in ids]

    def where(self, split, record):
        listing = self._listing(split)
        return os.path.join(self._roots[split], self.classes[listing.labels[record]], listing.path(record))

    def class_digests(self, splits):
        """Returns {class: digest of its files}: of all their paths, and of what a few of them begin with.

        It says whether a folder still holds the same classes, wherever it lies now, without reading it all.
        """
        sampled = max(1, SAMPLED // len(self.classes))
        digests = {name: blake2b(digest_size=8) for name in self.classes}
        for split in sorted(splits):
            listing = self._listing(split)
            ends = np.cumsum(np.bincount(listing.labels, minlength=len(self.classes)))[:-1]
            of_class = np.split(np.argsort(listing.labels, kind="stable"), ends)
            for name, records in zip(self.classes, of_class, strict=True):
                digests[name].update(b"\0".join(os.fsencode(listing.path(record)) for record in records))
                for record in records[:sampled]:
                    digests[name].update(_beginning(self.where(split, record)))
        return {name: digest.hexdigest() for name, digest in digests.items()}

    def _listing(self, split):
        if split not in self._listings:
            self._listings[split] = _Listing(self._roots[split], self.classes)
        return self._listings[split]


class _Listing:
    """The files of one split. One byte string instead of a million objects: it is pickled to every worker."""

    def __init__(self, root, classes):
        paths, ranks, labels = [], [], []
        for label, name in enumerate(classes):
            found = sorted(_images(os.path.join(root, name)), key=_hash)
            if not found:
                raise ValueError(
                    f"the class folder {os.path.join(root, name)} holds no images ({', '.join(sorted(EXTENSIONS))}): "
                    "add some, or remove the folder"
                )
            paths += found
            ranks.append((np.arange(len(found)) + 0.5) / len(found))
            labels.append(np.full(len(found), label, np.int32))
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


def _split_roots(root):
    """Returns name of a split -> its folder."""
    if not os.path.isdir(root):
        raise ValueError(f"{root} is not a folder: {LAYOUT}")
    folders = _folders(root)
    found = [name for name in SPLIT_FOLDERS if name in folders]
    classed = {name: os.path.join(root, name) for name in found if _folders(os.path.join(root, name))}
    if classed and ("train" in classed or len(found) == len(folders)):
        return classed
    if not folders:
        raise ValueError(f"{root} holds no class folders: {LAYOUT}")
    return {"train": root}


def _folders(root):
    with os.scandir(root) as entries:
        return sorted(entry.name for entry in entries if not entry.name.startswith(".") and _is_folder(entry))


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # links that lead to each other
        return False


def _images(root):
    """Yields the paths of the images below root, relative to it. A folder that links lead to twice is visited once."""
    visited = {os.path.realpath(root)}
    pending = [""]
    while pending:
        below = pending.pop()
        folder = os.path.join(root, below)
        with os.scandir(folder) as entries:
            entries = sorted(entries, key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                real = os.path.realpath(entry.path)
                if real not in visited:
                    visited.add(real)
                    pending.append(os.path.join(below, entry.name))
            elif os.path.splitext(entry.name)[1].lower() in EXTENSIONS:
                yield os.path.join(below, entry.name)


def _hash(path):
    return blake2b(os.fsencode(path.replace(os.sep, "/")), digest_size=8).digest(), path


def _beginning(path):
    found = _read_file(path)
    return b"" if isinstance(found, DataError) else found[:SAMPLED_BYTES]


def _read_file(path):
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for without an end
            return DataError("it is not a file: a pipe, a socket or a device")
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        return DataError(f"the file cannot be read ({error.strerror})")
