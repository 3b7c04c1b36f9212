"""Data sets of tensorflow-datasets, prepared as array_record: random access without TensorFlow."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxcnn.data.detection.table import Box, Listed, Table, box_fields, within
from jaxcnn.data.fit import DataError
from jaxcnn.data.formats import open_image
from jaxcnn.errors import InputError

CHUNK = 256  # records that are read at once for their labels
MOST = 128  # boxes of an image; COCO has 93
UNLABELLED_SPLITS = {"imagenet2012": ("test",)}  # the labels of ILSVRC's test images were never published


def open_tfds(name: str, data_dir: str | os.PathLike[str] | None = None) -> Prepared:
    """The Source of a prepared data set: a TFDS of (image, label) pairs, or a BoxedTFDS of images with boxes.

    Args:
      name: `cifar10`, `cifar10:3.0.2`, `name/config` or `name/config:version`.
      data_dir: the directory it was prepared in; None for tensorflow-datasets' own (`TFDS_DATA_DIR` or
        `~/tensorflow_datasets`).
    Raises:
      ValueError: it is not there (the message says how to prepare it), is not in array_record form, or is made of
        neither.
    """
    builder = _find_builder(name, data_dir)
    return (BoxedTFDS if has_boxes(builder.info.features) else TFDS)(name, builder)


class Prepared:
    """The part that sources over prepared data sets share: their splits and records.

    A subclass has `_take(example)`, the (image, values) of a record, and `_missing()`, the values of one that cannot be
    read.

    Args:
      name: the data set, as above.
      builder: TFDS's.
      image: the key of the image in a record.
    """

    _take: Any
    _missing: Any

    def __init__(self, name: str, builder: Any, image: str) -> None:
        import tensorflow_datasets as tfds

        self.name, info = f"tfds:{name}", builder.info
        self._directory = os.fspath(builder.data_dir)
        self._image_key = image
        self.shape = tuple(info.features[image].shape)
        # Encoded bytes go to our decoder, which resizes while it decodes and asks for no OpenCV.
        self._skip_decoding = isinstance(info.features[image], tfds.features.Image)
        hidden = UNLABELLED_SPLITS.get(info.name, ())
        self._shards = {key: tuple(split.shard_lengths) for key, split in info.splits.items() if key not in hidden}
        self.split_names = tuple(self._shards)
        self._readers = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_readers": {}}

    def shard_lengths(self, split: str) -> tuple[int, ...]:
        return self._shards[split]

    def fetch(self, split: str, ids: Sequence[int]) -> list[Any]:
        reader = self._reader(split)
        if len(ids) == 1:  # array_record's request for many costs six times that for one
            return [self._fetch_one(reader, ids[0])]
        try:
            return [self._take(example) for example in reader.__getitems__(ids)]
        except Exception:  # one bad record fails the whole request: read one by one to name it
            return [self._fetch_one(reader, record) for record in ids]

    def describe_record(self, split: str, record: int) -> str:
        return f"{self.name} {split} record {record}"

    def _fetch_one(self, reader, record):
        try:
            return self._take(reader[record])
        except Exception as error:  # array_record and protobuf have no exception class in common
            return DataError(f"the array_record cannot be read ({type(error).__name__}: {error})"), self._missing()

    def _reader(self, split):
        # Opened late, so that the source can be pickled, and kept, so that its files stay open.
        if split not in self._readers:
            import tensorflow_datasets as tfds

            decoders = {self._image_key: tfds.decode.SkipDecoding()} if self._skip_decoding else None
            with _features_of_tfds():
                builder = tfds.builder_from_directory(self._directory)
            self._readers[split] = builder.as_data_source(split=split, decoders=decoders)
        return self._readers[split]


class TFDS(Prepared):
    """A Source of (image, label) pairs.

    Raises:
      ValueError: the data set is not made of such pairs.
    """

    def __init__(self, name: str, builder: Any) -> None:
        image, self._label_key = _supervised_keys(f"tfds:{name}", builder.info)
        super().__init__(name, builder, image)
        self.classes = tuple(builder.info.features[self._label_key].names)
        self._labels = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_labels": {}}

    def labels(self, split: str) -> np.ndarray:
        if split not in self._labels:
            count, found = sum(self._shards[split]), []
            for start in range(0, count, CHUNK):
                chunk = list(range(start, min(start + CHUNK, count)))
                for record, (stored, label) in zip(chunk, self.fetch(split, chunk), strict=True):
                    if isinstance(stored, DataError):
                        raise InputError(
                            f"{self.describe_record(split, record)}: {stored}. Its class is not known, which a sampler "
                            "by class, config.data.keep and balanced class weights need: prepare the data set anew."
                        )
                    found.append(label)
            self._labels[split] = np.array(found, np.int32)
        return self._labels[split]

    def _take(self, example):
        return example[self._image_key], int(example[self._label_key])

    def _missing(self):
        return 0


class BoxedTFDS(Prepared):
    """A Source of images with boxes: a feature `objects` with `bbox` and `label`, as voc/2007 and coco/2017 have it.

    `is_difficult` and `is_crowd` are kept and ignored. An image whose boxes are damaged is a record that cannot be
    read, and one with more than MOST too: the set would have to be read to count them.
    """

    def __init__(self, name: str, builder: Any) -> None:
        super().__init__(name, builder, "image")
        self.classes = tuple(builder.info.features["objects"].feature["label"].names)
        # TFDS divides VOC's corners, which name pixels from 1, by the sides as they are
        self._first = 1 if builder.info.name == "voc" else 0
        self.fields = box_fields(MOST)

    def _take(self, example):
        stored = example[self._image_key]
        try:
            with open_image(stored) as image:
                size = image.size[::-1]
            listed = Listed("", self._boxes(example["objects"], size), size=size)
        except ValueError as error:
            return DataError(str(error)), self._missing()
        return stored, Table([listed]).values(0, MOST)

    def _boxes(self, objects, size):
        if len(objects["bbox"]) > MOST:
            raise ValueError(f"it has {len(objects['bbox'])} boxes; {MOST} are read at most")
        scale, first = np.tile(size, 2), np.array([self._first, self._first, 0, 0])
        boxes = []
        for number, (shares, label) in enumerate(zip(objects["bbox"], objects["label"], strict=True)):
            y1, x1, y2, x2 = np.round(np.float64(shares) * scale - first, 2).tolist()
            edges = within((x1, y1, x2, y2), size)
            ignored = any(bool(objects[key][number]) for key in ("is_difficult", "is_crowd") if key in objects)
            area = float(objects["area"][number]) if "area" in objects else 0
            boxes.append(Box(edges, int(label), ignored, area or (edges[2] - edges[0]) * (edges[3] - edges[1])))
        return boxes

    def _missing(self):
        return Table([Listed("", [])]).values(0, MOST)


def has_boxes(features: Any) -> bool:
    """Whether the records of these features have objects with boxes."""
    import tensorflow_datasets as tfds

    objects = features["objects"] if "image" in features and "objects" in features else None
    found = objects.feature if isinstance(objects, tfds.features.Sequence) else {}
    return isinstance(found, tfds.features.FeaturesDict) and {"bbox", "label"} <= set(found)


_opening = threading.Lock()


@contextlib.contextmanager
def _features_of_tfds():
    """Inside, tfds takes no class of features but its own: it imports the module of each that a set's files name.

    Raises:
      InputError: features.json or dataset_info.json names another class.
    """
    from tensorflow_datasets.core.features.feature import FeatureConnector

    found = FeatureConnector.cls_from_name

    def own(cls, name):
        if not str(name).startswith("tensorflow_datasets."):
            raise InputError(
                f"features.json or dataset_info.json names '{name}', which is no class of tensorflow-datasets. Nothing "
                "that a file names is imported: prepare the set with features of tensorflow-datasets alone."
            )
        return found(name)

    with _opening:
        theirs = vars(FeatureConnector)["cls_from_name"]
        FeatureConnector.cls_from_name = classmethod(own)
        try:
            yield
        finally:
            FeatureConnector.cls_from_name = theirs


def _find_builder(name, data_dir):
    from tensorflow_datasets.core import constants, read_only_builder, registered

    searched = os.path.expanduser(data_dir or constants.DATA_DIR)
    prepare = f"python -m jaxcnn prepare tfds:{name} --data_dir {searched}"
    try:
        # From the files alone: `tfds.builder` would import the code that generates the set, and TensorFlow with it.
        with _features_of_tfds():
            builder = read_only_builder.builder_from_files(name, data_dir=searched)
    except InputError as error:
        raise InputError(f"tfds:{name} in {searched}: {error}") from error
    except (registered.DatasetNotFoundError, ValueError) as error:
        found = sorted(entry.name for entry in os.scandir(searched)) if os.path.isdir(searched) else []
        nearest = difflib.get_close_matches(name, found, 1)
        hint = f" Did you mean tfds:{nearest[0]}?" if nearest and nearest[0] != name else _unfinished(searched, name)
        raise ValueError(
            f"tfds:{name} is not prepared in {searched} (which holds {', '.join(found) or 'nothing'}).{hint} "
            f"Set data_dir to where it is, or, with the extra `prepare` installed: {prepare}"
        ) from error
    if builder.info.file_format is None or builder.info.file_format.value != "array_record":
        form = builder.info.file_format and builder.info.file_format.value
        raise ValueError(
            f"{builder.data_dir} is in {form} form, not array_record. Remove it and prepare it again: {prepare}"
        )
    return builder


def _unfinished(data_dir, name):
    """Names what a preparation that was broken off has left in the place of a version, which TFDS looks into first."""
    folder = os.path.join(data_dir, name.partition(":")[0])
    there = os.listdir(folder) if os.path.isdir(folder) else []
    versions = sorted(version for version in there if re.fullmatch(r"\d+\.\d+\.\d+", version))
    whole = [v for v in versions if os.path.exists(os.path.join(folder, v, "features.json"))]
    broken = [os.path.join(folder, version) for version in versions if version not in whole]
    if not broken:
        return ""
    other = f", or name tfds:{name.partition(':')[0]}:{whole[-1]}" if whole else ""
    return f" {', '.join(broken)} is left of a preparation that was broken off: remove it{other}."


def _supervised_keys(name, info):
    import tensorflow_datasets as tfds

    keys = info.supervised_keys
    if not keys or len(keys) != 2 or not all(isinstance(key, str) for key in keys):
        raise ValueError(f"{name} is not made of (image, label) pairs: its supervised keys are {keys}")
    image, label = (info.features[key] for key in keys)
    if len(image.shape or ()) != 3 or not isinstance(label, tfds.features.ClassLabel):
        raise ValueError(f"{name} is not an image classification set: its supervised pair is {image}, {label}")
    return keys
