"""People for the experiments with faces: those of a folder, or the embedded digits; parts of them as data sets.

A config names them `_people:images` or `_people:strangers`, and the set that they are cut from by config.data.data_dir.
"""

import functools
import pathlib
import sys

import numpy as np

from jaxcnn.data import Arrays, Records, load
from jaxcnn.errors import input_errors

sys.path.append(str(pathlib.Path(__file__).parent))  # where runs find the functions, wherever they are started

SHAPES = {True: (75, 62), False: (48, 48)}  # of faces in a folder, two thirds of ORL's, and of digits
MOST = 20  # images of a person that are taken, of more
EACH = 5  # images of a person to learn from
HELD = 2  # images of a person who is known that are held out


@functools.cache
def people(name):
    """(images uint8 (n, h, w, 1), label int (n,), names) of a folder of people, or of another set, by its classes."""
    with input_errors("--data"):
        records = load(name, "train", image_size=SHAPES[name.startswith("folder:")], channels=1)
    label = np.asarray(records.labels())
    rows = np.concatenate([np.flatnonzero(label == person)[:MOST] for person in np.unique(label)])
    return records.read(rows)["image"], label[rows], records.classes


def drawn(label, *, seed):
    """(n,) bool: the EACH images of each person to learn from."""
    random = np.random.default_rng(seed)
    learned = np.zeros(len(label), bool)
    for person in np.unique(label):
        learned[random.permutation(np.flatnonzero(label == person))[:EACH]] = True
    return learned


def known(label, *, seed):
    """(n,) bool: the images of half of the people, who are learned from; the others are strangers."""
    own = np.random.default_rng(seed).permutation(np.unique(label))
    return np.isin(label, own[: len(own) // 2])


def shifted(images, *, seed):
    """Images (n, h, w, 1), each moved by up to an eighth of its width, down and to the right by numbers of its own.

    The pixels at an edge are repeated where nothing was.
    """
    most, (height, width) = images.shape[2] // 8, images.shape[1:3]
    padded = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)), mode="edge")
    places = np.random.default_rng((seed, most)).integers(0, 2 * most + 1, (len(images), 2))
    return np.stack([x[top : top + height, left : left + width] for x, (top, left) in zip(padded, places, strict=True)])


def images(split, *, data_dir, on_error, **options):
    """Records of "learned aligned 3", images of all people to learn from by seed 3, or "asked shifted 3", others."""
    part, place, seed = split.split()
    found, label, names = people(data_dir)
    learned = drawn(label, seed=int(seed))
    found = shifted(found, seed=int(seed)) if place == "shifted" else found
    return _records(part, found, label, names, learned if part == "learned" else ~learned, on_error)


def strangers(split, *, data_dir, on_error, **options):
    """Records of "known 3", half of the people by seed 3, "held 3", their last two images, or "strangers 3", others."""
    part, seed = split.split()
    found, label, names = people(data_dir)
    own = known(label, seed=int(seed))
    last = np.array([np.sum(label[row:] == label[row]) <= HELD for row in range(len(label))])
    kept = {"known": own & ~last, "held": own & last, "strangers": ~own}[part]
    return _records(part, found, label, names, kept, on_error)


def _records(part, found, label, names, kept, on_error):
    there, label = np.unique(label[kept], return_inverse=True)
    arrays = Arrays("people", {part: (found[kept], label)}, [names[person] for person in there])
    return Records(arrays, part, on_error=on_error)
