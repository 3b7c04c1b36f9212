"""Records: one split of one data set, read by position."""

import bisect
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from jaxcnn.data.decode import decoded
from jaxcnn.data.fields import GEOMETRY, LABEL, checked, declared
from jaxcnn.data.fit import DataError, Target, of_array
from jaxcnn.data.splits import resolve_split
from jaxcnn.errors import InputError

logger = logging.getLogger(__name__)

ON_ERROR = ("raise", "skip")


class Source(Protocol):
    """Where the stored images of a data set come from. Implement this for a data set of your own.

    A source is picklable (Grain sends it to worker processes), so it opens its files lazily. It may also have

      fields: {name: (shape, dtype)} of what an example holds beside its image, or {name: "image"} of a second image,
        which is decoded and cut as the first; see jaxcnn.data.fields. Without it an example holds a label.
      labels(split) -> integers (n,), the class of each record of a split, for samplers by class.

    Attributes:
      name: what errors call the data set, such as `tfds:cifar10`.
      classes: the names of the classes, in label order; () of a data set without labels.
      split_names: the names of the splits.
      shape: the stored (height, width, channels), None where it differs between images.
    """

    name: str
    classes: tuple[str, ...]
    split_names: tuple[str, ...]
    shape: tuple[int | None, int | None, int | None]

    def shard_lengths(self, split: str) -> Sequence[int]:
        """Returns the number of records of each file of a split; `(n,)` where there are no files."""
        ...

    def fetch(self, split: str, ids: Sequence[int]) -> list[tuple[object, int | dict]]:
        """Returns (stored, label) for each id, in order; (stored, {name: value}) from a source with fields.

        `stored` is the encoded file (bytes), a uint8 array (h, w, c), or, for a record that cannot be read, the
        DataError that says why, beside which values may be missing. The value of a field that is an image is the same.
        Values may hold `size` too, the (height, width) of the upright image that boxes and the like are of: a record
        whose image has another size cannot be read.
        """
        ...

    def describe_record(self, split: str, record: int) -> str:
        """Returns a human-readable name of the record: a path, or `tfds:cifar10 train record 17`."""
        ...


class Records:
    """One split of one data set: a picklable sequence of uint8 images of one shape, with what belongs to each.

    `records[i]` is `{"image": uint8 (h, w, c), "label": int32 (), "mask": float32 () of 1, "index": int32 ()}`, with
    the fields of the source in the place of the label where it declares some. `index` is the global record id: the
    position in the unsliced split, so `train` and `train[90%:]` call a record by the same id. (In a sum such as
    `train+test` each split keeps its own ids.)

    Args:
      source: a Source.
      split: a TFDS split expression: `train`, `train[:90%]`, `train[10:20]`, `train[:50%]+test`.
      image_size: (height, width), or None for the stored size, which must then be one for all images.
      channels: 1, 3, or None for the stored number (3 where it differs between images).
      fit: "crop" scales the short side to the size and crops the centre, "stretch" resizes both sides, "pad" centres
        the unscaled image on zeros, "inside" scales the whole image into the size, with zeros to the right and below.
      resize: with fit "crop", the short side before the centre is cut out; 0 just covers image_size. With "inside" the
        largest short side, 600 of an image_size of (1000, 1000) in Fast R-CNN; 0 for as large as fits.
      interpolation: "bilinear" or "bicubic".
      on_error: what to do with a record that cannot be read or decoded: "raise" a DataError, or "skip": it comes back
        as zeros with mask 0 and is logged once.

    Attributes:
      classes: the names of the classes, in label order.
      shape: (height, width, channels) of every image.
      fields: {name: (shape, dtype)} of what an example holds beside its image.
      name: the name of the data set.
      split: the split expression.
      parts: [(name of a split, start, stop)], the records of it.

    Raises:
      ValueError: an option is not one of those above, the split is unknown or empty, the stored images differ in size
        and image_size is None, fit is "pad" and the stored images are larger than image_size, or the source declares a
        field that cannot be.
    """

    def __init__(
        self,
        source: Any,
        split: str,
        *,
        image_size: Sequence[int] | None = None,
        channels: int | None = None,
        fit: str = "crop",
        resize: int = 0,
        interpolation: str = "bilinear",
        on_error: str = "raise",
    ) -> None:
        height, width, stored_channels = source.shape
        if image_size is None and (height is None or width is None):
            raise ValueError(f"the images of {source.name} may differ in size: set image_size, such as (224, 224)")
        image_size = (height, width) if image_size is None else image_size
        self._target = Target(image_size, channels or stored_channels or 3, fit, resize, interpolation)
        if on_error not in ON_ERROR:
            raise ValueError(f"data.on_error is {on_error!r}; it must be one of {', '.join(map(repr, ON_ERROR))}")
        self.name = source.name
        self.split = split
        self.classes = tuple(source.classes)
        self.shape = (*self._target.image_size, self._target.channels)
        self.fields, self._images = declared(source, self.shape)
        self._declares = bool(getattr(source, "fields", None))
        self._fetched = {name: spec for name, spec in self.fields.items() if name not in GEOMETRY}
        self._geometry = tuple(name for name in self.fields if name in GEOMETRY)
        if fit == "pad" and ((height or 0) > self.shape[0] or (width or 0) > self.shape[1]):
            raise ValueError(
                f"fit='pad' does not scale, and the {height}x{width} images of {source.name} are larger than "
                f"image_size={self.shape[:2]}: use fit='crop' or fit='stretch'"
            )
        self._source = source
        self._on_error = on_error
        self.parts = resolve_split(split, source)
        self._stops = np.cumsum([stop - start for _, start, stop in self.parts])
        self._reported = set()

    def __len__(self) -> int:
        return int(self._stops[-1])

    def __repr__(self) -> str:
        return f"<Records {self.name} {self.split}: {len(self)} images of {self.shape}, {len(self.classes)} classes>"

    def __getitem__(self, i: int) -> dict[str, np.ndarray]:
        return {key: value[0] for key, value in self.read([i]).items()}

    def read(self, positions: Sequence[int] | np.ndarray, cuts: Sequence[Any] | None = None) -> dict[str, np.ndarray]:
        """Reads many records at once, which is much cheaper than one by one where the files allow it.

        Args:
          positions: integers in [0, len(self)), any order, (n,).
          cuts: None, or for each position f(size, image_size), which gives the box (top, left, height, width) of the
            image of size (h, w) that is scaled to image_size instead of what fit and resize show.
        Returns:
          A batch: image uint8 (n, h, w, c), label int32 (n,) or the fields of the source, mask float32 (n,), index
          int32 (n,). Of a record that is skipped the images are zeros and the mask is 0.
        Raises:
          DataError: a record cannot be read and on_error is "raise"; the message names it.
          InputError: the source gives other values than it declares; the message names record and field.
          IndexError: a position is out of range.
        """
        located = [self._locate(int(i)) for i in positions]
        batch = empty_batch(len(located), self.shape, self.fields)
        for split in dict.fromkeys(split for split, _ in located):
            rows = [row for row, (of, _) in enumerate(located) if of == split]
            ids = [located[row][1] for row in rows]
            for row, record, (stored, values) in zip(rows, ids, self._source.fetch(split, ids), strict=True):
                cut = None if cuts is None else cuts[row]
                rooms = {name: batch[name][row] for name in ("image", *self._images)}
                found = self._example(stored, values, self._target, cut, split, record, rooms)
                if not found["mask"]:
                    found |= dict.fromkeys(rooms, 0)  # one of several may have been written already
                for name, value in found.items():
                    if value is not rooms.get(name):
                        batch[name][row] = value
        return batch

    def whole(self, i: int) -> dict[str, Any]:
        """Record i at the size that it is stored in.

        Returns:
          As records[i], but its images are uint8 (their height, their width, c), or None where it was skipped.
        Raises:
          DataError, IndexError: as in `read`.
        """
        split, record = self._locate(int(i))
        ((stored, values),) = self._source.fetch(split, [record])
        found = self._example(stored, values, Target(channels=self.shape[2]), None, split, record, {})
        empty = {name: np.zeros(*spec) for name, spec in self.fields.items() if name not in self._images}
        return {**dict.fromkeys(("image", *self._images)), **empty, **found}

    def fields_at(self, shape: Sequence[int]) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Returns `fields` where images are shown at another shape (h, w, c), as after a crop."""
        images = dict.fromkeys(self._images, (tuple(shape), np.dtype(np.uint8)))
        return {name: images.get(name, spec) for name, spec in self.fields.items()}

    @property
    def stored_shape(self) -> tuple[int | None, ...]:
        """The stored (height, width, channels), None where it differs between images."""
        return tuple(self._source.shape)

    def notes(self) -> list[str]:
        """Returns sentences on what a person may not expect of the data: files of a folder that are left out, ..."""
        notes = getattr(self._source, "notes", None)
        return notes(list(dict.fromkeys(split for split, _, _ in self.parts))) if notes else []

    def files(self) -> list[tuple[str, str]]:
        """Returns [(class, path)] of the records of a folder, [] of other data."""
        files = getattr(self._source, "files", None)
        return [file for part in self.parts for file in files(*part)] if files else []

    def class_digests(self) -> dict[str, str]:
        """Returns {class: digest of its files} of a folder, {} of other data."""
        digests = getattr(self._source, "class_digests", None)
        return digests() if digests else {}

    def labels(self) -> np.ndarray:
        """Returns the class of every record, int64 (len(self),), without decoding an image.

        Raises:
          InputError: the source cannot tell, or gives something else.
        """
        labels = getattr(self._source, "labels", None)
        if labels is None:
            raise InputError(
                f"{self.name} cannot tell its labels without reading its images, which a sampler by class, "
                "config.data.keep and balanced class weights need: give its source a method labels(split), the class "
                "of each record."
            )
        found = []
        for split, start, stop in self.parts:
            own, length = np.asarray(labels(split)), sum(self._source.shard_lengths(split))
            if own.shape != (length,) or own.dtype.kind not in "iu":
                raise InputError(
                    f"{self.name}: labels({split!r}) gives {own.dtype} {own.shape}; it gives the class of each record, "
                    f"integers ({length},)."
                )
            found.append(own[start:stop])
        return np.concatenate(found).astype(np.int64)

    def describe_record(self, i: int) -> str:
        """Returns a human-readable name of record i: a file path, or `tfds:cifar10 train record 17`."""
        return self._source.describe_record(*self._locate(int(i)))

    def _locate(self, i):
        if not 0 <= i < len(self):
            raise IndexError(f"record {i} of {self.name} {self.split}, which has {len(self)} records")
        part = bisect.bisect_right(self._stops, i)
        split, _, stop = self.parts[part]
        return split, stop - (int(self._stops[part]) - i)

    def _example(self, stored, values, target, cut, split, record, rooms):
        """{name: value} of a record; without its images, and with mask 0, where it is skipped.

        Args:
          stored, values: as `Source.fetch` gives them.
          target, cut: of its images.
          split, record: which it is.
          rooms: {name: array} that the images are written to where that saves a copy.
        """
        values = values if self._declares else {"label": values}
        part, size = isinstance(stored, DataError), None
        if isinstance(values, dict) and "size" in values:
            size = tuple(map(int, values["size"]))
            values = {name: value for name, value in values.items() if name != "size"}
        try:
            values = checked(values, self._fetched, self._images, of=self.name, part=part)
        except ValueError as error:
            raise InputError(f"{self._source.describe_record(split, record)}: {error}.") from None
        images = {"image": stored, **{name: values.pop(name) for name in self._images if name in values}}
        try:
            shown = _shown(images, target, cut, rooms, self._geometry, size)
        except DataError as error:
            self._skip(error, split, record)
            shown = {}
        return {**shown, **values, "mask": np.float32(bool(shown)), "index": np.int32(record)}

    def _skip(self, error, split, record):
        """Raises a DataError that names the record, or says once that it is skipped."""
        message = f"{self._source.describe_record(split, record)}: {error}"
        if self._on_error == "raise":
            raise DataError(f"{message}. Remove the record or set data.on_error='skip'") from error
        if (split, record) not in self._reported:
            self._reported.add((split, record))
            logger.warning("skipped %s", message)


def _shown(images, target, cut, rooms, geometry, size):
    """{name: pixels} of the images of one record, which are cut alike, and those of GEOMETRY that are asked for.

    Raises:
      DataError: one cannot be read, or is not of the (height, width) `size`, where that is not None.
    """
    found, first = {}, None
    for name, stored in images.items():
        try:
            if isinstance(stored, DataError):
                raise stored
            image = (of_array if isinstance(stored, np.ndarray) else decoded)(stored, target, cut)
            first = first or image
            if size not in (None, image.size):
                raise DataError(_of_another_size(image.size, size))
            if image.size != first.size:
                sizes = ("x".join(map(str, size)) for size in (image.size, first.size))
                raise DataError("it is {}, and the image {}: both are of one size".format(*sizes))
            found[name] = target.of(image, exact=cut is None, out=rooms.get(name))
        except DataError as error:
            raise error if name == "image" else DataError(f"its {name}: {error}") from error
    if geometry:
        own = {"view": target.view(first, exact=cut is None), "size": first.size}
        found |= {name: np.array(own[name], GEOMETRY[name][1]) for name in geometry}
    return found


def _of_another_size(found, wanted):
    said = "the image is {1} wide and {0} high, but its annotation is of one that is {3} wide and {2} high"
    turned = ": an EXIF tag turns it, or the annotation has its sides in the wrong order"
    return said.format(*found, *wanted) + (turned if found == wanted[::-1] else "")


def empty_batch(n: int, shape: Sequence[int], fields: Mapping[str, Any] = LABEL) -> dict[str, np.ndarray]:
    """Returns a batch of n masked records: zeros of image (n, *shape), of every field, mask and index."""
    return {
        "image": np.zeros((n, *shape), np.uint8),
        **{name: np.zeros((n, *own), dtype) for name, (own, dtype) in fields.items()},
        "mask": np.zeros(n, np.float32),
        "index": np.zeros(n, np.int32),
    }
