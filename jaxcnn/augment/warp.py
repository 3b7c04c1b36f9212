"""Affine and perspective warps: each operation draws a matrix, and one function reads the image through it."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.augment.resample import sample

# x of the corners, (top, bottom) by (left, right), in half sides from the centre; y is its transpose.
CORNERS = np.array([[-1, 1], [-1, 1]], np.float32)


def warp(image: jax.Array, matrix: jax.Array, *, fill: float = 0.0) -> jax.Array:
    """Shows at each point p of the result the point matrix p of the image, bilinear.

    Points are (x, y, 1) in pixels from the centre of the image, ((w - 1) / 2, (h - 1) / 2): x runs to the right and
    y down. Only the direction of matrix p counts, so a homography is as good as an affine map.

    Args:
      image: (h, w, c), any float type.
      matrix: (3, 3), float32, from result to image; may be traced.
      fill: the value outside the image; static.
    Returns:
      (h, w, c), the dtype of image.
    """
    height, width, _ = image.shape
    x, y = jnp.meshgrid(jnp.arange(width) - (width - 1) / 2, jnp.arange(height) - (height - 1) / 2)  # (h, w)
    # Sums, not a matrix product: accelerators round the operands of those, and the identity must stay exact.
    source_x, source_y, depth = (row[0] * x + row[1] * y + row[2] for row in matrix)
    return sample(image, source_y / depth + (height - 1) / 2, source_x / depth + (width - 1) / 2, fill=fill)


def affine_matrix(
    *,
    rotation: float | jax.Array = 0.0,
    shear: Sequence[float | jax.Array] = (0.0, 0.0),
    translation: Sequence[float | jax.Array] = (0.0, 0.0),
    scale: Sequence[float | jax.Array] = (1.0, 1.0),
) -> jax.Array:
    """The matrix, for `warp`, that rotates, shears, scales and then moves an image.

    [R(rotation) [[1, tan(shear_x)], [tan(shear_y), 1]] diag(1 / scale)] (p - translation)

    Args:
      rotation: degrees, positive against the clock.
      shear: (x, y), degrees; x slants the vertical lines and y the horizontal ones.
      translation: (x, y), pixels to the right and down.
      scale: (x, y), factors; 2 makes things twice as large.
    Returns:
      (3, 3), float32, from result to image; exactly the identity for the defaults.
    """
    angle = jnp.deg2rad(rotation)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    slant_x, slant_y = (jnp.tan(jnp.deg2rad(degrees)) for degrees in shear)
    xx, xy = (cosine - sine * slant_y) / scale[0], (cosine * slant_x - sine) / scale[1]
    yx, yy = (sine + cosine * slant_y) / scale[0], (sine * slant_x + cosine) / scale[1]
    right, down = translation
    return jnp.array([[xx, xy, -xx * right - xy * down], [yx, yy, -yx * right - yy * down], [0, 0, 1]], jnp.float32)


def rotate(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array, fill: float = 0.0) -> jax.Array:
    """Rotates about the centre by an angle uniform on [-magnitude, magnitude]; positive is against the clock.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), any float type.
      magnitude: degrees; 0 is the identity; may be traced.
      fill: the value outside the image; static.
    Returns:
      (h, w, c), the dtype of image.
    """
    angle = jax.random.uniform(key, minval=-magnitude, maxval=magnitude)
    return warp(image, affine_matrix(rotation=angle), fill=fill)


def shear_x(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array, fill: float = 0.0) -> jax.Array:
    """Slants the vertical lines by an angle uniform on [-magnitude, magnitude]; the middle row stays in place.

    ShearX of RandAugment (Cubuk et al. 2019, arXiv:1909.13719) is given as tan(angle), up to 0.3, or 16.7 degrees.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), any float type.
      magnitude: degrees, below 90; 0 is the identity; may be traced.
      fill: the value outside the image; static.
    Returns:
      (h, w, c), the dtype of image.
    """
    angle = jax.random.uniform(key, minval=-magnitude, maxval=magnitude)
    return warp(image, affine_matrix(shear=(angle, 0.0)), fill=fill)


def shear_y(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array, fill: float = 0.0) -> jax.Array:
    """Slants the horizontal lines, as `shear_x` does the vertical ones; the middle column stays in place."""
    angle = jax.random.uniform(key, minval=-magnitude, maxval=magnitude)
    return warp(image, affine_matrix(shear=(0.0, angle)), fill=fill)


def translate_x(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array, fill: float = 0.0) -> jax.Array:
    """Moves the image sideways by a share of its width uniform on [-magnitude, magnitude]; positive is to the right.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), any float type.
      magnitude: fraction of the width; 0 is the identity; may be traced. Parts of a pixel count.
      fill: the value outside the image; static.
    Returns:
      (h, w, c), the dtype of image.
    """
    shift = image.shape[1] * jax.random.uniform(key, minval=-magnitude, maxval=magnitude)
    return warp(image, affine_matrix(translation=(shift, 0.0)), fill=fill)


def translate_y(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array, fill: float = 0.0) -> jax.Array:
    """Moves the image down or up by a share of its height, as `translate_x` does sideways; positive is down."""
    shift = image.shape[0] * jax.random.uniform(key, minval=-magnitude, maxval=magnitude)
    return warp(image, affine_matrix(translation=(0.0, shift)), fill=fill)


def scale(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array, fill: float = 0.0) -> jax.Array:
    """Zooms about the centre by a factor on [1 / (1 + magnitude), 1 + magnitude] whose logarithm is uniform.

    Bilinear without antialiasing: meant for factors near 1.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), any float type.
      magnitude: largest factor less one; 0 is the identity; may be traced.
      fill: the value outside the image; static.
    Returns:
      (h, w, c), the dtype of image.
    """
    factor = _factor(magnitude, jax.random.uniform(key, minval=-1, maxval=1))
    return warp(image, affine_matrix(scale=(factor, factor)), fill=fill)


def affine(
    key: jax.Array,
    image: jax.Array,
    *,
    magnitude: float | jax.Array,
    rotation: float = 10.0,
    shear: float = 10.0,
    translation: float = 0.1,
    scaling: float = 0.1,
    squeezing: float = 0.1,
    fill: float = 0.0,
) -> jax.Array:
    """Rotates, shears, scales, squeezes and moves the image, each by a random amount of its own.

    LeCun et al. 1998 (section III-B) distorted MNIST by translation both ways, scaling, squeezing (narrower and
    higher, or the reverse) and horizontal shearing, and gave no ranges: the defaults are ours. With rotation these six
    numbers make every affine map. An amount is uniform on [-magnitude * range, magnitude * range]; for the two factors
    it is the logarithm that is uniform, between -log(1 + magnitude * range) and its opposite.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), any float type.
      magnitude: in units of the ranges; 0 is the identity; may be traced.
      rotation: range, degrees.
      shear: range of the slant of vertical lines, degrees.
      translation: range, fraction of the width and of the height.
      scaling: range of the zoom, largest factor less one.
      squeezing: range of the factor, less one, by which the width grows and the height shrinks.
      fill: the value outside the image; static.
    Returns:
      (h, w, c), the dtype of image.
    """
    height, width, _ = image.shape
    turn, slant, zoom, squeeze, right, down = jax.random.uniform(key, (6,), minval=-1, maxval=1)
    zoom, squeeze = _factor(magnitude * scaling, zoom), _factor(magnitude * squeezing, squeeze)
    matrix = affine_matrix(
        rotation=turn * magnitude * rotation,
        shear=(slant * magnitude * shear, 0.0),
        translation=(right * magnitude * translation * width, down * magnitude * translation * height),
        scale=(zoom * squeeze, zoom / squeeze),
    )
    return warp(image, matrix, fill=fill)


def _factor(magnitude, exponent):
    """(1 + magnitude)**exponent."""
    return jnp.exp(exponent * jnp.log1p(magnitude))


def perspective(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array, fill: float = 0.0) -> jax.Array:
    """Looks at the image from aside: each corner of the result shows a point near that corner of the image.

    The point lies off the corner by a share of the width and one of the height, both uniform on
    [-magnitude, magnitude]; between the corners the map is the homography through the four points.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), any float type.
      magnitude: fraction of a side, from 0 (identity) to below 0.25, where the four points might no longer make a
        convex quadrilateral; may be traced.
      fill: the value outside the image; static.
    Returns:
      (h, w, c), the dtype of image.
    """
    offset = 2 * jax.random.uniform(key, (2, 2, 2), minval=-magnitude, maxval=magnitude)
    return warp(image, _homography(CORNERS + offset[0], CORNERS.T + offset[1], image.shape), fill=fill)


def _homography(x, y, shape):
    """The matrix that takes the corners of an image to the points x, y: (2, 2) each, in half sides from the centre.

    With s, t = -1 or 1 for left or right, top or bottom: (a s + b t + c) / (1 + g s + h t) = (x, y) at the corners.
    Times s t and summed over them a, b and c drop out, which leaves two equations for g and h.
    """
    signs = 1, CORNERS, CORNERS.T, CORNERS * CORNERS.T
    mean, by_s, by_t, by_st = (jnp.stack([(sign * x).mean(), (sign * y).mean()]) for sign in signs)
    determinant = by_t[0] * by_s[1] - by_s[0] * by_t[1]
    g = (by_s[0] * by_st[1] - by_s[1] * by_st[0]) / determinant
    h = (by_t[1] * by_st[0] - by_t[0] * by_st[1]) / determinant
    a, b, c = by_s + g * mean + h * by_st, by_t + g * by_st + h * mean, mean + g * by_s + h * by_t
    half_height, half_width = shape[0] / 2, shape[1] / 2
    return jnp.array(
        [
            [a[0], b[0] * half_width / half_height, c[0] * half_width],
            [a[1] * half_height / half_width, b[1], c[1] * half_height],
            [g / half_width, h / half_height, 1.0],
        ]
    )
