"""Scenes of handwritten digits on textured ground: images with boxes that need no download."""

from collections.abc import Mapping

import numpy as np

from jaxcnn.data.arrays import Arrays
from jaxcnn.data.canvas import Canvas, pixels, stroke
from jaxcnn.data.detection.table import box_fields
from jaxcnn.data.digits import digits
from jaxcnn.data.fields import GEOMETRY

SIZE = 64  # pixels of a side
MOST = 5  # digits of a scene
COUNTS = {"train": 2000, "test": 400}
SIDES = (12, 32)  # least and most pixels of a digit's side, uniform in the logarithm
OVERLAP = 0.3  # the largest share of the smaller box that another covers
TRIES = 20  # places that are tried for a digit


def scenes(seed: int = 0, *, size: int = SIZE, counts: Mapping[str, int] | None = None) -> Arrays:
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


class _Scene(Canvas):
    """The drawing of one scene."""

    def draw(self, glyphs, labels):
        """(uint8 (size, size, 3), [(x1, y1, x2, y2, label)])."""
        image, boxes = self.ground(), []
        for _ in range(1 + int(self.uniform() * MOST)):
            which = int(self.uniform() * len(labels))
            side = SIDES[0] * (SIDES[1] / SIDES[0]) ** self.uniform() * self.size / SIZE
            ink, box = stroke(glyphs[which], round(side))
            place = self.place(ink.shape, box, boxes)
            if place is not None:
                y, x = place
                self.paint(image[y : y + len(ink), x : x + len(ink)], ink)
                boxes.append((x + box[0], y + box[1], x + box[2], y + box[3], int(labels[which])))
        return pixels(image), boxes

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


def _shared(a, b):
    """The area of a and b together."""
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
