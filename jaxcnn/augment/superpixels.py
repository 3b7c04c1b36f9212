"""Augmentation by superpixels: patches of similar colour become flat."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.augment.photometric import photometric

ITERATIONS = 4  # of k-means; the ten of the paper change little that is seen
COMPACTNESS = 0.3  # difference of colour that weighs as much as the distance between two centres


@photometric
def superpixels(key, image, *, magnitude, segments=64):
    """Replaces each superpixel by its mean colour, independently with probability magnitude.

    The partition is that of SLIC (Achanta et al. 2012, IEEE TPAMI 34(11)), in RGB: k-means over colour and place,
    from the centres of a grid, which the key moves, and with each pixel choosing among the nine centres around
    it. Stray pixels are not joined to the patches around them.

    Args:
      key: PRNG key of this image.
      image: (h, w, c), in [0, 1].
      magnitude: probability that a superpixel is replaced, in [0, 1].
      segments: about how many superpixels; static, positive.
    Returns:
      (h, w, c), the dtype of image.
    Raises:
      ValueError: segments is not positive.
    """
    if segments < 1:
        raise ValueError(f"segments is {segments}; it is a number of superpixels, 1 or more.")
    jitter_key, replace_key = jax.random.split(key)
    labels, means = _slic(jitter_key, image, _grid(image.shape[:2], segments))
    replaced = jax.random.bernoulli(replace_key, magnitude, means.shape[:1])
    return jnp.where(replaced[labels][..., None], means[labels], image)


def _grid(shape, segments):
    """(rows, columns) of about `segments` near-square cells."""
    height, width = shape
    rows = min(height, max(1, round(np.sqrt(segments * height / width))))
    return rows, min(width, max(1, round(segments / rows)))


def _slic(key, image, grid):
    """(h, w) label of each pixel and (rows * columns, c) mean colour of each label."""
    height, width, channels = image.shape
    count = grid[0] * grid[1]
    cell = np.array([[height / grid[0], width / grid[1]]], np.float32)
    candidates = _candidates((height, width), grid)
    places = ((np.stack(np.mgrid[:height, :width], axis=-1) + 0.5) / cell).astype(np.float32)  # in cells of the grid
    features = jnp.concatenate([image, COMPACTNESS * places], axis=-1)

    def nearest(centres):
        distance = jnp.sum(jnp.square(centres[candidates] - features[None]), axis=-1)
        return jnp.take_along_axis(candidates, jnp.argmin(distance, axis=0)[None], axis=0)[0]

    def update(centres, _):
        labels = nearest(centres).reshape(-1)
        sums = jax.ops.segment_sum(features.reshape(-1, channels + 2), labels, count)
        sizes = jax.ops.segment_sum(jnp.ones(labels.shape), labels, count)[:, None]
        return jnp.where(sizes > 0, sums / jnp.maximum(sizes, 1.0), centres), None

    starts = np.stack(np.mgrid[: grid[0], : grid[1]], axis=-1).reshape(count, 2)
    starts = starts + jax.random.uniform(key, (count, 2), minval=0.2, maxval=0.8)
    pixels = (starts * cell).astype(jnp.int32)
    centres = jnp.concatenate([image[pixels[:, 0], pixels[:, 1]], COMPACTNESS * starts], axis=-1)
    centres, _ = jax.lax.scan(update, centres, length=ITERATIONS)
    labels = nearest(centres)
    return labels, update(centres, None)[0][:, :channels]


def _candidates(shape, grid):
    """(9, h, w) int32: the labels of a pixel's own cell of the grid and of the eight around it."""
    cells = [np.arange(size) * number // size for size, number in zip(shape, grid, strict=True)]
    near = []
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            row = np.clip(cells[0] + i, 0, grid[0] - 1)
            column = np.clip(cells[1] + j, 0, grid[1] - 1)
            near.append(row[:, None] * grid[1] + column[None])
    return np.stack(near).astype(np.int32)
