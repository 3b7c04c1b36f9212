"""Boxes stay on what they were drawn around: mirrored, scaled, cropped and padded."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.augment import horizontal_flip_with_boxes, random_zoom_with_boxes
from jaxcnn.operators import regions

SIZE = (24, 32)
BOXES = np.array([[4, 6, 12, 18], [20, 2, 30, 10], [0, 0, 0, 0]], np.float32)


@pytest.fixture(scope="module")
def image():
    """(24, 32, 2): each of the two boxes is filled in a channel of its own."""
    image = np.zeros((*SIZE, 2), np.float32)
    for channel, (x1, y1, x2, y2) in enumerate(BOXES[:2].astype(int)):
        image[y1:y2, x1:x2, channel] = 1
    return image


def extent(channel):
    """Edges (x1, y1, x2, y2) of what is filled, to a part of a pixel: the sum of a line is its length."""
    rows, columns = channel.max(axis=1), channel.max(axis=0)
    y, x = np.flatnonzero(rows > 0.02), np.flatnonzero(columns > 0.02)
    return [x[0] + 1 - columns[x[0]], y[0] + 1 - rows[y[0]], x[-1] + columns[x[-1]], y[-1] + rows[y[-1]]]


def test_boxes_are_mirrored_with_the_image(image):
    for probability, mirrored in ((1.0, True), (0.0, False)):
        found, boxes = horizontal_flip_with_boxes(jax.random.key(0), image, BOXES, probability=probability)
        expected = [[20, 6, 28, 18], [2, 2, 12, 10], [32, 0, 32, 0]] if mirrored else BOXES
        np.testing.assert_array_equal(boxes, expected)
        np.testing.assert_allclose([extent(np.asarray(found)[..., i]) for i in (0, 1)], expected[:2])


def test_boxes_are_scaled_and_moved_with_the_image(image):
    zoom = jax.jit(jax.vmap(functools.partial(random_zoom_with_boxes, scale=(0.5, 2.0)), (0, None, None)))
    images, boxes = map(np.asarray, zoom(jax.random.split(jax.random.key(0), 200), image, BOXES))
    factors = (boxes[:, 0, 2] - boxes[:, 0, 0]) / 8
    assert factors.min() < 0.55 and factors.max() > 1.8 and 0.4 < (factors > 1).mean() < 0.6
    inside = np.asarray(regions.inside(boxes[:, :2], size=SIZE, margin=-1.0))
    assert inside.sum() > 100 and not inside.all()
    for number, channel in np.argwhere(inside):
        # antialiasing smears an edge over a pixel where the image shrinks
        np.testing.assert_allclose(extent(images[number, ..., channel]), boxes[number, channel], atol=1.0)
    assert np.isfinite(images).all() and np.isfinite(boxes).all()


def test_a_zoom_without_scale_changes_nothing_and_a_wrong_one_is_refused(image):
    found, boxes = random_zoom_with_boxes(jax.random.key(0), image, BOXES, scale=(1, 1))
    np.testing.assert_allclose(found, image, atol=1e-6)
    np.testing.assert_array_equal(boxes, BOXES)
    with pytest.raises(ValueError, match="scale"):
        random_zoom_with_boxes(jax.random.key(0), image, BOXES, scale=(2, 1))


def test_boxes_of_a_view_come_back():
    """The part of 10 x 20 pixels from row 5, column 3, shown at 40 x 40: 4 times as high, twice as wide."""
    view = jnp.array([5.0, 3.0, 10.0, 20.0])
    shown = jax.jit(functools.partial(regions.shown, size=(40, 40)))(
        jnp.array([[3.0, 5, 23, 15], [4, 6, 5, 7]]), view=view
    )
    np.testing.assert_allclose(shown, [[0, 0, 40, 40], [2, 4, 4, 8]])
    np.testing.assert_allclose(
        regions.original(shown, view=view, size=(40, 40)), [[3, 5, 23, 15], [4, 6, 5, 7]], atol=1e-5
    )
    assert np.isfinite(regions.shown(shown, view=jnp.zeros(4), size=(40, 40))).all()  # of a record that was skipped
