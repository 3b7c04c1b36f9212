"""From a decoded image to a uint8 array of the size asked for: which part of it, and how that is resampled."""

import dataclasses
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxcnn.errors import InputError

FITS = ("crop", "stretch", "pad")
INTERPOLATIONS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class DataError(InputError):
    """A record that cannot be read or decoded; the message says which, why, and what to do."""


class Decoded(NamedTuple):
    """Pixels, maybe decoded at a reduced scale.

    Attributes:
      pixels: uint8 (h, w, 1) or (h, w, 3), upright.
      size: (height, width) of the upright image at full scale, in whose pixels boxes are given.
    """

    pixels: np.ndarray
    size: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Target:
    """What every image of a data set becomes; the fields are those of `decode_image`.

    Raises:
      ValueError: an option is not allowed, or two do not fit together.
    """

    image_size: tuple[int, int] | None = None
    channels: int | None = None
    fit: str = "crop"
    resize: int = 0
    interpolation: str = "bilinear"

    def __post_init__(self):
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
        if self.resize and self.fit != "crop":
            raise ValueError(f"resize is {self.resize}, which is for fit='crop', not for fit={self.fit!r}: set it to 0")
        if self.resize and (self.image_size is None or self.resize < max(self.image_size)):
            raise ValueError(
                f"resize is {self.resize}: the short side must hold the centre crop of image_size={self.image_size}; "
                f"{max(self.image_size or (224,))} or more would, or 0 to just cover it"
            )

    @property
    def scales(self):
        """Whether images are brought to image_size by resampling."""
        return self.image_size is not None and self.fit != "pad"

    def box(self, size):
        """Returns (top, left, height, width), floats: the part of an image of size (h, w) that image_size shows."""
        if self.fit == "stretch":
            return 0.0, 0.0, *map(float, size)
        least = [wanted / side for wanted, side in zip(self.image_size, size, strict=True)]
        scale = self.resize / min(size) if self.resize else max(least)
        # At most the side: rounding of the side that is just covered could pass it.
        part = [min(wanted / scale, side) for wanted, side in zip(self.image_size, size, strict=True)]
        return (size[0] - part[0]) / 2, (size[1] - part[1]) / 2, *part

    def of(self, image):
        """Returns uint8 (height, width, channels) of a Decoded."""
        pixels = with_channels(image.pixels, self.channels)
        if self.image_size is None:
            return pixels
        if self.fit == "pad":
            return _pad(pixels, self.image_size)
        box = self.box(image.size)
        if box == (0, 0, *self.image_size) and pixels.shape[:2] == self.image_size:
            return pixels
        return _resample(pixels, _scaled(box, image), self.image_size, INTERPOLATIONS[self.interpolation])


def fit_array(image, target):
    """Brings a decoded image to a Target, by the rules of `decode_image`.

    Args:
      image: uint8 (h, w, 1) or (h, w, 3).
      target: a Target.
    Returns:
      uint8 (height, width, channels).
    Raises:
      DataError: the image is not such an array, or is larger than image_size with fit "pad".
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise DataError(f"the image is {image.dtype} {image.shape}, not uint8 (h, w, 1) or (h, w, 3)")
    return target.of(Decoded(image, image.shape[:2]))


def _scaled(box, image):
    """The box in the pixels that were decoded."""
    down, across = (side / full for side, full in zip(image.pixels.shape, image.size, strict=False))
    return box[0] * down, box[1] * across, box[2] * down, box[3] * across


def _resample(pixels, box, image_size, interpolation):
    """Scales and crops in one pass, with antialiasing."""
    top, left, height, width = box
    bottom, right = min(top + height, pixels.shape[0]), min(left + width, pixels.shape[1])
    image = _from_array(pixels)
    return to_array(image.resize(image_size[::-1], interpolation, box=(left, top, right, bottom)))


def with_channels(pixels, channels):
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
    top, left = (target_height - height) // 2, (target_width - width) // 2
    padded[top : top + height, left : left + width] = image
    return padded


def _from_array(image):
    return Image.fromarray(image[:, :, 0] if image.shape[-1] == 1 else image)


def to_array(image):
    """uint8 (h, w, 1) or (h, w, 3) of a Pillow image in mode L or RGB."""
    array = np.asarray(image)
    return array[:, :, None] if array.ndim == 2 else array
