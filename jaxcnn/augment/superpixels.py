"""Augmentation by superpixels: patches of similar colour become flat."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.augment.photometric import photometric

ITERATIONS = 2  # of k-means; the ten of the paper change little that is seen
COMPACTNESS = 0.3  # difference of colour that weighs as much as the side of a cell
NOWHERE = 1e6  # the features of a centre beyond the grid, which no pixel chooses


@photometric
def superpixels(key: jax.Array, image: jax.Array, *, magnitude: float | jax.Array, segments: int = 64) -> jax.Array:
    """Replaces each superpixel by its mean colour, independently with probability magnitude.

    The partition is that of SLIC (Achanta et al. 2012, IEEE TPAMI 34(11)), but in RGB: k-means over colour and place,
    from the centres of the cells of a grid, which the key moves. A pixel chooses among the centres of its cell and of
    the eight around it. Stray pixels are not joined to the patches around them.

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
    height, width, channels = image.shape
    sides = _sides(height, width, segments)
    near = _neighbours(-(-height // sides[0]), -(-width // sides[1]))
    jitter_key, replace_key = jax.random.split(key)

    places = np.stack([*np.mgrid[:height, :width]], axis=-1) * np.float32(COMPACTNESS) / np.array(sides, np.float32)
    cells = _cut(jnp.concatenate([image, places, jnp.ones((height, width, 1))], axis=-1), sides)
    jitter = COMPACTNESS * jax.random.uniform(jitter_key, (2, near.shape[1]), minval=-0.3, maxval=0.3)
    choice, means = _partition(cells, near, jnp.pad(jitter, ((channels, 0), (0, 0))))

    replaced = jax.random.bernoulli(replace_key, magnitude, (1, near.shape[1]))
    patches = _look(jnp.concatenate([means[:channels], replaced]), near)  # (c + 1, 9, cells)
    drawn = jnp.sum(jnp.where(_chosen(choice)[None], patches[:, :, None], 0.0), axis=1)
    drawn = _join(drawn, sides, width)[:height, :width]
    return jnp.where(drawn[..., channels:] > 0, drawn[..., :channels], image)


def _sides(height, width, segments):
    """(vertical, horizontal) sides of the cells, in pixels: nearly square, and about as many cells as segments."""
    rows = min(height, max(1, round(np.sqrt(segments * height / width))))
    columns = min(width, max(1, round(segments / rows)))
    return -(-height // rows), -(-width // columns)


def _neighbours(rows, columns):
    """(9, rows * columns): the number of the cell itself, fifth, and of the eight around it; -1 beyond the grid."""
    numbers = np.pad(np.arange(rows * columns).reshape(rows, columns), 1, constant_values=-1)
    return np.stack([numbers[i : i + rows, j : j + columns].ravel() for i in range(3) for j in range(3)])


def _cut(x, sides):
    """(h, w, f) to (f, pixels of a cell, cells), with zeros where cells reach over the border."""
    height, width, features = x.shape
    x = jnp.pad(x, ((0, -height % sides[0]), (0, -width % sides[1]), (0, 0)))
    x = x.reshape(-1, sides[0], x.shape[1] // sides[1], sides[1], features).transpose(4, 1, 3, 0, 2)
    return x.reshape(features, sides[0] * sides[1], -1)


def _join(cells, sides, width):
    """The way back from `_cut`, with what reaches over the border."""
    columns = -(-width // sides[1])
    x = cells.reshape(len(cells), *sides, -1, columns).transpose(3, 1, 4, 2, 0)
    return x.reshape(-1, columns * sides[1], len(cells))


def _partition(cells, near, jitter):
    """Which of its nine centres each pixel chooses, (pixels of a cell, cells), and the means of each centre's pixels.

    The last feature of `cells` is 1 for a pixel and 0 beyond the border.
    """

    def nearest(centres):
        distance = jnp.sum(jnp.square(cells[:-1, None] - _look(centres, near, NOWHERE)[:, :, None]), axis=0)
        return jnp.argmin(distance, axis=0)

    def update(centres, choice):
        sums = jnp.sum(jnp.where(_chosen(choice)[None], cells[:, None], 0.0), axis=2)  # (f, 9, cells)
        # what cell k gives to its neighbour in one direction, that neighbour finds in the opposite one
        sums = sum(_look(sums[:, at], near[8 - at]) for at in range(9))
        return jnp.where(sums[-1:] > 0, sums[:-1] / jnp.maximum(sums[-1:], 1.0), centres)

    centres = update(jitter, jnp.full(cells.shape[1:], 4)) + jitter
    centres = lax.fori_loop(0, ITERATIONS, lambda _, centres: update(centres, nearest(centres)), centres)
    choice = nearest(centres)
    return choice, update(centres, choice)


def _look(values, cells, beyond=0.0):
    """values (f, cells) of the given cells, and `beyond` where the cell is -1."""
    return jnp.pad(values, ((0, 0), (0, 1)), constant_values=beyond)[:, cells]


def _chosen(choice):
    """(9, pixels of a cell, cells): the nine choices one-hot."""
    return choice[None] == np.arange(9)[:, None, None]
