"""The common part of augmentations that change the values of pixels and not their places."""

import functools
from types import FunctionType
from typing import TypeVar

import jax.numpy as jnp

_Operation = TypeVar("_Operation", bound=FunctionType)


def photometric(operation: _Operation) -> _Operation:
    """Makes an operation take any float type: it computes in float32, its result is clipped to [0, 1] and cast back.

    Args:
      operation: f(key, image, *, magnitude, ...) on a float32 image and magnitude; its result may leave [0, 1].
    Returns:
      The function of the same signature. It raises ValueError unless the image is (h, w, 1) or (h, w, 3), of floats.
    """

    @functools.wraps(operation)
    def checked(key, image, *, magnitude, **options):
        floats = jnp.issubdtype(image.dtype, jnp.floating)
        if not floats or image.ndim != 3 or image.shape[-1] not in (1, 3):
            raise ValueError(
                f"{operation.__name__} takes one image (h, w, 1 or 3) of floats in [0, 1], "
                f"got {image.dtype} of shape {image.shape}"
            )
        image32, magnitude = jnp.asarray(image, jnp.float32), jnp.asarray(magnitude, jnp.float32)
        changed = operation(key, image32, magnitude=magnitude, **options)
        return jnp.clip(changed, 0.0, 1.0).astype(image.dtype)

    return checked  # ty: ignore[invalid-explicit-return]  of the same signature
