"""Augmentations by weather: clouds, fog, falling snow, and snow on the ground (after imgaug's catalogue)."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.augment.photometric import photometric

FLAKES = 160  # at full density
LENGTH = 0.04  # of the streak of the nearest flake, as a fraction of the short side
RADIUS = (0.004, 0.015)  # of the farthest and the nearest flake, as a fraction of the short side


@photometric
def clouds(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array) -> jax.Array:
    """Covers the image with white clouds, of density d uniform on [0, magnitude].

    A cloud is where fractal noise, scaled to [0, 1], exceeds 1 - d; there it hides the more, the more it exceeds it.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: the largest density, in [0, 1]; at 1 hardly anything is left in the clear.
    Returns:
      (h, w, c), the dtype of image.
    """
    density_key, noise_key = jax.random.split(key)
    density = jax.random.uniform(density_key, maxval=magnitude)
    cover, shade = fractal_noise(noise_key, image.shape[:2], fields=2, coarsest=3, persistence=0.55)
    cover = jnp.clip((cover - (1 - density)) / 0.4, 0.0, 1.0)
    opacity = 0.95 * cover * cover * (3 - 2 * cover)
    return _veil(image, opacity, 1 - 0.25 * shade)


@photometric
def fog(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array) -> jax.Array:
    """Lays fog over the image, of density d uniform on [0, magnitude].

    It hides d of the image where it is thickest and 0.6 * d where it is thinnest, and changes slowly in between.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: the largest density, in [0, 1]; at 1 the thickest fog hides everything.
    Returns:
      (h, w, c), the dtype of image.
    """
    density_key, noise_key = jax.random.split(key)
    density = jax.random.uniform(density_key, maxval=magnitude)
    cover, shade = fractal_noise(noise_key, image.shape[:2], fields=2, coarsest=2, persistence=0.35)
    return _veil(image, density * (0.6 + 0.4 * cover), 0.92 - 0.1 * shade)


@photometric
def snowflakes(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array) -> jax.Array:
    """Lets snow fall: white flakes at random places, larger and more blurred by motion the nearer they are.

    Each of FLAKES flakes is there with probability d, uniform on [0, magnitude]. They fall in one direction, within
    35 degrees of the vertical. Sizes are fractions of the image's short side.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: the largest density, in [0, 1].
    Returns:
      (h, w, c), the dtype of image.
    """
    keys = jax.random.split(key, 5)
    short = min(image.shape[:2])
    density = jax.random.uniform(keys[0], maxval=magnitude)
    here = jax.random.bernoulli(keys[1], density, (FLAKES,))
    centre = jax.random.uniform(keys[2], (FLAKES, 2)) * jnp.array(image.shape[:2], jnp.float32)[None]
    near = jax.random.uniform(keys[3], (FLAKES,)) ** 3  # most flakes are far away
    angle = jnp.deg2rad(jax.random.uniform(keys[4], minval=-35.0, maxval=35.0))
    radius = short * (RADIUS[0] + near * (RADIUS[1] - RADIUS[0]))
    distance = _to_streaks(image.shape[:2], centre, angle, short * LENGTH * (0.2 + near) / 2)
    softness = 1.4 * radius + 0.5  # half a pixel more, so that the smallest flake does not flicker between pixels
    inside = jnp.clip((radius[:, None, None] - distance) / softness[:, None, None] + 0.5, 0.0, 1.0)
    return _veil(image, jnp.max(jnp.where(here[:, None, None], inside, 0.0), axis=0), 1.0)


@photometric
def fast_snowy_landscape(
    key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array, multiplier: float = 2.5
) -> jax.Array:
    """Turns dark ground to snow: lightness below t is multiplied, t uniform on [0, magnitude].

    Lightness is that of HLS, half the sum of the largest and the smallest channel; hue and saturation stay.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: the largest threshold of lightness, in [0, 1].
      multiplier: of the lightness, at least 1; the result ends at 1. 2.5 in imgaug's example.
    Returns:
      (h, w, c), the dtype of image.
    """
    threshold = jax.random.uniform(key, maxval=magnitude)
    lightness = (image.max(axis=-1, keepdims=True) + image.min(axis=-1, keepdims=True)) / 2
    lit = jnp.minimum(multiplier * lightness, 1.0)
    # at equal hue and saturation the distance to the lightness goes with the room 1 - |2 l - 1| around it
    room = jnp.maximum(1 - jnp.abs(2 * lightness - 1), jnp.finfo(jnp.float32).tiny)
    brightened = lit + (image - lightness) * (1 - jnp.abs(2 * lit - 1)) / room
    return jnp.where(lightness < threshold, brightened, image)


def fractal_noise(key: jax.Array, shape: Sequence[int], *, fields: int, coarsest: int, persistence: float) -> jax.Array:
    """Smooth noise: random grids, each twice as fine as the last and weaker, enlarged and summed.

    Args:
      key: PRNG key.
      shape: (h, w), static.
      fields: how many independent fields; static.
      coarsest: cells of the coarsest grid along the short side; static.
      persistence: amplitude of an octave over that of the one before it.
    Returns:
      (fields, h, w) float32, scaled so that two standard deviations to both sides of the mean fill [0, 1], and clipped.
    """
    short = min(shape)
    octaves = max(1, math.ceil(math.log2(short / coarsest)))
    grids = [[min(size, math.ceil(coarsest * 2**octave * size / short)) for size in shape] for octave in range(octaves)]
    ends = np.cumsum([math.prod(grid) for grid in grids])
    values = jnp.split(jax.random.uniform(key, (fields, ends[-1])), ends[:-1], axis=1)
    noise = jnp.zeros((fields, *shape))
    for octave, grid in enumerate(grids):
        noise += persistence**octave * jax.image.resize(values[octave].reshape(fields, *grid), noise.shape, "cubic")
    noise -= noise.mean(axis=(1, 2), keepdims=True)
    deviation = jnp.maximum(noise.std(axis=(1, 2), keepdims=True), jnp.finfo(jnp.float32).tiny)
    return jnp.clip(0.5 + noise / (4 * deviation), 0.0, 1.0)


def _veil(image, opacity, shade):
    """Covers the image with a grey of the given shade, to the given opacity, both (h, w) or a number."""
    shade = jnp.broadcast_to(shade, opacity.shape)
    return image + opacity[..., None] * (shade[..., None] - image)


def _to_streaks(shape, centre, angle, half):
    """(n, h, w): how far each pixel is from each of n segments, of half length (n,) around centre (n, 2), in pixels."""
    down, right = jnp.cos(angle), jnp.sin(angle)
    y = (np.arange(shape[0]) + 0.5)[None, :, None] - centre[:, 0, None, None]
    x = (np.arange(shape[1]) + 0.5)[None, None, :] - centre[:, 1, None, None]
    along = jnp.maximum(jnp.abs(y * down + x * right) - half[:, None, None], 0.0)
    return jnp.sqrt(along * along + jnp.square(y * right - x * down))
