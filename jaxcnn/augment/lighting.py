"""Colour augmentation along the principal components of a data set's pixels (Krizhevsky et al. 2012, section 4.1)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxcnn.augment.photometric import photometric

# Of the RGB pixels of ImageNet on the [0, 1] scale, as published with fb.resnet.torch (datasets/imagenet.lua). The
# values are eigenvalues of the covariance, not their square roots: their sum is 0.241, three variances of 0.283**2.
IMAGENET_VALUES = (0.2175, 0.0188, 0.0045)
IMAGENET_VECTORS = (  # a row for each of R, G, B; a column for each component
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)


@photometric
def lighting(
    key: jax.Array,
    image: jax.Array,
    *,
    magnitude: float | jax.Array,
    values: Sequence[float] | jax.Array = IMAGENET_VALUES,
    vectors: Sequence[Sequence[float]] | jax.Array = IMAGENET_VECTORS,
) -> jax.Array:
    """Adds one colour to all pixels: multiples of the principal components, drawn once for the image.

    y = x + [p_1, p_2, p_3] [a_1 l_1, a_2 l_2, a_3 l_3]^T,  a_i ~ N(0, magnitude**2)   (Krizhevsky et al. 2012, 4.1)

    l_i is the eigenvalue, as printed, not its square root; so the shift depends on the scale of the pixels, and here,
    as in the codebases that published the ImageNet numbers, that scale is [0, 1]. `principal_components` of
    jaxcnn.data gives the values and vectors of another data set.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: standard deviation of the multiples; 0.1 in the paper.
      values: (c,) eigenvalues of the covariance of the pixels.
      vectors: (c, c), a row for each channel and a column for each component.
    Returns:
      (h, w, c), the dtype of image; a grey image stays as it is where the components are those of colours.
    Raises:
      ValueError: the components are of another number of channels.
    """
    channels = image.shape[-1]
    values, vectors = jnp.asarray(values, jnp.float32), jnp.asarray(vectors, jnp.float32)
    if channels == 1 and vectors.shape == (3, 3):
        return image
    if vectors.shape != (channels, channels) or values.shape != (channels,):
        raise ValueError(
            f"lighting of {channels} channels: values {values.shape} and vectors {vectors.shape} "
            f"should be ({channels},) and ({channels}, {channels})"
        )
    steps = magnitude * jax.random.normal(key, (channels,)) * values
    return image + jnp.sum(vectors * steps[None], axis=1)[None, None]
