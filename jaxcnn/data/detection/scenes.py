"""Scenes of handwritten digits on textured ground: images with boxes that need no download."""

import cv2
import numpy as np

from jaxcnn.data.arrays import Arrays
from jaxcnn.data.detection.table import box_fields
from jaxcnn.data.digits import digits
from jaxcnn.data.fields import GEOMETRY

SIZE = 64  # pixels of a side
MOST = 5  # digits of a scene
COUNTS = {"train": 2000, "test": 400}
SIDES = (12, 32)  # least and most pixels of a digit's side, uniform in the logarithm
OVERLAP = 0.3  # the largest share of the smaller box that another covers
TRIES = 20  # places that are tried for a digit
INK = 0.35  # a pixel with more of it belongs to the box


def scenes(seed=0, *, size=SIZE, counts=None):
    """Returns the Source of the scenes: uint8 (size, size, 3), up to five digits of 12 to 32 pixels each, with boxes.

    A digit has a colour that is clearly darker or brighter than the ground around, and may lie on another to three
    tenths of the smaller. The boxes fit the ink. The digits of `train` and `test` are those of the set `digits`. Scene
    i of a split depends on (seed, split, i) alone.

    Args:
      seed: of the drawing.
      size: of a scene; digits grow with it.
      counts: {split: number of scenes}; None for 2,000 of train and 400 of test.
    """
    source = digits()
    splits = {}
    for number, (split, count) in enumerate((counts or COUNTS).items()):
        glyphs, labels = source.images(split), source.labels(split)
        keys = ([seed, number << 32 | scene] for scene in range(count))
        drawn = [_Scene(np.random.Philox(key=key), size).draw(glyphs, labels) for key in keys]
        images, boxes = zip(*drawn, strict=True)
        splits[split] = np.stack(images), _fields(boxes)
    return Arrays("scenes", splits, source.classes, fields=box_fields(MOST))


def _fields(scenes):
    """{name: values (n, ...)} of a list of lists of (x1, y1, x2, y2, label)."""
    found = {name: np.zeros((len(scenes), *shape), dtype) for name, (shape, dtype) in box_fields(MOST).items()}
    for i, boxes in enumerate(scenes):
        for j, (*edges, label) in enumerate(boxes):
            found["boxes"][i, j], found["box_label"][i, j], found["box_mask"][i, j] = edges, label, True
            found["box_area"][i, j] = (edges[2] - edges[0]) * (edges[3] - edges[1])
    return {name: values for name, values in found.items() if name not in GEOMETRY}


class _Scene:
    """The drawing of one scene."""

    def __init__(self, bits, size):
        self.bits, self.size = bits, size

    def uniform(self, *shape, low=0.0, high=1.0):
        """From raw bits, which NumPy keeps stable between versions."""
        raw = np.atleast_1d(self.bits.random_raw(int(np.prod(shape)) if shape else 1))
        values = low + (high - low) * ((raw >> np.uint64(11)) * 2.0**-53)
        return values.reshape(shape) if shape else float(values[0])

    def draw(self, glyphs, labels):
        """(uint8 (size, size, 3), [(x1, y1, x2, y2, label)])."""
        image, boxes = self.ground(), []
        for _ in range(1 + int(self.uniform() * MOST)):
            which = int(self.uniform() * len(labels))
            side = SIDES[0] * (SIDES[1] / SIDES[0]) ** self.uniform() * self.size / SIZE
            ink, box = _stroke(glyphs[which], round(side))
            place = self.place(ink.shape, box, boxes)
            if place is not None:
                y, x = place
                self.paint(image[y : y + len(ink), x : x + len(ink)], ink)
                boxes.append((x + box[0], y + box[1], x + box[2], y + box[3], int(labels[which])))
        return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8), boxes

    def ground(self):
        """Coarse and fine spots of colour, and grain."""
        image = np.full((self.size, self.size, 3), self.uniform(3, low=0.25, high=0.75))
        for cells, strength in ((3, 0.3), (8, 0.2), (24, 0.12)):
            spots = self.uniform(cells, cells, 3, low=-strength, high=strength).astype(np.float32)
            image += cv2.resize(spots, (self.size, self.size), interpolation=cv2.INTER_CUBIC)
        return image + self.uniform(self.size, self.size, 1, low=-0.04, high=0.04)

    def place(self, shape, box, boxes):
        """(y, x) of a digit whose box lies in the scene and overlaps no other too much, or None."""
        tall, wide = box[3] - box[1], box[2] - box[0]
        for _ in range(TRIES):
            y, x = (int(self.uniform() * (self.size - side + 1)) for side in shape)
            moved = (x + box[0], y + box[1], x + box[2], y + box[3])
            shared = [_shared(moved, other) / min(tall * wide, _shared(other, other)) for other in boxes]
            if max(shared, default=0) <= OVERLAP:
                return y, x
        return None

    def paint(self, part, ink):
        """Lays ink of a colour over a part of the image."""
        ground = part.mean(axis=(0, 1))
        bright = self.uniform() < 0.5 if 0.35 < ground.mean() < 0.65 else ground.mean() < 0.5
        colour = self.uniform(3, low=0.75, high=1.0) if bright else self.uniform(3, low=0.0, high=0.2)
        part[:] = part * (1 - ink[..., None]) + colour * ink[..., None]


def _stroke(glyph, side):
    """(the ink of a digit, (side, side) from 0 to 1, (x1, y1, x2, y2) around it)."""
    ink = cv2.resize(glyph[..., 0].astype(np.float32) / 255, (side, side), interpolation=cv2.INTER_CUBIC)
    ink = np.clip(ink * 1.5 - 0.15, 0, 1)
    rows, columns = (np.flatnonzero((ink > INK).any(axis=axis)) for axis in (1, 0))
    return ink, (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def _shared(a, b):
    """The area of a and b together."""
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
