"""Images with captions in the layout of COCO: `captions:PATH`."""

import itertools
import os
from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from jaxcnn.data.image_files import read_file
from jaxcnn.data.text.tables import folder_of_images, random_place
from jaxcnn.data.text.vocabulary import Vocabulary, words_of
from jaxcnn.errors import InputError
from jaxcnn.files import check_keys, check_unique, damage_named, read_json

CAPTIONS = "captions"  # the field
FILE = "captions.json"
LEAST = 5  # times that a word of the vocabulary occurs in train, as Vinyals et al. 2015 (arXiv:1411.4555, 4.3) have it
LAYOUT = (
    'expected {"images": [{"id", "file_name", and where there are splits "split"}], "annotations": [{"image_id", '
    '"caption"}]}'
)


class Captions:
    """A Source over COCO's JSON of captions: `captions:PATH/captions.json`, or `captions:PATH` of its folder.

    An example holds `captions`, int32 (most, length): its captions, token by token, each ended by <end>; 0 is nothing,
    and token k is classes[k - 1]. The vocabulary is <begin>, <end>, <unknown> and the words that occur five times or
    more in `train`, in lower case and without signs. A split is what `split` of an image says, `dev` and `val` are
    called `validation`; without it all are `train`. Images lie in `images` beside the file or beside it themselves.
    Records are in an order that depends on the names of the files alone, so that a slice is a random part.

    Args:
      path: of the file or its folder.
    Raises:
      InputError: the file is missing, damaged or lacks a key, a caption belongs to no image, or an image has none.
    """

    shape = (None, None, 3)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = f"captions:{path}"
        file = os.path.abspath(os.path.expanduser(path))
        file = os.path.join(file, FILE) if os.path.isdir(file) else file
        self._files, sentences = _read(file)
        self.split_names = tuple(self._files)
        train = sentences.get("train") or next(iter(sentences.values()))
        vocabulary = Vocabulary((words for own in train for words in own), least=LEAST)
        self.classes = vocabulary.classes
        self._unknown = {split: vocabulary.unknown(itertools.chain(*own)) for split, own in sentences.items()}
        coded = {split: [[vocabulary.tokens(words) for words in of] for of in own] for split, own in sentences.items()}
        most = max(len(of) for own in coded.values() for of in own)
        length = max(len(tokens) for own in coded.values() for of in own for tokens in of)
        self._captions = {split: _padded(own, most, length) for split, own in coded.items()}
        self.fields = {CAPTIONS: ((most, length), np.dtype(np.int32))}
        self._folder = folder_of_images(file, next(iter(self._files.values()))[0])

    def shard_lengths(self, split: str) -> tuple[int, ...]:
        return (len(self._files[split]),)

    def fetch(self, split: str, ids: Sequence[int]) -> list[Any]:
        return [(read_file(self.describe_record(split, i)), {CAPTIONS: self._captions[split][i]}) for i in ids]

    def describe_record(self, split: str, record: int) -> str:
        return os.path.join(self._folder, self._files[split][record])

    def class_digests(self) -> dict[str, str]:
        """Returns {split: digest of its files' names and captions}."""
        names = {split: "\0".join(files).encode() for split, files in self._files.items()}
        return {
            split: blake2b(own + self._captions[split].tobytes(), digest_size=8).hexdigest()
            for split, own in names.items()
        }

    def notes(self, splits: Sequence[str]) -> list[str]:
        """Returns sentences on words that are not in the vocabulary."""
        return [
            f"{split}: {unknown:,} of {words:,} words of captions are none of the {len(self.classes) - 3:,} words of "
            f"the vocabulary, which train has {LEAST} times or more"
            for split in splits
            for unknown, words in [self._unknown[split]]
            if unknown
        ]


def _padded(captions, most, length):
    """int32 (n, most, length) of lists of lists of tokens."""
    found = np.zeros((len(captions), most, length), np.int32)
    for rows, of in zip(found, captions, strict=True):
        for row, tokens in zip(rows, of, strict=False):
            row[: len(tokens)] = tokens
    return found


def _read(file):
    """({split: [file names]}, {split: [[words of a caption, ...] of each image]})."""
    content = read_json(file)
    with damage_named(file, f"{LAYOUT}."):
        return _captioned(content, file)


def _captioned(content, file):
    check_keys(content, ("images", "annotations"), file, LAYOUT)
    images, captions = {}, defaultdict(list)
    for number, one in enumerate(content["images"]):
        check_keys(one, ("id", "file_name"), f"{file}: image number {number}", LAYOUT)
        images[one["id"]] = one
    check_unique([one["id"] for one in content["images"]], file, "the image id")
    for number, one in enumerate(content["annotations"]):
        check_keys(one, ("image_id", "caption"), f"{file}: annotation number {number}", LAYOUT)
        if one["image_id"] not in images:
            raise InputError(f"{file}: annotation number {number} is of image {one['image_id']}, which is not listed.")
        captions[one["image_id"]].append(words_of(str(one["caption"])))
    if not images:
        raise InputError(f"{file} lists no images: {LAYOUT}.")
    if alone := [one["file_name"] for key, one in images.items() if key not in captions]:
        raise InputError(f"{file}: {len(alone)} images have no caption, {alone[0]} among them: remove them.")
    files, sentences = defaultdict(list), defaultdict(list)
    for one in sorted(images.values(), key=lambda one: random_place(one["file_name"])):
        split = str(one.get("split", "train"))
        split = "validation" if split in ("dev", "val") else split
        files[split].append(one["file_name"])
        sentences[split].append(captions[one["id"]])
    return dict(files), dict(sentences)
