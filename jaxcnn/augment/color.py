"""Augmentations of colour, each the same for every pixel of an image.

All take an image (h, w, 1 or 3) of any float type in [0, 1] and give one of the same shape and type, in [0, 1];
`magnitude` may be traced, and 0 leaves the image as it is.
"""

import dm_pix
import jax
import jax.numpy as jnp

from jaxcnn.augment.photometric import photometric


@photometric
def brightness(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array) -> jax.Array:
    """Adds u to every value, u uniform on [-magnitude, magnitude].

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: the largest shift, on the [0, 1] scale.
    Returns:
      (h, w, c), the dtype of image.
    """
    return dm_pix.adjust_brightness(image, jax.random.uniform(key, minval=-magnitude, maxval=magnitude))


@photometric
def contrast(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array) -> jax.Array:
    """Scales the distance of every value to the mean of its channel by 1 + u, u uniform on [-magnitude, magnitude].

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: the largest change of the factor, in [0, 1]; a factor of 0 leaves the means.
    Returns:
      (h, w, c), the dtype of image.
    """
    return dm_pix.adjust_contrast(image, 1 + jax.random.uniform(key, minval=-magnitude, maxval=magnitude))


@photometric
def saturation(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array) -> jax.Array:
    """Scales the saturation in HSV by 1 + u, u uniform on [-magnitude, magnitude]; grey images stay as they are.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: the largest change of the factor, in [0, 1]; a factor of 0 takes the colour away.
    Returns:
      (h, w, c), the dtype of image.
    """
    if image.shape[-1] == 1:
        return image
    return dm_pix.adjust_saturation(image, 1 + jax.random.uniform(key, minval=-magnitude, maxval=magnitude))


@photometric
def hue(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array) -> jax.Array:
    """Turns the hue in HSV by u of the circle, u uniform on [-magnitude, magnitude]; grey images stay as they are.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: the largest turn, a fraction of the circle: 0.5 reaches every hue.
    Returns:
      (h, w, c), the dtype of image.
    """
    if image.shape[-1] == 1:
        return image
    return dm_pix.adjust_hue(image, jax.random.uniform(key, minval=-magnitude, maxval=magnitude))


@photometric
def gamma(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array) -> jax.Array:
    """Raises every value to the power exp(u), u uniform on [-log(1 + magnitude), log(1 + magnitude)].

    The exponent lies in [1 / (1 + magnitude), 1 + magnitude], and darkening is as likely as brightening.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: the largest exponent less 1, not negative.
    Returns:
      (h, w, c), the dtype of image.
    """
    bound = jnp.log1p(magnitude)
    return dm_pix.adjust_gamma(image, jnp.exp(jax.random.uniform(key, minval=-bound, maxval=bound)))


@photometric
def invert(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array) -> jax.Array:
    """Blends the image with its negative: (1 - u) * x + u * (1 - x), u uniform on [0, magnitude].

    A plain inversion has no strength. The blend has one that can be traced, with 0 for the image and 1 for the
    negative; on its way it passes a flat grey, for it scales the contrast around 1/2 by 1 - 2 * u.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: the largest share of the negative, in [0, 1].
    Returns:
      (h, w, c), the dtype of image.
    """
    return image + jax.random.uniform(key, maxval=magnitude) * (1 - 2 * image)


@photometric
def color_cast(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array) -> jax.Array:
    """Adds to each channel a number of its own, uniform on [-magnitude, magnitude]; grey images stay as they are.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: the largest shift of a channel, on the [0, 1] scale.
    Returns:
      (h, w, c), the dtype of image.
    """
    if image.shape[-1] == 1:
        return image
    return image + jax.random.uniform(key, (1, 1, 3), minval=-magnitude, maxval=magnitude)
