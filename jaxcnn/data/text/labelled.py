"""Images with a text each: `text:PATH`, a table of files and texts."""

import os
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from jaxcnn.data.image_files import read_file
from jaxcnn.data.text.tables import folder_of_images, random_place
from jaxcnn.data.text.tokens import TEXT, rows_of, text_field
from jaxcnn.data.text.vocabulary import UNKNOWN
from jaxcnn.errors import InputError

TABLE = "labels.tsv"
LAYOUT = "a line is FILE, a tab and TEXT, and where there are splits another tab and SPLIT"


class Labelled:
    """A Source over a table of files and texts: `text:PATH/labels.tsv`, or `text:PATH` for the table of that name.

    A line of the table (UTF-8, without a header) is FILE, TEXT and SPLIT with tabs between; without SPLIT it is of
    `train`. Files lie beside the table or in `images` there. The tokens are the letters of the texts of `train`, in the
    order of Unicode; where other splits have more letters, these are one token more, `<unknown>`, and counted in the
    notes. Records are in an order that depends on the names of the files alone, so that a slice is a random part.

    Args:
      path: of the table or its folder.
    Raises:
      InputError: the table is missing or no such table, a line is damaged, or a file is named twice.
    """

    shape = (None, None, 3)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = f"text:{path}"
        self._table = os.path.abspath(os.path.expanduser(path))
        if os.path.isdir(self._table):
            self._table = os.path.join(self._table, TABLE)
        self._rows = _read(self._table)
        self.split_names = tuple(self._rows)
        texts = {split: [text for _, text in rows] for split, rows in self._rows.items()}
        letters = sorted(set("".join(texts.get("train") or next(iter(texts.values())))))
        self._strange = {split: _strange(own, letters) for split, own in texts.items()}
        self.classes = (*letters, *[UNKNOWN] * any(count for count, _ in self._strange.values()))
        most = max(len(text) for own in texts.values() for text in own)
        tokens = {letter: number for number, letter in enumerate(letters, 1)}
        strange = len(letters) + 1
        self._tokens = {
            split: rows_of([[tokens.get(letter, strange) for letter in text] for text in own], most)
            for split, own in texts.items()
        }
        self.fields = text_field(most)
        self._folder = folder_of_images(self._table, next(iter(self._rows.values()))[0][0])

    def shard_lengths(self, split: str) -> tuple[int, ...]:
        return (len(self._rows[split]),)

    def fetch(self, split: str, ids: Sequence[int]) -> list[Any]:
        return [(read_file(self.describe_record(split, i)), {TEXT: self._tokens[split][i]}) for i in ids]

    def describe_record(self, split: str, record: int) -> str:
        return os.path.join(self._folder, self._rows[split][record][0])

    def class_digests(self) -> dict[str, str]:
        """Returns {split: digest of its files' names and texts}."""
        rows = {split: "\0".join(map("\t".join, own)).encode() for split, own in self._rows.items()}
        return {split: blake2b(content, digest_size=8).hexdigest() for split, content in rows.items()}

    def notes(self, splits: Sequence[str]) -> list[str]:
        """Returns sentences on letters that the training part lacks."""
        return [
            f"{split}: {count:,} letters that train lacks ({letters}) are one token, {UNKNOWN}"
            for split in splits
            for count, letters in [self._strange[split]]
            if count
        ]


def _strange(texts, letters):
    """(how many letters of the texts are none of these, which they are)."""
    found = [letter for text in texts for letter in text if letter not in letters]
    return len(found), " ".join(sorted(set(found)))


def _read(path):
    """{split: [(file, text)]} of a table."""
    try:
        with open(path, encoding="utf-8-sig") as file:  # a spreadsheet's export begins with a mark
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a table of texts ({error}): {LAYOUT}.") from error
    found, seen = {}, set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        parts = line.split("\t")
        if len(parts) not in (2, 3):
            raise InputError(f"{path}, line {number}: {line!r} has {len(parts)} parts; {LAYOUT}.")
        name, text, split = (*parts, "train")[:3]
        if not (name and text and split):
            raise InputError(f"{path}, line {number}: {line!r} lacks a file, a text or a split; {LAYOUT}.")
        if name in seen:
            raise InputError(f"{path}, line {number}: {name} is named before; a file has one text.")
        seen.add(name)
        found.setdefault(split, []).append((name, text))
    if not found:
        raise InputError(f"{path} names no images: {LAYOUT}.")
    return {split: sorted(rows, key=lambda row: random_place(row[0])) for split, rows in found.items()}
