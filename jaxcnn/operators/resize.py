"""Enlarging a map without parameters, for the resize-and-convolve of a decoder."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxcnn.operators.padding import check_image, pair


def resize_nearest(x: jax.Array, *, factor: int | Sequence[int] = 2) -> jax.Array:
    """Repeats every pixel: y[i, j] = x[i // factor, j // factor].

    Before a convolution it takes the place of a strided transposed one, without its checkerboard (Odena, Dumoulin and
    Olah 2016, "Deconvolution and checkerboard artifacts"). It is `jax.image.resize` with "nearest" to a whole multiple
    of the size, as a copy in place of a gather.

    Args:
      x: (n, h, w, c), any type.
      factor: int or (vertical, horizontal), 1 or more.
    Returns:
      (n, h * factor, w * factor, c), the dtype of x.
    Raises:
      ValueError: x is no batch of images, or a factor is below 1.
    """
    check_image(x.shape)
    factors = pair(factor)
    if min(factors) < 1:
        raise ValueError(f"a factor is 1 or more, got {factor}")
    return jnp.repeat(jnp.repeat(x, factors[0], axis=1), factors[1], axis=2)
