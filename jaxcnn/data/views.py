"""The views of one image that a network is tested on: scales, crops at fixed places, mirror images, the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxcnn.data.fit import Target, fit_array

CROPS = (1, 10, 12, 144)
MARGIN = 256 / 224  # of the short side over the side of the crop (Krizhevsky et al. 2012 and all that followed)
SEVENTHS = (8, 9, 10, 11)  # 256, 288, 320 and 352 pixels for a crop of 224 (Szegedy et al. 2014, section 7)


class View(NamedTuple):
    """One view: a box of the scaled image, resized to the network's size where it has another, then mirrored or not.

    Attributes:
      scale: pixels of the short side of the scaled image.
      box: (top, left, height, width) in pixels of the scaled image.
      mirrored: left and right exchanged.
    """

    scale: int
    box: tuple
    mirrored: bool


def default_scale(image_size: Sequence[int]) -> int:
    """The short side for crops of (h, w) where nothing else is said: 256 / 224 of the crop's longer side, rounded."""
    return round(max(image_size) * MARGIN)


def scaled_size(size: Sequence[int], scale: float) -> tuple[int, ...]:
    """(height, width) of an image of `size` with its short side at `scale`, its aspect ratio kept, rounded."""
    return tuple(round(side * scale / min(size)) for side in size)


def crop_views(crops: int, *, size: Sequence[int], image_size: Sequence[int], scale: int) -> list[View]:
    """The views of one image under a protocol, in order; they may coincide, as the three squares of a square image do.

    All lie in squares of the scaled image whose side is its short side.

      1    the centre crop.
      10   the four corners and the centre of the central square, and their mirror images (Krizhevsky et al. 2012,
           section 4.1, whose images are central squares).
      12   those five and the whole central square resized to the crop, and their mirror images. The papers that report
           12 crops (Szegedy et al. 2015, arXiv:1512.00567, and 2016, arXiv:1602.07261) do not say which; this is the
           reading as one scale and one square of the 144.
      144  at four scales, 8/7, 9/7, 10/7 and 11/7 of the crop whatever `scale` is, the left, central and right squares
           (top, central and bottom of an upright image), in each the six of 12 and their mirror images (Szegedy et
           al. 2014, arXiv:1409.4842, section 7).

    An odd margin has its extra pixel below and to the right.

    Args:
      crops: 1, 10, 12 or 144.
      size: (height, width) of the image as it is stored.
      image_size: (height, width) of the crops.
      scale: short side of the scaled image in pixels.
    Returns:
      [View], `crops` of them.
    Raises:
      ValueError: no such protocol, or the crop does not fit into the scaled image.
    """
    if crops not in CROPS:
        raise ValueError(f"crops is {crops}; it must be one of {', '.join(map(str, CROPS))}")
    if crops == 144:
        scales = [round(max(image_size) * sevenths / 7) for sevenths in SEVENTHS]
        squares = [(s, square) for s in scales for square in _squares(scaled_size(size, s))]
    else:
        squares = [(scale, _squares(scaled_size(size, scale))[1])]
    chosen = {1: slice(4, 5), 10: slice(0, 5)}.get(crops, slice(0, 6))
    mirrors = (False,) if crops == 1 else (False, True)
    return [
        View(s, box, mirrored)
        for s, square in squares
        for mirrored in mirrors
        for box in _six_boxes(square, image_size)[chosen]
    ]


def _squares(size):
    """The squares at the start, in the middle and at the end of the long side."""
    side = min(size)
    return [((size[0] - side) * halves // 2, (size[1] - side) * halves // 2, side, side) for halves in (0, 1, 2)]


def _six_boxes(square, image_size):
    """The four corners, the centre, and the whole of a square."""
    top, left, side, _ = square
    height, width = image_size
    if max(image_size) > side:
        raise ValueError(f"a crop of {height}x{width} does not fit into an image with a short side of {side}")
    down, right = side - height, side - width
    places = ((0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2))
    return [*((top + y, left + x, height, width) for y, x in places), square]


def cut(scaled: np.ndarray, view: View, image_size: Sequence[int], *, interpolation: str = "bilinear") -> np.ndarray:
    """The pixels of a view.

    Args:
      scaled: uint8 (height, width, c), the image at the view's scale.
      view: a View.
      image_size: (height, width); a box of another size is resized to it, with antialiasing.
      interpolation: "bilinear" or "bicubic".
    Returns:
      uint8 (*image_size, c).
    """
    top, left, height, width = view.box
    part = scaled[top : top + height, left : left + width]
    if (height, width) != tuple(image_size):
        part = fit_array(part, Target(image_size, fit="stretch", interpolation=interpolation))
    return part[:, ::-1] if view.mirrored else part


def dense_image(scaled: np.ndarray, unit: int) -> np.ndarray:
    """The whole scaled image, less what keeps its long side from being its short side and a multiple of `unit`.

    The poolings of a network of that stride drop such a rest anyway; here half of it goes at either end, the aspect
    ratio of what is left stays exact, and images of many aspect ratios come in few shapes.
    """
    sides = [min(scaled.shape[:2]) + (n - min(scaled.shape[:2])) // unit * unit for n in scaled.shape[:2]]
    top, left = ((n - side) // 2 for n, side in zip(scaled.shape[:2], sides, strict=True))
    return scaled[top : top + sides[0], left : left + sides[1]]


class ViewedRecords:
    """Records with all the views that some protocols ask of each, every view that protocols share cut once.

    `jaxcnn.data.epoch(ViewedRecords(...), batch_size=1)` reads ahead. A record is decoded once, at its stored size, and
    scaled once for every scale. A stored image that is smaller than a scale is enlarged, so that CIFAR's 32x32 become
    37x37 with crops of 32x32.

    Args:
      records: Records; their shape is that of the views.
      protocols: [(crops, scale)], as in `crop_views`.
      dense_scales: short sides of the whole images.
      unit: as in `dense_image`.
      interpolation: "bilinear" or "bicubic", of all scaling; it is antialiased.
    """

    def __init__(
        self,
        records: Any,
        protocols: Sequence[Any],
        *,
        dense_scales: Sequence[int] = (),
        unit: int = 1,
        interpolation: str = "bilinear",
    ) -> None:
        self.records, self.shape, self.interpolation = records, records.shape, interpolation
        self.protocols, self.dense_scales, self.unit = tuple(protocols), tuple(dense_scales), unit

    def __len__(self) -> int:
        return len(self.records)

    def read(self, positions: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
        """One record.

        Args:
          positions: its position, (1,).
        Returns:
          {"views": uint8 (v, h, w, c), the distinct ones; "order": int32 (sum of crops,), which of them the views of
          the protocols are, one protocol after another; "dense_256": uint8 (height, width, c) for a scale of 256;
          "label": int32 (1,); "mask": float32 (1,), 0 for a record that cannot be read and is skipped}.
        """
        (position,) = positions
        record = self.records.whole(position)
        # One black pixel stands for a record that was skipped: its mask is 0.
        image = np.zeros((1, 1, self.shape[2]), np.uint8) if record["image"] is None else record["image"]
        scaled = _Scaled(image, self.interpolation)
        size = self.shape[:2]
        wanted = [
            view
            for crops, scale in self.protocols
            for view in crop_views(crops, size=image.shape[:2], image_size=size, scale=scale)
        ]
        numbers = {view: number for number, view in enumerate(dict.fromkeys(wanted))}
        views = np.zeros((len(numbers), *self.shape), np.uint8)
        for view, number in numbers.items():
            views[number] = cut(scaled[view.scale], view, size, interpolation=self.interpolation)
        return {
            "views": views,
            "order": np.array([numbers[view] for view in wanted], np.int32),
            **{f"dense_{scale}": dense_image(scaled[scale], self.unit) for scale in self.dense_scales},
            "label": record["label"][None],
            "mask": record["mask"][None],
        }


class _Scaled(dict):
    """{scale: the image at it}, made when it is first asked for."""

    def __init__(self, image, interpolation):
        super().__init__()
        self.image, self.interpolation = image, interpolation

    def __missing__(self, scale):
        size = scaled_size(self.image.shape[:2], scale)
        self[scale] = fit_array(self.image, Target(size, fit="stretch", interpolation=self.interpolation))
        return self[scale]
