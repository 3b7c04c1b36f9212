"""Shards and metadata of a data set of (image, label) records in the layout of tensorflow-datasets."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
import shutil
from collections.abc import Iterable, Sequence
from typing import Any

VERSION = "1.0.0"
FORMAT = "array_record"
FEATURES = "features.json"  # TFDS finds a data set by it


@dataclasses.dataclass(frozen=True)
class Shard:
    """Records start to stop of a split, of so many bytes, and the file that holds them."""

    split: str
    start: int
    stop: int
    bytes: int
    path: pathlib.Path

    def __len__(self) -> int:
        return self.stop - self.start


def split_shards(directory: pathlib.Path, name: str, split: str, sizes: Any, *, shard_bytes: int) -> list[Shard]:
    """Returns the Shards of a split: as few as hold about `shard_bytes` each, of the same number of records (± 1).

    Args:
      directory: of the data set.
      name: of the data set.
      split: the name of the split.
      sizes: the bytes of each record, (n,).
      shard_bytes: of a shard, about.
    """
    from tensorflow_datasets.core.utils import shard_utils

    number = min(len(sizes), max(1, math.ceil(sum(sizes) / shard_bytes)))
    stops = shard_utils.get_shard_boundaries(len(sizes), number)
    paths = _template(directory, name, split).sharded_filepaths(number)
    starts = [0, *stops[:-1]]
    return [
        Shard(split, start, stop, sum(sizes[start:stop]), pathlib.Path(path))
        for start, stop, path in zip(starts, stops, paths, strict=True)
    ]


def make_features(classes: Sequence[str]) -> Any:
    """Returns the FeaturesDict of an encoded image and its class."""
    import tensorflow_datasets as tfds

    return tfds.features.FeaturesDict(
        {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=list(classes))}
    )


def serialize(features: Any, image: bytes, label: int) -> bytes:
    """Returns the bytes of one record, always the same ones.

    Args:
      features: of `make_features`.
      image: bytes of a PNG or JPEG.
      label: the number of the class.
    """
    from tensorflow_datasets.core import example_serializer

    serializer = example_serializer.ExampleSerializer(features.get_serialized_info())
    example = serializer.get_tf_example(features.encode_example({"image": image, "label": label}))
    return example.SerializeToString(deterministic=True)  # else the order of the keys is another in each process


def write_shard(path: str | os.PathLike[str], records: Iterable[bytes]) -> None:
    """Writes serialized records into one file.

    Raises:
      OSError: the file cannot be written.
    """
    try:
        _adapter().write_examples(path, ((None, record) for record in records))
    except RuntimeError as error:  # array_record's, with the system's message
        raise OSError(str(error)) from error


def count_records(path: pathlib.Path) -> int | None:
    """Returns the number of records of a shard, None where there is none or it is damaged."""
    try:
        return _adapter().num_examples(path) if path.exists() else None
    except RuntimeError:
        return None


def write_metadata(
    directory: pathlib.Path, name: str, shards: Sequence[Shard], classes: Sequence[str], *, description: str
) -> None:
    """Makes a data set of complete shards: a moment before it is none, after it TFDS loads it.

    Args:
      directory: of the data set.
      name: of the data set.
      shards: all its Shards, those of a split together.
      classes: the names of the classes, in label order.
      description: of the data set.
    """
    from tensorflow_datasets.core import dataset_info, splits, utils

    infos = []
    for split in dict.fromkeys(shard.split for shard in shards):
        paths = [shard.path for shard in shards if shard.split == split]
        infos.append(
            splits.SplitInfo(
                name=split,
                shard_lengths=[count_records(path) for path in paths],
                num_bytes=sum(path.stat().st_size for path in paths),
                filename_template=_template(directory, name, split),
            )
        )
    identity = dataset_info.DatasetIdentity(
        name=name, version=utils.Version(VERSION), data_dir=os.fspath(directory), module_name=""
    )
    info = dataset_info.DatasetInfo(
        builder=identity, description=description, features=make_features(classes), supervised_keys=("image", "label")
    )
    info.set_file_format(FORMAT)
    info.set_splits(splits.SplitDict(infos))
    temporary = directory / "metadata.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    info.write_to_directory(temporary)
    for file in sorted(temporary.iterdir(), key=lambda file: file.name == FEATURES):
        file.replace(directory / file.name)
    temporary.rmdir()


def is_complete(directory: pathlib.Path) -> bool:
    """Whether TFDS would find a data set in the directory."""
    return (directory / FEATURES).exists()


def _template(directory, name, split):
    from tensorflow_datasets.core import naming

    return naming.ShardedFileTemplate(data_dir=directory, dataset_name=name, split=split, filetype_suffix=FORMAT)


def _adapter():
    from tensorflow_datasets.core import file_adapters

    return file_adapters.ADAPTER_FOR_FORMAT[file_adapters.FileFormat(FORMAT)]
