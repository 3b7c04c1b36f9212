"""Images to train on that are more or fewer than a slice: config.data.keep and config.data.add."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxcnn.data.fields import LABEL
from jaxcnn.data.order import Order, derived_seed
from jaxcnn.data.records import Records, empty_batch
from jaxcnn.errors import InputError, nearest


class _Part(NamedTuple):
    """Records of which `positions` (n,) are taken; `labels` (K,) are the numbers of their classes in the whole."""

    records: Any
    positions: np.ndarray
    labels: np.ndarray


class Joined:
    """Some Records of a slice, and all of a folder behind them. It is used as Records are.

    Of a class that `keep` names so many images stay: the first of a permutation of its images that the seed and the
    class number fix. What a smaller share keeps is thus part of what a larger one keeps. The others stay in their
    order. Ids (`index`) are those of either set.

    Args:
      own: Records of the training slice.
      keep: {class: number, or share between 0 and 1 of its images in the slice, rounded to the nearest number}.
      seed: of what is kept.
      added: Records of the added folder, of images of the same shape, or None.

    Attributes:
      classes, shape, fields, name, split, parts: as those of `own`.
      own_count: images of the slice that are taken.
      kept: {class: (images that stay, images that there were)}.
      added: as given.

    Raises:
      InputError: a class is unknown, a number cannot be, the examples hold anything but a label, or an added folder has
        classes that the set lacks.
    """

    def __init__(self, own: Records, *, keep: Any = None, seed: int = 0, added: Any = None) -> None:
        self.classes, self.shape, self.fields = own.classes, own.shape, own.fields
        self.name, self.split, self.parts, self.stored_shape = own.name, own.split, own.parts, own.stored_shape
        self._seed, self.added, self.kept = seed, added, {}
        positions = np.arange(len(own)) if not keep else self._thin(own, keep)
        self._of = [_Part(own, positions, np.arange(len(own.classes)))]
        self.own_count = len(positions)
        if added is not None:
            self._check_added(own, added)
            labels = np.array([own.classes.index(name) for name in added.classes])
            self._of.append(_Part(added, np.arange(len(added)), labels))
        self._stops = np.cumsum([len(part.positions) for part in self._of])

    def __len__(self) -> int:
        return int(self._stops[-1])

    def __repr__(self) -> str:
        return f"<Joined {self.name} {self.split}: {len(self)} images of {self.shape}>"

    def __getitem__(self, i: int) -> dict[str, np.ndarray]:
        return {key: value[0] for key, value in self.read([i]).items()}

    def read(self, positions: Sequence[int] | np.ndarray, cuts: Sequence[Any] | None = None) -> dict[str, np.ndarray]:
        """A batch, as Records.read; it raises what that raises."""
        positions = np.asarray(positions, np.int64).reshape(-1)
        if positions.size and not 0 <= positions.min() <= positions.max() < len(self):
            raise IndexError(f"records {positions.min()} to {positions.max()} of {self!r}")
        batch, of = empty_batch(len(positions), self.shape, self.fields), self._part_of(positions)
        for number, part in enumerate(self._of):
            rows = np.flatnonzero(of == number)
            if rows.size:
                found = part.records.read(self._within(positions[rows], number), cuts and [cuts[row] for row in rows])
                for name, value in found.items():
                    batch[name][rows] = part.labels[value] if name == "label" and number else value
        return batch

    def whole(self, i: int) -> dict[str, Any]:
        """Record i at the size that it is stored in, as Records.whole."""
        part, position = self._located(i)
        record = part.records.whole(position)
        return {**record, "label": np.int32(part.labels[record["label"]])} if part is not self._of[0] else record

    def labels(self) -> np.ndarray:
        """The class of every record, int64 (len(self),), without decoding an image."""
        return np.concatenate([part.labels[part.records.labels()[part.positions]] for part in self._of])

    def fields_at(self, shape: Sequence[int]) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """`fields` where images are shown at another shape, as Records.fields_at."""
        return self._of[0].records.fields_at(shape)

    def describe_record(self, i: int) -> str:
        """The name of record i, as Records.describe_record."""
        part, position = self._located(i)
        return part.records.describe_record(position)

    def files(self) -> list[tuple[str, str]]:
        """[(class, path)] of those records that are files; [] where the slice is of other data."""
        found = []
        for part in self._of:
            files = part.records.files()
            found += [files[position] for position in part.positions] if files else []
        return found

    def class_digests(self) -> dict[str, str]:
        """{class: digest of its files} of the set of the slice; the added folder has its own."""
        return self._of[0].records.class_digests()

    def notes(self) -> list[str]:
        """Sentences on what a person may not expect of the data, the share that is kept and the added images first."""
        said = [
            f"{self.split}: of {name}, {kept:,} of {there:,} images are kept (config.data.keep, keep_seed {self._seed})"
            for name, (kept, there) in self.kept.items()
        ]
        if self.added is not None:
            counts = np.bincount(self.added.labels(), minlength=len(self.added.classes))
            words = ", ".join(f"{count:,} of {name}" for name, count in zip(self.added.classes, counts, strict=True))
            said.append(f"{self.split}: {len(self.added):,} images of {self.added.name} are added: {words}")
        return [*said, *(note for part in self._of for note in part.records.notes())]

    def _thin(self, own, keep):
        """The positions that stay, int64 (n,), in their order; fills `kept`."""
        for name in keep:
            if name not in own.classes:
                raise InputError(f"config.data.keep: {own.name} has no class '{name}'; {nearest(name, own.classes)}")
        labels = own.labels()
        stays = np.ones(len(own), bool)
        for name, share in keep.items():
            number = own.classes.index(name)
            there = np.flatnonzero(labels == number)
            count = _count(name, share, len(there), own)
            order = Order(len(there), seed=derived_seed(self._seed, "kept", number)).records(0, count)
            stays[there] = False
            stays[there[order]] = True
            self.kept[name] = (count, len(there))
        return np.flatnonzero(stays)

    def _check_added(self, own, added):
        if own.fields != LABEL:
            raise InputError(
                f"config.data.add: an example of {own.name} holds {', '.join(own.fields)}, and images of a folder have "
                "a label alone."
            )
        if unknown := [name for name in added.classes if name not in own.classes]:
            raise InputError(
                f"config.data.add: {added.name} has the class folder '{unknown[0]}', which is no class of {own.name}; "
                f"{nearest(unknown[0], own.classes)}"
            )

    def _part_of(self, positions):
        return np.searchsorted(self._stops, positions, side="right")

    def _within(self, positions, number):
        part = self._of[number]
        return part.positions[positions - (self._stops[number] - len(part.positions))]

    def _located(self, i):
        if not 0 <= i < len(self):
            raise IndexError(f"record {i} of {self!r}")
        number = int(self._part_of(np.int64(i)))
        return self._of[number], int(self._within(np.int64(i), number))


def _count(name, share, there, records):
    """The number of a class's images that stay; InputError where that is none, or more than there are."""
    if isinstance(share, bool) or not isinstance(share, int | float):
        raise InputError(
            f"config.data.keep: '{name}' has {share!r}; it is a number of images or a share between 0 and 1."
        )
    if isinstance(share, float) and not 0 < share < 1:
        raise InputError(
            f"config.data.keep: '{name}' has {share}; a share lies between 0 and 1, and a number of images is whole."
        )
    if not there:
        raise InputError(f"config.data.keep: {records.name} {records.split} has no image of '{name}'.")
    count = round(share * there) if isinstance(share, float) else share
    if not 1 <= count <= there:
        raise InputError(
            f"config.data.keep: '{name}' has {share}, which is {count:,} of its {there:,} images in {records.name} "
            f"{records.split}; 1 to {there:,} can be kept."
        )
    return count
