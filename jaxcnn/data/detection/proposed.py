"""A data set whose examples hold proposals: boxes of selective search, found once and kept in a folder."""

import json
import os
import pathlib
import zipfile
import zlib
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from jaxcnn.data.decode import decoded
from jaxcnn.data.detection.selective_search import make_search, selective_search
from jaxcnn.data.fields import GEOMETRY, LABEL
from jaxcnn.data.fit import DataError, Target
from jaxcnn.errors import InputError
from jaxcnn.files import cache_folder, replaced, write_json
from jaxcnn.progress import ProgressBar

COUNT = 2000  # proposals of an image
PART = 64  # records whose proposals lie in one file: a kill loses those of a part
VERSION = 1  # of what selective search gives: another finds all proposals anew


class Proposed:
    """A Source with two fields more than another: `proposals` float32 (count, 4) and `proposal_mask` bool (count,).

    Boxes are edges in pixels of the upright image at the size that it is stored in. `find` looks for those of some
    records, or reads them where they are kept: in ~/.cache/jaxcnn/proposals (or $XDG_CACHE_HOME), a folder for each
    split and each search, whatever the count. With the boxes of an image a digest of its file is kept: another image
    under its name is an error, not a wrong box. An image that cannot be read has no proposals.

    Args:
      source: a Source.
      count: proposals of an image, the likeliest; where there are fewer the rest is masked.
      folder: of all proposals; None for the one above.
      **search: options of selective_search.Search.
    Raises:
      ValueError: an option is unknown or has no such value, or the source has proposals already.
    """

    def __init__(
        self, source: Any, *, count: int = COUNT, folder: str | os.PathLike[str] | None = None, **search: Any
    ) -> None:
        if type(count) is not int or count < 1:
            raise ValueError(f"count is {count!r}; it is the number of an image's proposals, as 2000")
        self._source, self.count, self.search = source, count, make_search(search)
        self._folder = pathlib.Path(folder or cache_folder("proposals"))
        own = {"proposals": ((count, 4), np.dtype(np.float32)), "proposal_mask": ((count,), np.dtype(bool))}
        theirs = getattr(source, "fields", None) or LABEL
        if "proposals" in theirs:
            raise ValueError(f"an example of {source.name} has proposals of its own")
        self.fields = {**theirs, **own, **GEOMETRY}
        self.name, self.classes, self.shape = source.name, source.classes, source.shape
        self.split_names = source.split_names
        self._parts = {}

    def __getattr__(self, name: str) -> Any:
        """Whatever else a source may have: labels, notes, files."""
        if name.startswith("_"):  # while it is unpickled
            raise AttributeError(name)
        return getattr(self._source, name)

    def fetch(self, split: str, ids: Sequence[int]) -> list[Any]:
        found = []
        declares = bool(getattr(self._source, "fields", None))
        for record, (stored, values) in zip(ids, self._source.fetch(split, ids), strict=True):
            values = values if declares else {"label": values}
            found.append((stored, {**values, **self._values(split, int(record), stored)}))
        return found

    def find(self, split: str, start: int, stop: int) -> None:
        """Finds the proposals of records [start, stop) of a split, whole parts at a time, and keeps them.

        Raises:
          InputError: a file of proposals is damaged, or a part cannot be written.
        """
        folder = self._of_split(split)
        numbers = range(start // PART, -(-stop // PART))
        missing = [number for number in numbers if not _path(folder, number).exists()]
        if missing:
            self._make(split, folder, missing)
        for number in numbers:
            if (split, number) not in self._parts:
                self._parts[split, number] = _read(_path(folder, number), len(self._records(split, number)))

    def _of_split(self, split):
        """The folder of a split's proposals; its name tells set, split and search apart."""
        about = [VERSION, self.name, split, sum(self._source.shard_lengths(split)), self.search._asdict()]
        digest = blake2b(json.dumps(about).encode(), digest_size=6).hexdigest()
        return self._folder / f"{self.name.partition(':')[0]}-{split}-{digest}"

    def _records(self, split, number):
        length = sum(self._source.shard_lengths(split))
        return range(number * PART, min(length, (number + 1) * PART))

    def _make(self, split, folder, missing):
        import joblib

        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"proposals are kept in {folder}, which cannot be made: {error.strerror}. XDG_CACHE_HOME names another."
            ) from error
        write_json(folder / "about.json", {"set": self.name, "split": split, "search": self.search._asdict()})
        bar = ProgressBar(len(missing), start=0, title=f"proposals of {self.name} {split}", quiet=False)
        bar.line(f"looking for the proposals of {self.name}, {split}; they are kept in {folder}")
        jobs = joblib.Parallel(n_jobs=-1 if len(missing) > 1 else 1, return_as="generator")
        tasks = (
            joblib.delayed(_write)(self._source, split, self._records(split, n), self.search, _path(folder, n))
            for n in missing
        )
        for done, _ in enumerate(jobs(tasks), 1):
            line = f"proposals: {done} of {len(missing)} parts of {PART} images"
            bar.show(done, beside_bar=f"parts of {PART} images", line=line)
        bar.close()

    def _values(self, split, record, stored):
        return _fields(self._kept(split, record, stored), self.count)

    def _kept(self, split, record, stored):
        if isinstance(stored, DataError):
            return np.zeros((0, 4), np.float32)
        number, row = divmod(record, PART)
        if (split, number) not in self._parts:
            self.find(split, record, record + 1)
        boxes, stops, digests = self._parts[split, number]
        if digests[row].tobytes() != _digest(stored):
            raise InputError(
                f"{self._source.describe_record(split, record)} is not the image whose proposals are kept in "
                f"{_path(self._of_split(split), number)}: remove that file, and they are found anew."
            )
        return boxes[stops[row] : stops[row + 1]]


def proposals_of(stored: np.ndarray | bytes, *, count: int = COUNT, **search: Any) -> dict[str, np.ndarray]:
    """The fields "proposals" and "proposal_mask" of one image as it is stored, found now; as `Proposed` has them."""
    return _fields(_search(stored, make_search(search)), count)


def _fields(found, count):
    boxes = np.zeros((count, 4), np.float32)
    boxes[: len(found)] = found[:count]
    return {"proposals": boxes, "proposal_mask": np.arange(count) < len(found)}


def _path(folder, number):
    return folder / f"{number:06}.npz"


def _digest(stored):
    """8 bytes of an image as it is stored; zeros of one that cannot be read."""
    if isinstance(stored, DataError):
        return bytes(8)
    content: Any = np.ascontiguousarray(stored) if isinstance(stored, np.ndarray) else stored
    return blake2b(content, digest_size=8).digest()


def _write(source, split, records, search, path):
    """Writes the part of some records: their boxes one behind the other, where each record's stop, and digests."""
    found, digests = [], []
    for stored, _ in source.fetch(split, list(records)):
        digests.append(_digest(stored))
        found.append(_search(stored, search))
    stops = np.cumsum([0, *map(len, found)])
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *found])
    digests = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 8)
    with replaced(path) as temporary:
        np.savez_compressed(temporary, boxes=boxes, stops=stops, digests=digests)


def _search(stored, search):
    if isinstance(stored, DataError):
        return np.zeros((0, 4), np.float32)
    try:
        image = stored if isinstance(stored, np.ndarray) else decoded(stored, Target()).pixels
    except DataError:  # data.on_error says what comes of it
        return np.zeros((0, 4), np.float32)
    return selective_search(image, search)


def _read(path, count):
    """(boxes, stops, digests) of a part of so many records."""
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            boxes, stops, digests = (file[name] for name in ("boxes", "stops", "digests"))
        right = stops.shape == (count + 1,) and digests.shape == (count, 8) and digests.dtype == np.uint8
        if not (right and boxes.shape == (stops[-1], 4) and (np.diff(stops, prepend=0) >= 0).all()):
            raise ValueError
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path} is damaged, or holds something else than the proposals of {count} images: remove it, and they are "
            "found anew."
        ) from error
    return boxes, stops, digests
