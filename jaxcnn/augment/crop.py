"""Crops: windows of whole pixels, and boxes of any place and shape that are resampled in one go."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.augment.resample import resample_box

TRIES = 10  # boxes that random_resized_crop draws before it gives up


def random_crop(key: jax.Array, image: jax.Array, *, size: Sequence[int]) -> jax.Array:
    """Cuts a window at a uniformly random place.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), any dtype.
      size: (height, width) of the window; static.
    Returns:
      (*size, c), the dtype of image.
    Raises:
      ValueError: the window is larger than the image.
    """
    room = [side - cut for side, cut in zip(image.shape[:2], size, strict=True)]
    if min(room) < 0:
        raise ValueError(f"a window of {size} does not fit into an image of {image.shape[:2]}.")
    top, left = jax.random.randint(key, (2,), 0, jnp.array(room) + 1)
    return lax.dynamic_slice(image, (top, left, 0), (*size, image.shape[2]))


def pad_crop(key: jax.Array, image: jax.Array, *, padding: int) -> jax.Array:
    """Pads every side with zeros and cuts a window of the original size at a uniformly random place.

    Top and left corner are uniform on 0..2*padding (He et al. 2015, section 4.2: padding 4 on CIFAR-10).

    Args:
      key: PRNG key of this image.
      image: (h, w, c), any dtype.
      padding: pixels added on every side; static, not negative.
    Returns:
      (h, w, c), the dtype of image.
    """
    if padding < 0:
        raise ValueError(f"padding is {padding}; it is a number of pixels, 0 or more.")
    padded = jnp.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    return random_crop(key, padded, size=image.shape[:2])


def crop_and_pad(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array, fill: float = 0.0) -> jax.Array:
    """Moves each of the four sides in or out on its own, and resizes what they enclose to the size of the image.

    A side moves by a fraction of the image's height or width that is uniform on [-magnitude, magnitude]; where it
    moves outwards (positive) the room is filled (CropAndPad of imgaug, which rounds to whole pixels). Bilinear,
    antialiased.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), any float type.
      magnitude: largest fraction of a side, from 0 (identity) to below 0.5, where nothing might be left; may be traced.
      fill: the value outside the image; static.
    Returns:
      (h, w, c), the dtype of image.
    """
    height, width, _ = image.shape
    top, bottom, left, right = jax.random.uniform(key, (4,), minval=-magnitude, maxval=magnitude)
    return resample_box(
        image,
        top=-top * height,
        left=-left * width,
        height=height * (1 + top + bottom),
        width=width * (1 + left + right),
        size=(height, width),
        fill=fill,
    )


def random_resized_crop(
    key: jax.Array,
    image: jax.Array,
    *,
    size: Sequence[int],
    area: Sequence[float] = (0.08, 1.0),
    aspect: Sequence[float] = (3 / 4, 4 / 3),
) -> jax.Array:
    """Resizes a box of random area, shape and place to `size` (Szegedy et al. 2014, arXiv:1409.4842, section 6).

    The box's share of the image's area is uniform on `area`, and its aspect, width / height, on `aspect`. The paper
    does not say how the aspect is distributed: as is usual it is the logarithm that is uniform, which treats wide and
    high alike. A box that does not fit is drawn again, up to ten times; then the largest box in the middle of the
    image whose aspect is allowed is taken. Place is uniform among those where the box fits. Bilinear, antialiased (the
    paper draws the interpolation at random).

    Args:
      key: PRNG key of this image.
      image: (h, w, c), any float type.
      size: (height, width) of the result; static.
      area: smallest and largest share of the image's area; static.
      aspect: smallest and largest width / height of the box in pixels of the image; static.
    Returns:
      (*size, c), the dtype of image.
    Raises:
      ValueError: area or aspect is not an increasing range of positive numbers, or area exceeds 1.
    """
    if not (0 < area[0] <= area[1] <= 1 and 0 < aspect[0] <= aspect[1]):
        raise ValueError(f"area {area} must rise within (0, 1], and aspect {aspect} rise from above 0.")
    sides = jnp.array(image.shape[:2], jnp.float32)
    draws = jax.random.uniform(key, (TRIES + 1, 2))
    (share, exponent), place = draws[:TRIES].T, draws[TRIES]
    areas = sides.prod() * (area[0] + (area[1] - area[0]) * share)
    stretch = jnp.sqrt(aspect[0] * (aspect[1] / aspect[0]) ** exponent)
    boxes = jnp.sqrt(areas)[:, None] * jnp.stack([1 / stretch, stretch], axis=1)  # (TRIES, 2): height, width
    fits = (boxes <= sides[None]).all(axis=1)
    found = fits.any()
    box = jnp.where(found, boxes[fits.argmax()], _largest_box(image.shape, aspect))
    corner = (sides - box) * jnp.where(found, place, 0.5)
    return resample_box(image, top=corner[0], left=corner[1], height=box[0], width=box[1], size=size)


def _largest_box(shape, aspect):
    height, width = shape[:2]
    ratio = min(max(width / height, aspect[0]), aspect[1])
    return jnp.array([min(height, width / ratio), min(width, height * ratio)], jnp.float32)


def random_scaled_crop(
    key: jax.Array, image: jax.Array, *, size: Sequence[int], scale: Sequence[float] = (256 / 224, 480 / 224)
) -> jax.Array:
    """Scale jitter: the image resized so that its short side is random, and a random window cut from it.

    The short side becomes `scale` times that of the window, uniform on the given range; the aspect is kept. With a
    window of 224 the default is ResNet's [256, 480] (He et al. 2015, section 3.4); VGG's is [256, 512] (Simonyan and
    Zisserman 2014, section 3.1). Of a window that is not square, the side that has less room counts. Resizing and
    cutting are one resampling of a box of the source, which need not fall on whole pixels. Bilinear, antialiased.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), any float type and any size.
      size: (height, width) of the result; static.
      scale: smallest and largest short side, in sides of the window, 1 or more; static.
    Returns:
      (*size, c), the dtype of image.
    Raises:
      ValueError: scale is not an increasing range from 1 or more.
    """
    if not 1 <= scale[0] <= scale[1]:
        raise ValueError(f"scale {scale} must rise from 1 or more: the window is cut from the resized image.")
    zoom, *place = jax.random.uniform(key, (3,))
    sides = jnp.array(image.shape[:2], jnp.float32)
    window = jnp.array(size, jnp.float32)
    box = window * (sides / window).min() / (scale[0] + (scale[1] - scale[0]) * zoom)
    corner = (sides - box) * jnp.stack(place)
    return resample_box(image, top=corner[0], left=corner[1], height=box[0], width=box[1], size=size)
