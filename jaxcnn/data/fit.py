"""From a decoded image to a uint8 array of the size asked for: which part of it, and how that is resampled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from jaxcnn.errors import InputError

FITS = ("crop", "stretch", "pad", "inside")
INTERPOLATIONS = {  # Pillow's and OpenCV's
    "bilinear": (Image.Resampling.BILINEAR, cv2.INTER_LINEAR),
    "bicubic": (Image.Resampling.BICUBIC, cv2.INTER_CUBIC),
}


class DataError(InputError):
    """A record that cannot be read or decoded; the message says which, why, and what to do."""


class Decoded(NamedTuple):
    """Pixels, maybe decoded at a reduced scale.

    Attributes:
      pixels: uint8 (h, w, 1) or (h, w, 3), upright.
      size: (height, width) of the upright image at full scale.
      box: (top, left, height, width), floats in pixels of the full scale: the part to show; None where nothing is
        scaled.
    """

    pixels: np.ndarray
    size: tuple[int, ...]
    box: tuple[float, ...] | None


@dataclasses.dataclass(frozen=True)
class Target:
    """The form that every image of a data set is given; the fields are those of `decode_image`.

    Raises:
      ValueError: an option is not allowed, or two do not fit together.
    """

    image_size: Any = None
    channels: Any = None
    fit: str = "crop"
    resize: int = 0
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        size = self.image_size
        if size is not None:
            sides = tuple(size) if np.iterable(size) else ()
            if len(sides) != 2 or not all(isinstance(side, int | np.integer) and side > 0 for side in sides):
                raise ValueError(f"image_size is {size!r}; it must be (height, width), positive integers, or None")
            object.__setattr__(self, "image_size", (int(sides[0]), int(sides[1])))
        if self.channels not in (None, 1, 3):
            raise ValueError(f"channels is {self.channels!r}; it must be 1, 3 or None")
        if self.fit not in FITS:
            raise ValueError(f"fit is {self.fit!r}; it must be one of {', '.join(map(repr, FITS))}")
        if self.interpolation not in INTERPOLATIONS:
            names = ", ".join(map(repr, INTERPOLATIONS))
            raise ValueError(f"interpolation is {self.interpolation!r}; it must be one of {names}")
        if not isinstance(self.resize, int | np.integer) or self.resize < 0:
            raise ValueError(f"resize is {self.resize!r}; it must be the length of the short side in pixels, or 0")
        if self.resize and self.fit not in ("crop", "inside"):
            said = f"resize is {self.resize}, which is for fit='crop' and 'inside', not for fit={self.fit!r}"
            raise ValueError(f"{said}: set it to 0")
        if self.resize and self.fit == "crop" and (self.image_size is None or self.resize < max(self.image_size)):
            raise ValueError(
                f"resize is {self.resize}: the short side must hold the centre crop of image_size={self.image_size}; "
                f"{max(self.image_size or (224,))} or more would, or 0 to just cover it"
            )

    def box(self, size: Sequence[int], cut: Callable[..., Any] | None = None) -> tuple[float, ...] | None:
        """Returns (top, left, height, width), floats: the part of an image of size (h, w) that image_size shows.

        It is None where nothing is scaled; f(size, image_size) = `cut` draws it where given.
        """
        if cut is not None:
            return cut(size, self.image_size)
        if self.image_size is None or self.fit == "pad":
            return None
        if self.fit == "stretch":
            return 0.0, 0.0, *map(float, size)
        if self.fit == "inside":
            sides = zip(self.image_size, size, self._sides_inside(size), strict=True)
            return 0.0, 0.0, *(wanted * side / own for wanted, side, own in sides)
        least = [wanted / side for wanted, side in zip(self.image_size, size, strict=True)]
        scale = self.resize / min(size) if self.resize else max(least)
        # At most the side: rounding of the side that is just covered could pass it.
        part = [min(wanted / scale, side) for wanted, side in zip(self.image_size, size, strict=True)]
        return (size[0] - part[0]) / 2, (size[1] - part[1]) / 2, *part

    def _sides_inside(self, size):
        """(height, width) in pixels of image_size of the whole image, at its scale within it."""
        scale = min(wanted / side for wanted, side in zip(self.image_size, size, strict=True))
        scale = min(scale, self.resize / min(size)) if self.resize else scale
        return tuple(max(1, round(side * scale)) for side in size)

    def of(self, image: Decoded, *, exact: bool, out: np.ndarray | None = None) -> np.ndarray:
        """Returns uint8 (height, width, channels) of a Decoded.

        Args:
          image: a Decoded.
          exact: whether its box ends between pixels, or is moved to whole ones.
          out: an array of the result's shape that it may be written to.
        """
        pixels = with_channels(image.pixels, self.channels)
        if image.box is None:
            return pixels if self.image_size is None else _pad(pixels, self.image_size)
        if image.box == (0, 0, *self.image_size) and pixels.shape[:2] == self.image_size:
            return pixels
        if exact and self.fit == "inside":
            sides = self._sides_inside(image.size)
            shown = _resample(pixels, (0, 0, *pixels.shape[:2]), sides, self.interpolation)
            below, right = (wanted - side for wanted, side in zip(self.image_size, sides, strict=True))
            return np.pad(shown, ((0, below), (0, right), (0, 0)))
        if exact:
            return _resample(pixels, _edges(image), self.image_size, self.interpolation)
        out = np.empty((*self.image_size, pixels.shape[2]), np.uint8) if out is None else out
        return _resample_whole_pixels(pixels, _whole_edges(image), out, self.interpolation)

    def view(self, image: Decoded, *, exact: bool) -> tuple[float, ...]:
        """Returns the part of a Decoded that its result shows.

        Args:
          image, exact: as in `of`.
        Returns:
          (top, left, height, width) in pixels of the full scale; with fit "pad" and "inside" it reaches over the image.
        """
        if image.box is None and self.image_size is None:
            return 0, 0, *image.size
        if image.box is None:
            return *(-margin for margin in _margins(image.size, self.image_size)), *self.image_size
        if exact or image.box == (0, 0, *self.image_size):
            return image.box
        top, left, bottom, right = _whole_edges(image)
        down, across = (full / part for full, part in zip(image.size, image.pixels.shape[:2], strict=True))
        return top * down, left * across, (bottom - top) * down, (right - left) * across


def fit_array(image: np.ndarray, target: Target) -> np.ndarray:
    """Brings a decoded image to a Target, by the rules of `decode_image`.

    Args:
      image: uint8 (h, w, 1) or (h, w, 3).
      target: a Target.
    Returns:
      uint8 (height, width, channels).
    Raises:
      DataError: the image is not such an array, or is larger than image_size with fit "pad".
    """
    return target.of(of_array(image, target), exact=True)


def of_array(image: np.ndarray, target: Target, cut: Callable[..., Any] | None = None) -> Decoded:
    """The Decoded of an array uint8 (h, w, 1) or (h, w, 3); target and cut as in `jaxcnn.data.decode.decode`.

    Raises:
      DataError: the image is not such an array.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise DataError(f"the image is {image.dtype} {image.shape}, not uint8 (h, w, 1) or (h, w, 3)")
    size = image.shape[:2]
    return Decoded(image, size, target.box(size, cut))


def _edges(image):
    """(top, left, bottom, right) of the box in the pixels that were decoded."""
    height, width = image.pixels.shape[:2]
    down, across = height / image.size[0], width / image.size[1]
    top, left, tall, wide = image.box
    return top * down, left * across, min((top + tall) * down, height), min((left + wide) * across, width)


def _whole_edges(image):
    """_edges moved to whole pixels, at least one apart."""
    top, left, bottom, right = map(round, _edges(image))
    top, left = (min(edge, side - 1) for edge, side in zip((top, left), image.pixels.shape[:2], strict=True))
    return top, left, max(bottom, top + 1), max(right, left + 1)


def _resample(pixels, edges, image_size, interpolation):
    """Scales and crops in one pass, with antialiasing."""
    top, left, bottom, right = edges
    method = INTERPOLATIONS[interpolation][0]
    return to_array(_from_array(pixels).resize(image_size[::-1], method, box=(left, top, right, bottom)))


# Decoding included, this takes 0.42 of the time of Pillow's resize with a box for 224 from photographs of 224x224, and
# 0.75 from 500x375. The decoders (libjpeg-turbo through OpenCV, imagecodecs and pyvips) take 0.9 to 1.25
# of simplejpeg's time; only TensorFlow's decodes a region alone, in 0.8 of its own time for the whole.
def _resample_whole_pixels(pixels, edges, out, interpolation):
    """As _resample, of a box of whole pixels, into out: for random boxes, whose exact place does not matter.

    OpenCV has no box of fractions. Where both sides shrink it averages over areas; where one alone does, the reduced
    scale of the JPEG has left little to alias.
    """
    top, left, bottom, right = edges
    part = pixels[top:bottom, left:right]
    shrinks = part.shape[0] >= out.shape[0] and part.shape[1] >= out.shape[1]
    method = cv2.INTER_AREA if shrinks else INTERPOLATIONS[interpolation][1]
    cv2.resize(part, out.shape[1::-1], dst=out, interpolation=method)
    return out


def with_channels(pixels: np.ndarray, channels: int | None) -> np.ndarray:
    """(h, w, c) with 1 or 3 channels, or as it is for None; grey is Pillow's luminance."""
    if channels in (None, pixels.shape[-1]):
        return pixels
    return to_array(_from_array(pixels).convert("L" if channels == 1 else "RGB"))


def _pad(image, image_size):
    height, width, channels = image.shape
    target_height, target_width = image_size
    if height > target_height or width > target_width:
        raise DataError(
            f"the image is {height}x{width}, larger than image_size {image_size}, and fit='pad' does not scale: use "
            "fit='crop' or fit='stretch'"
        )
    padded = np.zeros((target_height, target_width, channels), np.uint8)
    top, left = _margins((height, width), image_size)
    padded[top : top + height, left : left + width] = image
    return padded


def _margins(size, image_size):
    """(top, left): rows and columns of zeros before an image of a size that is centred on image_size."""
    return tuple((wanted - side) // 2 for wanted, side in zip(image_size, size, strict=True))


def _from_array(image):
    return Image.fromarray(image[:, :, 0] if image.shape[-1] == 1 else image)


def to_array(image: Image.Image) -> np.ndarray:
    """uint8 (h, w, 1) or (h, w, 3) of a Pillow image in mode L or RGB."""
    array = np.asarray(image)
    return array[:, :, None] if array.ndim == 2 else array
