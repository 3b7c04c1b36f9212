"""Random crops as boxes of the source image, drawn before it is decoded: only the box is scaled, and only once."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

TRIES = 10


@dataclasses.dataclass(frozen=True)
class ResizedCrop:
    """A box of random area and aspect ratio, scaled to the image size (Szegedy et al. 2014, section 6).

    The area is uniform over a range of fractions of the image's, the aspect ratio (width / height) uniform in its
    logarithm, which the paper leaves open. A box that does not fit is drawn again; after TRIES the largest centred box
    of the nearest aspect ratio is taken.

    Args:
      area: lowest and highest fraction of the image's area, in (0, 1].
      aspect: lowest and highest width / height.
    Raises:
      ValueError: a range is empty or outside of these.
    """

    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        if not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError(f"area is {self.area}; it must be (lowest, highest) with 0 < lowest <= highest <= 1")
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise ValueError(f"aspect is {self.aspect}; it must be (lowest, highest) with 0 < lowest <= highest")

    def box(
        self, bits: np.random.BitGenerator, size: Sequence[int], image_size: Sequence[int]
    ) -> tuple[float, float, float, float]:
        """Draws a box.

        Args:
          bits: a NumPy BitGenerator.
          size: (height, width) of the source image.
          image_size: (height, width) that the box will be scaled to.
        Returns:
          (top, left, height, width), floats in pixels of the source image, inside of it.
        """
        low, high = self.aspect
        for _ in range(TRIES):
            area = _uniform(bits, *self.area) * size[0] * size[1]
            aspect = low * (high / low) ** _uniform(bits)
            height, width = math.sqrt(area / aspect), math.sqrt(area * aspect)
            if height <= size[0] and width <= size[1]:
                return _uniform(bits) * (size[0] - height), _uniform(bits) * (size[1] - width), height, width
        aspect = min(max(size[1] / size[0], low), high)
        height, width = min(size[0], size[1] / aspect), min(size[1], size[0] * aspect)
        return (size[0] - height) / 2, (size[1] - width) / 2, height, width


@dataclasses.dataclass(frozen=True)
class ScaledCrop:
    """A window of the image size at a random place of the image scaled to a random size.

    The short side is scaled to uniform(scale) times that of the image size: 256 to 480 for 224 (He et al. 2015,
    section 3.4), which is the default, or 256 to 512 (Simonyan and Zisserman 2014, section 3.1). Of an image size
    that is not square the side that has less room counts, as in jaxcnn.augment.random_scaled_crop.

    Args:
      scale: lowest and highest factor, at least 1.
    Raises:
      ValueError: the range is empty or begins below 1.
    """

    scale: tuple[float, float] = (256 / 224, 480 / 224)

    def __post_init__(self) -> None:
        if not 1 <= self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale is {self.scale}; it must be (lowest, highest) with 1 <= lowest <= highest")

    def box(
        self, bits: np.random.BitGenerator, size: Sequence[int], image_size: Sequence[int]
    ) -> tuple[float, float, float, float]:
        """Draws a box, as ResizedCrop.box does."""
        scale = _uniform(bits, *self.scale) * max(wanted / side for wanted, side in zip(image_size, size, strict=True))
        height, width = (min(wanted / scale, side) for wanted, side in zip(image_size, size, strict=True))
        return _uniform(bits) * (size[0] - height), _uniform(bits) * (size[1] - width), height, width


def cut_at(crop: Any, seed: int, position: int) -> Callable[..., Any]:
    """Returns f(size, image_size), the box of the record at one position of the stream.

    It depends on nothing else: its bits are the block of Philox whose counter is the position, under a key of the seed.
    """
    return functools.partial(_draw, crop, seed, position)


def _draw(crop, seed, position, size, image_size):
    return crop.box(np.random.Philox(key=_key(seed), counter=position << 64), size, image_size)


@functools.cache
def _key(seed):
    # The spawn key keeps these bits apart from those of every Order, which are of SeedSequence((seed, epoch)).
    return np.random.SeedSequence(seed, spawn_key=(1,)).generate_state(2, np.uint64)


def _uniform(bits, low=0.0, high=1.0):
    """From 53 raw bits, because NumPy keeps those stable between versions, and its distributions not."""
    return low + (high - low) * ((int(bits.random_raw()) >> 11) * 2.0**-53)
