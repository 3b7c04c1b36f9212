"""Features of a split in one .npz file: written in parts, so that an interrupted extraction resumes, and read again."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
import shutil
import zipfile
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn import trust
from jaxcnn.errors import InputError, disk_is_full
from jaxcnn.files import read_json

if TYPE_CHECKING:
    from jaxcnn.transfer.features import Extractor


# What another file than .npz raises, or half a one.
NO_ARRAYS = (KeyError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile)
COLUMNS = ("features", "label", "index", "position")  # one row an image
META = {"run": str, "checkpoint": int, "weights": str, "stage": str, "pool": str, "data": dict, "images": int}
DATA = {"name": str, "split": str, "image_size": list, "data_dir": str}
PART_BATCHES, PART_BYTES = 16, 2**26  # a kill loses the batches of one part


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """The features of a split.

    Attributes:
      features: (n, d) or (n, h, w, c) float32.
      label: (n,) int32, of `classes`.
      index: (n,) int32, the global record ids.
      position: (n,) int32, the places of the images in the split.
      classes: the names of the data set's classes, which need not be those of the network.
      meta: {"run", "architecture", "checkpoint", "weights", "stage", "pool", "data"}; data holds the options of
        jaxcnn.data.load that find the images again; of a folder "files" too, as data.json has it.
    """

    features: np.ndarray
    label: np.ndarray
    index: np.ndarray
    position: np.ndarray
    classes: tuple
    meta: dict

    def vectors(self) -> np.ndarray:
        """(n, d) float32; maps are flattened: rows, columns, channels.

        Raises:
          InputError: a value is not a finite number, which no distance or classifier can use.
        """
        vectors = self.features.reshape(len(self.features), -1)
        if not (finite := np.isfinite(vectors).all(axis=1)).all():
            raise InputError(
                f"stage {self.meta['stage']} of {self.meta['run']} is not finite for {np.sum(~finite)} of "
                f"{len(vectors)} images, the first at position {self.position[~finite][0]}."
            )
        return vectors


def write_features(
    extractor: Extractor,
    records: Any,
    found_by: Mapping[str, Any],
    output: str | os.PathLike[str],
    *,
    workers: int = 0,
    report: Callable[[int, int], object] | None = None,
) -> None:
    """Writes the features of a split into a file; a second call resumes where the first was interrupted.

    Parts lie in OUTPUT.parts until all are there, each written at once or not at all; then they are joined and removed.
    On equal devices the bytes of the file are the same however often the work was broken off.

    Args:
      extractor: an Extractor.
      records: the split.
      found_by: the options of jaxcnn.data.load that gave it.
      output: the file; one that is there is replaced at the end.
      workers: decoding processes.
      report: called with (images done, images in all) at the start and after every batch.
    Raises:
      InputError: the output cannot be written, there is too little space, or OUTPUT.parts belongs to other features.
      DataError: an image cannot be read.
    """
    output = pathlib.Path(output)
    folder = output.with_name(output.name + ".parts")
    meta = {**extractor.meta, "data": found_by, "images": len(records)}
    if files := records.class_digests():
        meta["files"] = files
    batch = extractor.batch_size
    per_image = 4 * math.prod(extractor.shape)
    size = batch * max(1, min(PART_BATCHES, PART_BYTES // (batch * per_image)))
    parts = [folder / f"{number:06}.npz" for number in range(math.ceil(len(records) / size))]
    try:
        _open_folder(folder, output, {**meta, "part": [batch, size]})
        done = next((number for number, part in enumerate(parts) if not part.exists()), len(parts))
        _check_space(folder, per_image * (2 * len(records) - done * size))
        rows = extractor.stream(records, start=done * size, workers=workers) if done < len(parts) else ()
        _write_parts(parts[done:], rows, size // batch, _counting(report, done * size, batch, len(records)))
        _write(output, lambda file: _join(file, parts, {"classes": records.classes, "meta": json.dumps(meta)}))
        shutil.rmtree(folder)
    except OSError as error:
        kept = " What was complete is kept: free some space, and the same command resumes." * disk_is_full(error)
        raise InputError(f"{output} cannot be written: {error.strerror or error}.{kept}") from error


def read_features(file: str | os.PathLike[str]) -> Features:
    """The Features of a file of `write_features`; nothing in it is executed.

    Raises:
      InputError: there is no such file, or it holds something else.
    """
    try:
        with open(file, "rb") as opened, np.load(opened, allow_pickle=False) as found:
            columns = {name: found[name] for name in COLUMNS}
            meta = trust.named_by({"meta": json.loads(found["meta"].item())}, file)["meta"]
            features = Features(**columns, classes=tuple(found["classes"].tolist()), meta=meta)
        _check(features)
        return features
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}.") from error
    except MemoryError as error:
        raise InputError(f"{file} says of an array in it that it is larger than memory: {error}.") from error
    except NO_ARRAYS as error:
        why = f" In this one {error}." if isinstance(error, _Other) else ""
        raise InputError(f"{file} is no file of features: python -m jaxcnn features writes one.{why}") from error


class _Other(ValueError):
    """The reason why an .npz is no file of features."""


def _check(features):
    """Raises _Other where the columns, or the words about them, are not as `write_features` leaves them."""
    _check_keys("meta", features.meta, META)
    if features.meta["data"]:  # empty of images that no options of jaxcnn.data.load give
        _check_keys("meta.data", features.meta["data"], DATA)
    if features.features.ndim < 2 or not np.issubdtype(features.features.dtype, np.floating):
        raise _Other("the features are no floating point numbers, a row an image")
    for name in COLUMNS[1:]:
        column = getattr(features, name)
        if column.shape != features.features.shape[:1] or not np.issubdtype(column.dtype, np.integer):
            raise _Other(f"{name} is no whole number for each row of the features")
    if len(features.label) and not 0 <= features.label.min() <= features.label.max() < len(features.classes):
        raise _Other("a label is none of its classes")


def _check_keys(name, found, kinds):
    if not isinstance(found, dict):
        raise _Other(f"{name} is no object with keys")
    if wrong := [key for key, kind in kinds.items() if not isinstance(found.get(key), kind)]:
        raise _Other(f"{name} lacks {', '.join(wrong)}, or has a value of another type there")


def _open_folder(folder, output, about):
    if output.is_dir():
        raise InputError(f"{output} is a folder; name a file.")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "meta.json"
    try:
        before = read_json(path) if path.exists() else about
    except InputError as error:
        raise InputError(f"{error} Remove {folder} and start again.") from error
    if changed := [key for key in about if before.get(key) != about[key]]:
        rows = "; ".join(f"{key}: {before.get(key)!r} there, {about[key]!r} here" for key in changed)
        raise InputError(
            f"{folder} holds a part of other features. {rows}. Remove that folder, name another --output, or "
            "repeat the command that it was started with."
        )
    _write(path, lambda file: file.write(json.dumps(about, indent=1).encode()))


def _check_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder} has {free / 2**20:.0f} MiB free; these features take {needed / 2**20:.0f} MiB while they are "
            "joined. Free some space, name another --output, or average maps by --pool mean."
        )


def _counting(report, start, batch, total):
    """f(batches of this call that are done), which reports images."""
    report = report or (lambda done, total: None)
    report(min(start, total), total)
    return lambda batches: report(min(start + batches * batch, total), total)


def _write_parts(parts, batches, per_part, count):
    """Writes every per_part batches into the next file; the last may hold fewer."""
    rows = []
    waiting = iter(parts)
    for number, batch in enumerate(batches, start=1):
        rows.append(batch)
        count(number)
        if len(rows) == per_part:
            _write_part(next(waiting), rows)
            rows = []
    if rows:
        _write_part(next(waiting), rows)


def _write_part(path, rows):
    columns: dict[str, Any] = {name: np.concatenate([row[name] for row in rows]) for name in COLUMNS}
    _write(path, lambda file: np.savez(file, **columns))


def _write(path, write):
    """Writes a file at once or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _join(file, parts, texts):
    """An .npz of the rows of all parts, one part in memory at a time; the date of a plain ZipInfo is fixed, 1980."""
    rows = sum(len(_column(part, "label")) for part in parts)
    with zipfile.ZipFile(file, "w") as archive:
        for name in COLUMNS:
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                for number, column in enumerate(_column(part, name) for part in parts):
                    if number == 0:
                        shape, dtype = (rows, *column.shape[1:]), np.lib.format.dtype_to_descr(column.dtype)
                        header = {"descr": dtype, "fortran_order": False, "shape": shape}
                        np.lib.format.write_array_header_1_0(member, header)
                    member.write(column.tobytes())
        for name, text in texts.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as member:
                np.lib.format.write_array(member, np.array(text), allow_pickle=False)


def _column(part, name):
    try:
        with open(part, "rb") as opened, np.load(opened, allow_pickle=False) as found:
            return found[name]
    except NO_ARRAYS as error:
        raise InputError(f"{part} is damaged ({error}); remove it, and the same command resumes from there.") from error
