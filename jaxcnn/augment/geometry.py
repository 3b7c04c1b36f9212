"""Augmentations that move pixels."""

import jax
import jax.numpy as jnp
from jax import lax


def horizontal_flip(key, image, *, probability=0.5):
    """Mirrors the image left to right with the given probability.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), any dtype.
      probability: of the flip; may be traced.
    Returns:
      (h, w, c), the dtype of image.
    """
    return jnp.where(jax.random.bernoulli(key, probability), image[:, ::-1], image)


def pad_crop(key, image, *, padding):
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
    top, left = jax.random.randint(key, (2,), 0, 2 * padding + 1)
    padded = jnp.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    return lax.dynamic_slice(padded, (top, left, 0), image.shape)
