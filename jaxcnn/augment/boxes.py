"""Operations that move boxes with their image. Boxes are edges (x1, y1, x2, y2), see jaxcnn.operators.regions."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxcnn.augment.resample import resample_box
from jaxcnn.operators.regions import shown


def horizontal_flip_with_boxes(
    key: jax.Array, image: jax.Array, boxes: jax.Array, *, probability: float | jax.Array = 0.5
) -> tuple[jax.Array, jax.Array]:
    """Mirrors image and boxes left to right with the given probability.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), any dtype.
      boxes: (m, 4).
      probability: of the flip; may be traced.
    Returns:
      (image, boxes), as they came.
    """
    flipped = jax.random.bernoulli(key, probability)
    x1, y1, x2, y2 = (boxes[:, i] for i in range(4))
    mirrored = jnp.stack([image.shape[1] - x2, y1, image.shape[1] - x1, y2], axis=1)
    return jnp.where(flipped, image[:, ::-1], image), jnp.where(flipped, mirrored, boxes)


def random_zoom_with_boxes(
    key: jax.Array, image: jax.Array, boxes: jax.Array, *, scale: Sequence[float] = (0.75, 1.5)
) -> tuple[jax.Array, jax.Array]:
    """Scales image and boxes by a random factor, and shows a random window of the image's own size.

    The factor is uniform in its logarithm. Above 1 the window is a crop; below 1 the image lies at a random place on
    zeros. Bilinear, antialiased. Boxes are not cut at the window.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), any float type.
      boxes: (m, 4).
      scale: smallest and largest factor; static.
    Returns:
      (image, boxes), as they came.
    Raises:
      ValueError: scale is not an increasing range of positive numbers.
    """
    if not 0 < scale[0] <= scale[1]:
        raise ValueError(f"scale {scale} must rise from above 0.")
    zoom, down, across = jax.random.uniform(key, (3,))
    factor = scale[0] * (scale[1] / scale[0]) ** zoom
    size = image.shape[:2]
    height, width = (side / factor for side in size)
    view = jnp.stack([down * (size[0] - height), across * (size[1] - width), height, width])
    zoomed = resample_box(image, top=view[0], left=view[1], height=height, width=width, size=size)
    return zoomed, shown(boxes, view=view, size=size)
