"""Warped regions against a plain loop over pixels."""

import jax
import numpy as np
import pytest

from jaxcnn.operators.regions import warp


def triangle(position, length, scale):
    """Weights of the pixels of a side for a point: a triangle as wide as a pixel of the result, at least one pixel."""
    wide = max(1 / scale, 1)
    weights = np.maximum(1 - np.abs(np.arange(length) + 0.5 - position) / wide, 0)
    total = weights.sum()
    return weights / total if total and 0 <= position <= length else np.zeros(length)


def by_loop(image, box, size, context):
    found = np.zeros((*size, image.shape[2]))
    scales = [(side - 2 * context) / max(box[2 + axis] - box[axis], 1) for side, axis in ((size[0], 1), (size[1], 0))]
    for i in range(size[0]):
        for j in range(size[1]):
            y, x = box[1] + (i + 0.5 - context) / scales[0], box[0] + (j + 0.5 - context) / scales[1]
            rows, columns = (triangle(p, n, s) for p, n, s in zip((y, x), image.shape[:2], scales, strict=True))
            found[i, j] = np.einsum("y,x,yxc->c", rows, columns, image)
    return found


@pytest.mark.parametrize(("size", "context"), [((7, 9), 0), ((10, 10), 2)])
def test_warp_is_what_a_loop_over_pixels_finds(size, context):
    random = np.random.default_rng(0)
    images = random.normal(0, 1, (2, 12, 17, 3)).astype(np.float32)
    corners = np.sort(random.uniform(-2, 16, (2, 20, 2, 2)), axis=2).reshape(2, 20, 4)
    boxes = corners.astype(np.float32)
    boxes[0, 0] = [3, 4, 3, 9]  # without width
    boxes[1, 1] = [0, 0, 17, 12]  # the whole image
    found = np.asarray(jax.jit(lambda x, b: warp(x, b, size=size, context=context))(images, boxes))
    assert found.shape == (2, 20, *size, 3)
    for n in range(2):
        for m in range(20):
            np.testing.assert_allclose(found[n, m], by_loop(images[n], boxes[n, m], size, context), atol=1e-4)


def test_context_must_leave_room():
    with pytest.raises(ValueError, match="context is 4 pixels"):
        warp(np.zeros((1, 8, 8, 3), np.float32), np.zeros((1, 1, 4), np.float32), size=8, context=4)
