"""Scenes of two digits with sentences on where they are: images with captions that need no download."""

import math
from collections.abc import Mapping

import numpy as np

from jaxcnn.data.arrays import Arrays
from jaxcnn.data.canvas import Canvas, pixels, stroke
from jaxcnn.data.digits import digits
from jaxcnn.data.text.captions import CAPTIONS
from jaxcnn.data.text.vocabulary import Vocabulary

SIZE = 48  # pixels of a side
SIDES = {"small": (9.0, 11.0), "": (16.0, 20.0)}  # of a digit, in pixels, and the word for it
TEXTURE = 0.4  # of the ground of the set `scenes`
CLEAR = 2.0  # times, at least, that the centres are further apart along the axis of the relation than across
COUNTS = {"train": 6000, "test": 500}
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RELATIONS = (("left", "of"), ("right", "of"), ("above",), ("below",))  # a relation ^ 1 is the inverse
SIDEWAYS, BEFORE = (0, 1), (0, 2)  # relations along x; those in which the first is nearer to the edge of zeros
LONGEST = 9  # tokens: "a small three left of a small seven" and the end


def sentences(seed: int = 0, *, counts: Mapping[str, int] | None = None) -> Arrays:
    """Returns the Source of the scenes: uint8 (48, 48, 3), two digits apart, and two captions each, from either side.

    Captions are as "a three left of a small seven" and "a small seven right of a three". Each digit is small (9 to 11
    pixels) or not (16 to 20). The axis along which their centres are further apart, twice as far or more, is that of
    the relation. The digits of `train` and `test` are those of the set `digits`. Scene i of a split depends on (seed,
    split, i) alone.

    Args:
      seed: of the drawing.
      counts: {split: number of scenes}; None for 6,000 of train and 500 of test.
    """
    source, vocabulary, splits = digits(), _vocabulary(), {}
    for number, (split, count) in enumerate((counts or COUNTS).items()):
        glyphs, labels = source.images(split), source.labels(split)
        keys = ([seed, number << 32 | scene] for scene in range(count))
        drawn = [_draw(Canvas(np.random.Philox(key=key), SIZE), glyphs, labels) for key in keys]
        captions = np.zeros((count, 2, LONGEST), np.int32)
        for rows, (_, said) in zip(captions, drawn, strict=True):
            for row, words in zip(rows, said, strict=True):
                tokens = vocabulary.tokens(words)
                row[: len(tokens)] = tokens
        splits[split] = np.stack([image for image, _ in drawn]), {CAPTIONS: captions}
    fields = {CAPTIONS: ((2, LONGEST), np.dtype(np.int32))}
    return Arrays("sentences", splits, vocabulary.classes, fields=fields)


def _vocabulary():
    """Of all words that occur, in an order that no draw changes."""
    said = [*((_article(word), word) for word in WORDS), *RELATIONS, ("small",)]
    return Vocabulary(said)


def _draw(canvas, glyphs, labels):
    """(uint8 (48, 48, 3), two lists of words)."""
    image, found = canvas.ground(texture=TEXTURE), []
    for _ in range(2):
        which, size = int(canvas.uniform() * len(labels)), tuple(SIDES)[int(canvas.uniform() * 2)]
        low, high = SIDES[size]
        ink, _ = stroke(glyphs[which], round(canvas.uniform(low=low, high=high)))
        word = WORDS[labels[which]]
        found.append((ink, (_article(word), word) if not size else ("a", size, word)))
    (first, name), (second, other) = found
    relation = int(canvas.uniform() * len(RELATIONS))
    places = _apart(canvas, relation, len(first), len(second))
    for (y, x), ink in zip(places, (first, second), strict=True):
        canvas.paint(image[y : y + len(ink), x : x + len(ink)], ink)
    return pixels(image), ([*name, *RELATIONS[relation], *other], [*other, *RELATIONS[relation ^ 1], *name])


def _apart(canvas, relation, first, second):
    """The (y, x) of two squares with these sides, of which the first has this relation to the second."""
    sides = (first, second) if relation in BEFORE else (second, first)
    along, across, *shares = canvas.uniform(4)
    near = int(along * (SIZE - sum(sides) + 1))
    far = near + sides[0] + int(shares[0] * (SIZE - sum(sides) - near + 1))
    reach = (far + sides[1] / 2 - near - sides[0] / 2) / CLEAR  # of the centres across the axis
    here = int(across * (SIZE - sides[0] + 1))
    middle = here + (sides[0] - sides[1]) / 2  # where the other's centre is as far across
    low, high = max(0, math.ceil(middle - reach)), min(SIZE - sides[1], math.floor(middle + reach))
    there = low + int(shares[1] * (high - low + 1))
    places = [(here, near), (there, far)] if relation in SIDEWAYS else [(near, here), (far, there)]
    return places if relation in BEFORE else places[::-1]


def _article(word):
    return "an" if word == "eight" else "a"
