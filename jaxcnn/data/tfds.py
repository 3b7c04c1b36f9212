"""Data sets of tensorflow-datasets, prepared as array_record: random access without TensorFlow."""

import contextlib
import difflib
import os
import re
import threading

import numpy as np

from jaxcnn.data.fit import DataError
from jaxcnn.errors import InputError

CHUNK = 256  # records that are read at once for their labels
UNLABELLED_SPLITS = {"imagenet2012": ("test",)}  # the labels of ILSVRC's test images were never published


class TFDS:
    """A Source over a prepared data set.

    Args:
      name: `cifar10`, `cifar10:3.0.2`, `name/config` or `name/config:version`.
      data_dir: the directory it was prepared in; None for tensorflow-datasets' own (`TFDS_DATA_DIR` or
        `~/tensorflow_datasets`).
    Raises:
      ValueError: it is not there (the message says how to prepare it), is not in array_record form, or is not made of
        (image, label) pairs.
    """

    def __init__(self, name, data_dir=None):
        import tensorflow_datasets as tfds

        self.name = f"tfds:{name}"
        builder = _find_builder(name, data_dir)
        info = builder.info
        self._directory = os.fspath(builder.data_dir)
        self._image_key, self._label_key = _supervised_keys(self.name, info)
        image, label = info.features[self._image_key], info.features[self._label_key]
        self.classes = tuple(label.names)
        self.shape = tuple(image.shape)
        # Encoded bytes go to our decoder, which resizes while it decodes and asks for no OpenCV.
        self._skip_decoding = isinstance(image, tfds.features.Image)
        hidden = UNLABELLED_SPLITS.get(info.name, ())
        self._shards = {key: tuple(split.shard_lengths) for key, split in info.splits.items() if key not in hidden}
        self.split_names = tuple(self._shards)
        self._readers, self._labels = {}, {}

    def __getstate__(self):
        return {**self.__dict__, "_readers": {}, "_labels": {}}

    def shard_lengths(self, split):
        return self._shards[split]

    def fetch(self, split, ids):
        reader = self._reader(split)
        if len(ids) == 1:  # array_record's request for many costs six times that for one
            return [self._fetch_one(reader, ids[0])]
        try:
            return [self._pair(example) for example in reader.__getitems__(ids)]
        except Exception:  # one bad record fails the whole request: read one by one to name it
            return [self._fetch_one(reader, record) for record in ids]

    def labels(self, split):
        if split not in self._labels:
            count = sum(self._shards[split])
            chunks = (list(range(start, min(start + CHUNK, count))) for start in range(0, count, CHUNK))
            found = [label for chunk in chunks for _, label in self.fetch(split, chunk)]
            self._labels[split] = np.array(found, np.int32)
        return self._labels[split]

    def describe_record(self, split, record):
        return f"{self.name} {split} record {record}"

    def _fetch_one(self, reader, record):
        try:
            return self._pair(reader[record])
        except Exception as error:  # array_record and protobuf have no exception class in common
            return DataError(f"the array_record cannot be read ({type(error).__name__}: {error})"), 0

    def _pair(self, example):
        return example[self._image_key], int(example[self._label_key])

    def _reader(self, split):
        # Opened late, so that the source can be pickled, and kept, so that its files stay open.
        if split not in self._readers:
            import tensorflow_datasets as tfds

            decoders = {self._image_key: tfds.decode.SkipDecoding()} if self._skip_decoding else None
            with _features_of_tfds():
                builder = tfds.builder_from_directory(self._directory)
            self._readers[split] = builder.as_data_source(split=split, decoders=decoders)
        return self._readers[split]


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
