"""Augmentations that mix the images of a batch, and their targets, in pairs.

Image 2 * j meets image 2 * j + 1. Batches are shuffled, so neighbours are a random pairing; and the pairs stay the
same however the batch is split over devices, as long as each gets an even number of images and the same key.
"""

import jax
import jax.numpy as jnp

from jaxcnn.augment.box import random_box


def mixup(
    key: jax.Array, images: jax.Array, targets: jax.Array, *, alpha: float | jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Mixes each image with its neighbour, and their targets: l * x + (1 - l) * x', l ~ Beta(alpha, alpha), once.

    Zhang et al. 2017, arXiv:1710.09412; alpha is 0.1 to 0.4 on ImageNet and 1 on CIFAR-10 (sections 3.1 and 3.2).

    Args:
      key: PRNG key of the batch, the same on every device.
      images: (n, h, w, c), any float type; n is even.
      targets: (n, K), any float type: one-hot or other distributions over the classes.
      alpha: not negative, may be traced; 0 leaves the batch as it is.
    Returns:
      (images, targets), shapes and dtypes as given.
    Raises:
      ValueError: n is odd, there is not one row of targets for each image, or the values are not floats.
    """
    _check(images, targets)
    share = _share(key, alpha)
    return _blend(images, share), _blend(targets, share)


def cutmix(
    key: jax.Array, images: jax.Array, targets: jax.Array, *, alpha: float | jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Pastes a box of its neighbour into each image, and mixes the targets by area.

    The box takes sqrt(1 - l) of the height and of the width, l ~ Beta(alpha, alpha), around a uniformly random pixel,
    cut off at the border; one box serves the batch. The weight of an image's own targets is the fraction of its pixels
    that stays, exactly. Yun et al. 2019, arXiv:1905.04899, section 3.1; alpha is 1 in the paper.

    Args:
      key: PRNG key of the batch, the same on every device.
      images: (n, h, w, c), any float type; n is even.
      targets: (n, K), any float type: one-hot or other distributions over the classes.
      alpha: not negative, may be traced; 0 leaves the batch as it is.
    Returns:
      (images, targets), shapes and dtypes as given.
    Raises:
      ValueError: n is odd, there is not one row of targets for each image, or the values are not floats.
    """
    _check(images, targets)
    share_key, box_key = jax.random.split(key)
    ratio = jnp.sqrt(1 - _share(share_key, alpha))
    shape = images.shape[1:3]
    inside = random_box(box_key, shape, sides=[(size * ratio).astype(jnp.int32) for size in shape])
    pasted = jnp.where(inside[None, ..., None], _neighbours(images), images)
    return pasted, _blend(targets, 1 - jnp.mean(inside, dtype=jnp.float32))


def _share(key, alpha):
    """The share that images keep, ~ Beta(alpha, alpha); 1 where alpha is 0, though its limit is 0 or 1 at random."""
    alpha = jnp.asarray(alpha, jnp.float32)
    positive = jnp.where(alpha > 0, alpha, 1.0)
    return jnp.where(alpha > 0, jax.random.beta(key, positive, positive), 1.0)


def _blend(x, share):
    """share of each row and the rest of its neighbour, computed in float32."""
    own, other = jnp.asarray(x, jnp.float32), jnp.asarray(_neighbours(x), jnp.float32)
    return (share * own + (1 - share) * other).astype(x.dtype)


def _neighbours(x):
    """Rows 1, 0, 3, 2, ... of x."""
    return x.reshape(-1, 2, *x.shape[1:])[:, ::-1].reshape(x.shape)


def _check(images, targets):
    if len(images) % 2:
        raise ValueError(f"images are mixed in pairs, but the batch on this device has {len(images)}; make it even")
    if len(targets) != len(images):
        raise ValueError(f"{len(images)} images with {len(targets)} rows of targets; there should be one each")
    for name, values in (("images", images), ("targets", targets)):
        if not jnp.issubdtype(values.dtype, jnp.floating):
            raise ValueError(f"{name} are {values.dtype}; mixing needs floats (targets as one-hot rows)")
