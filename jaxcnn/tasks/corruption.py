"""What is done to an image before a network restores it: pure functions of a key, on the device.

A corruption is f(key, image, **options) -> (image, mark) on a float image (h, w, c) in [0, 1]. The mark is (h, w, 1),
1 where something was laid over the image; None of a corruption that is everywhere. The same key gives the same
corruption: training draws it from the image's key, evaluation from its number, both through one function.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn import trust
from jaxcnn.augment.box import random_box
from jaxcnn.errors import look_up
from jaxcnn.tasks.glyphs import GLYPHS, HEIGHT, WIDTH

LONGEST = 6  # glyphs of a watermark
TILED = 0.25  # share of the watermarks that are repeated over the whole image
DRAWN = 11  # numbers that are drawn for one, beside its glyphs


def identity(key: jax.Array, image: jax.Array) -> tuple[jax.Array, jax.Array | None]:
    """The image as it is."""
    return image, None


def noise(
    key: jax.Array, image: jax.Array, *, sigma: float = 25.0, clip: bool = False
) -> tuple[jax.Array, jax.Array | None]:
    """Adds to each value an independent N(0, (sigma / 255)**2).

    Args:
      key, image: see above.
      sigma: in units of 1/255, as the literature counts it.
      clip: whether the result is cut to [0, 1]. The papers do not clip (Zhang et al. 2017, arXiv:1608.03981): clipped
        noise has another mean where an image is dark or bright.
    Raises:
      ValueError: sigma is negative.
    """
    if not sigma >= 0:
        raise ValueError(f"sigma is {sigma}; it is a number of 0 or more, in units of 1/255")
    noisy = image + sigma / 255 * jax.random.normal(key, image.shape)
    return (jnp.clip(noisy, 0, 1) if clip else noisy), None


def salt_and_pepper(key: jax.Array, image: jax.Array, *, share: float = 0.1) -> tuple[jax.Array, jax.Array | None]:
    """Sets a share of the pixels, each drawn by itself, to black or to white, with equal chances."""
    _check_share("share", share)
    drawn = jax.random.uniform(key, (*image.shape[:2], 1))
    return jnp.where(drawn < share / 2, 0.0, jnp.where(drawn < share, 1.0, image)), None


def mask(
    key: jax.Array, image: jax.Array, *, squares: int = 1, side: float = 0.25, fill: float = 0.5
) -> tuple[jax.Array, jax.Array | None]:
    """Fills squares around uniformly random pixels; they may reach over the border and over one another.

    Args:
      key, image: see above.
      squares: how many.
      side: of a square, a share of the short side of the image.
      fill: the value inside.
    Raises:
      ValueError: a number is out of range.
    """
    _check_share("side", side)
    if squares < 1:
        raise ValueError(f"squares is {squares}; it is a whole number from 1")
    pixels = max(1, round(side * min(image.shape[:2])))
    keys = jax.random.split(key, squares)
    inside = [random_box(own, image.shape[:2], sides=(pixels, pixels)) for own in keys]
    inside = functools.reduce(jnp.logical_or, inside)[..., None]
    return jnp.where(inside, fill, image), inside.astype(image.dtype)


def watermark(
    key: jax.Array,
    image: jax.Array,
    *,
    strength: Sequence[float] = (0.3, 0.8),
    size: Sequence[float] = (0.15, 0.4),
    angle: float = 45.0,
    white: float = 0.5,
) -> tuple[jax.Array, jax.Array | None]:
    """Lays a text or a sign over the image: image * (1 - a) + colour * a inside it.

    Of 1 to 6 glyphs (letters, digits, signs), drawn as are their height, place, turn, colour and strength a; a quarter
    of the watermarks is repeated over the whole image.

    Args:
      key, image: see above.
      strength: (least, most) of a; 1 hides the image.
      size: (least, most) height of a glyph, a share of the short side of the image.
      angle: the largest turn to either side, in degrees.
      white: the share of the watermarks that are white; the others are of any colour.
    Raises:
      ValueError: a range is not one within (0, 1], or `white` not a share.
    """
    for name, bounds in (("strength", strength), ("size", size)):
        if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] <= 1:
            raise ValueError(f"{name} is {bounds}; it is (least, most) within (0, 1]")
    if not 0 <= white <= 1:
        raise ValueError(f"white is {white}; it is a share from 0 to 1")
    # one draw for all: a compiler takes seconds for each use of a key
    drawn = jax.random.uniform(key, (DRAWN + LONGEST,))
    number, tall, turn, tiled, coloured, alpha, *colour = drawn[: DRAWN - 2]
    count = 1 + jnp.floor(number * LONGEST).astype(jnp.int32)
    glyphs = jnp.floor(drawn[DRAWN:] * len(GLYPHS)).astype(jnp.int32)
    height = (size[0] + tall * (size[1] - size[0])) * min(image.shape[:2])
    # the middle of the text lies in the middle of the image: some of it is always seen
    middle = (0.2 + 0.6 * drawn[DRAWN - 2 : DRAWN]) * jnp.array(image.shape[:2], jnp.float32)
    turn = jnp.deg2rad(angle) * (2 * turn - 1)
    inside = _text(image.shape[:2], middle, turn, height, glyphs, count, tiled < TILED)[..., None]
    colour = jnp.where(coloured < white, 1.0, jnp.stack(colour)[: image.shape[2]]).reshape(1, 1, -1)
    alpha = inside * (strength[0] + alpha * (strength[1] - strength[0]))
    return image * (1 - alpha) + colour * alpha, (inside > 0).astype(image.dtype)


CORRUPTIONS = {
    "identity": identity,
    "noise": noise,
    "salt_and_pepper": salt_and_pepper,
    "mask": mask,
    "watermark": watermark,
}


def corruption(
    name: str, shape: Sequence[int], options: Any
) -> Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array | None]]:
    """f(key, image) -> (image, mark) of a name of CORRUPTIONS with its options.

    Args:
      name: of CORRUPTIONS.
      shape: (h, w, c) of the images.
      options: {option: value}.
    Raises:
      ValueError: no such name or option, the nearest is named; or a value that cannot be.
    """
    function = look_up(name, table=CORRUPTIONS, kind="corruption")
    trust.check_options(f"corruption {name}", function, options, given=2)
    corrupt = functools.partial(function, **options)
    try:
        jax.eval_shape(corrupt, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))
    except TypeError as error:
        raise ValueError(
            f"an option of corruption {name} is of the wrong kind: {' '.join(str(error).split())}"
        ) from error
    return corrupt


def _check_share(name, share):
    if not 0 < share <= 1:
        raise ValueError(f"{name} is {share}; it is a share within (0, 1]")


def _text(shape, middle, turn, height, *text):
    """The part of every pixel (h, w) that a text covers, from 0 to 1: of four points in each."""
    quarters = jnp.array([(0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)])
    covered = jax.vmap(lambda offset: _covered(*_points(shape, middle, turn, height, *offset), *text))(quarters)
    return covered.mean(axis=0)


def _points(shape, middle, turn, height, down, right):
    """Every pixel's point as (row, column) of a text around its middle, in heights of a glyph."""
    y = (jnp.arange(shape[0])[:, None] + down - middle[0]) / height
    x = (jnp.arange(shape[1])[None] + right - middle[1]) / height
    return y * jnp.cos(turn) - x * jnp.sin(turn), y * jnp.sin(turn) + x * jnp.cos(turn)


def _covered(row, column, glyphs, count, tiled):
    """1.0 where a point is on a glyph of the text, or of its repetitions two lines and a glyph apart."""
    advance = 1.2 * WIDTH / HEIGHT  # from glyph to glyph
    row, column = row + 0.5, column + count * advance / 2
    row = jnp.where(tiled, row % 3, row)
    column = jnp.where(tiled, column % ((count + 1) * advance), column)
    place = jnp.floor(column / advance).astype(jnp.int32)
    down = jnp.floor(row * HEIGHT).astype(jnp.int32)
    right = jnp.floor((column - place * advance) * HEIGHT).astype(jnp.int32)
    there = (place >= 0) & (place < count) & (down >= 0) & (down < HEIGHT) & (right < WIDTH)
    glyph = glyphs[jnp.clip(place, 0, LONGEST - 1)]
    ink = jnp.asarray(GLYPHS)[glyph, jnp.clip(down, 0, HEIGHT - 1), jnp.clip(right, 0, WIDTH - 1)]
    return jnp.where(there, ink, 0.0)
