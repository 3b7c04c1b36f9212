"""Pairs of images in folds: read from a file as LFW's pairs.txt, or drawn by seed; no person is in two folds."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxcnn.errors import InputError, nearest

LAYOUT = (
    "A file of pairs begins with the number of folds and that of pairs of each kind in a fold, '10 300'; then come for "
    "each fold the pairs of one person, 'name 1 4', and those of two, 'name 1 other_name 3'"
)


class Pairs(NamedTuple):
    """Pairs of rows of a table of images.

    Attributes:
      first, second: (n,) int, the rows.
      same: (n,) bool, whether both show one person.
      fold: (n,) int from 0.
    """

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray
    fold: np.ndarray

    def of_fold(self, fold: int) -> np.ndarray:
        """(n,) bool: the pairs of a fold."""
        return self.fold == fold

    @property
    def rows(self) -> np.ndarray:
        """The rows that occur, ascending, each once."""
        return np.unique(np.concatenate([self.first, self.second]))

    def among(self, rows: np.ndarray) -> Pairs:
        """These Pairs as places in `rows`, which are ascending and hold all of theirs."""
        return self._replace(first=np.searchsorted(rows, self.first), second=np.searchsorted(rows, self.second))


class NamedPair(NamedTuple):
    """A pair of a file: two images, each a person and a number, the fold, and the line, counted from 1."""

    first: tuple
    second: tuple
    fold: int
    line: int


def read_pairs(path: str | os.PathLike[str]) -> list[NamedPair]:
    """The pairs of a file in the format of LFW's pairs.txt (Huang et al. 2007, "Labeled Faces in the Wild").

    Fields are separated by tabs, or by blanks where a line has no tab.

    Returns:
      [NamedPair] in the order of the lines.
    Raises:
      InputError: the file cannot be read or a line of it is not as it should be, or a person is in two folds.
    """
    path = pathlib.Path(path)
    try:
        lines = path.read_text(encoding="utf-8").rstrip().split("\n")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8. {LAYOUT}.") from error
    folds, each = _header(path, lines[0])
    if len(lines) - 1 != 2 * folds * each:
        raise InputError(
            f"{path}: {len(lines) - 1} lines follow the first, which says {folds} folds of {each} pairs of each kind: "
            f"{2 * folds * each} would be right. {LAYOUT}."
        )
    pairs = [
        _pair(path, number, line, fold=(number - 2) // (2 * each), same=(number - 2) // each % 2 == 0)
        for number, line in enumerate(lines[1:], start=2)
    ]
    _check_people(path, pairs)
    return pairs


def _fields(line):
    return [field.strip() for field in (line.split("\t") if "\t" in line else line.split())]


def _header(path, line):
    fields = _fields(line)
    if len(fields) != 2 or not all(re.fullmatch("[0-9]+", field) and int(field) for field in fields):
        raise InputError(f"{path}, line 1 is {line!r}. {LAYOUT}.")
    folds, each = map(int, fields)
    if folds < 2:
        raise InputError(f"{path}, line 1: there is {folds} fold; a threshold is chosen on other folds, of 2 at least.")
    return folds, each


def _pair(path, number, line, *, fold, same):
    fields = _fields(line)
    where = f"{path}, line {number}: {line!r}"
    if len(fields) != (3 if same else 4):
        wanted = "one person, a name and two numbers" if same else "two people, each a name and a number"
        raise InputError(f"{where} is in fold {fold + 1} where pairs of {wanted}, stand. {LAYOUT}.")
    people, numbers = (fields[:1] * 2, fields[1:]) if same else (fields[::2], fields[1::2])
    if not all(re.fullmatch("[0-9]+", text) for text in numbers):
        raise InputError(f"{where} has a number of an image that is none. {LAYOUT}.")
    first, second = zip(people, map(int, numbers), strict=True)
    if first == second:
        raise InputError(f"{where} pairs an image with itself.")
    if not same and first[0] == second[0]:
        raise InputError(f"{where} should be a pair of two people, but both are {first[0]}.")
    return NamedPair(first, second, fold, number)


def _check_people(path, pairs):
    seen = {}
    for pair in pairs:
        for person, _ in (pair.first, pair.second):
            fold, line = seen.setdefault(person, (pair.fold, pair.line))
            if fold != pair.fold:
                raise InputError(
                    f"{path}, line {pair.line}: {person} is in fold {pair.fold + 1}, and in fold {fold + 1} on line "
                    f"{line}. No person may be in two folds, or a threshold is tested on people it was chosen by."
                )


def locate_pairs(named: Sequence[NamedPair], people: np.ndarray, files: Sequence[str] | np.ndarray) -> Pairs:
    """The Pairs of rows that the pairs of a file name.

    The image of a number is the file of the person whose name, without its suffix, ends in it: Ann/Ann_0004.jpg and
    s1/4.pgm are both number 4.

    Args:
      named: [NamedPair].
      people: (rows,) the person of each row.
      files: (rows,) the path of each row.
    Raises:
      InputError: a person or a number is not there, or two files of a person have it.
    """
    table, known = {}, set(people)
    for row, (person, file) in enumerate(zip(people, files, strict=True)):
        digits = re.search("([0-9]+)$", pathlib.PurePath(file).stem)
        if digits:
            table.setdefault((person, int(digits[1])), []).append(row)
    for pair in named:
        for person, number in (pair.first, pair.second):
            if person not in known:
                raise InputError(
                    f"line {pair.line} of the pairs: there is no person {person!r}; {nearest(person, known)}."
                )
            if not (rows := table.get((person, number), [])):
                raise InputError(
                    f"line {pair.line} of the pairs: {person} has no image {number}, a file whose name ends in it."
                )
            if len(rows) > 1:
                both = " and ".join(os.path.basename(files[row]) for row in rows[:2])
                raise InputError(f"line {pair.line} of the pairs: image {number} of {person} may be {both}.")
    first, second = (np.array([table[pair[place]][0] for pair in named]) for place in (0, 1))
    same = np.array([pair.first[0] == pair.second[0] for pair in named])
    return Pairs(first, second, same, np.array([pair.fold for pair in named]))


def draw_pairs(label: np.ndarray, *, folds: int, each: int, seed: int) -> Pairs:
    """Pairs drawn by seed: the people are dealt out to folds, then each fold draws from its own.

    Within a fold every pair of a kind is as likely as any other, and none comes twice.

    Args:
      label: (n,) int, the person of each image.
      folds: at least 2.
      each: pairs of one person, and pairs of two people, in each fold.
      seed: of the draw.
    Returns:
      Pairs of the rows of `label`: for each fold those of one person, then those of two, as in a file.
    Raises:
      InputError: the people or their images are too few.
    """
    label = np.asarray(label)
    random = np.random.default_rng(seed)
    people = random.permutation(np.unique(label))
    if folds < 2 or each < 1:
        raise InputError(f"{folds} folds of {each} pairs: there are 2 folds at least, and 1 pair of each kind in one.")
    if len(people) < 2 * folds:
        raise InputError(f"{len(people)} people are too few for {folds} folds, each of two people or more.")
    found = []
    for fold, own in enumerate(np.array_split(people, folds)):
        rows = np.flatnonzero(np.isin(label, own))
        rows = rows[np.argsort(label[rows], kind="stable")]
        ends = np.searchsorted(label[rows], label[rows], side="right")
        place = np.arange(len(rows))
        for same, partners, start in ((True, ends - place - 1, place + 1), (False, len(rows) - ends, ends)):
            first, second = _draw(random, partners, start, each, fold, same)
            found.append((rows[first], rows[second], np.full(each, same), np.full(each, fold)))
    return Pairs(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _draw(random, partners, start, each, fold, same):
    """Places of `each` pairs: place i has the partners start[i], start[i] + 1, ..., partners[i] of them."""
    stops = np.cumsum(partners)
    if stops[-1] < each:
        raise InputError(
            f"fold {fold + 1} has {stops[-1]} pairs of {'one person' if same else 'two people'}, and {each} are to be "
            "drawn: draw fewer, or make fewer folds."
        )
    number = random.choice(stops[-1], each, replace=False)
    first = np.searchsorted(stops, number, side="right")
    return first, start[first] + number - (stops[first] - partners[first])
