"""Boxes, their targets, anchors, suppression, assignment and sampling, against plain loops."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import regions_by_loops as loops
from jax.test_util import check_grads

from jaxcnn.operators import regions

IOU, COVERED, ENCODE, DECODE = map(jax.jit, (regions.iou, regions.covered, regions.encode, regions.decode))


def random_boxes(count, *, seed=0, size=(48, 64), tiny=True):
    """(count, 4) float32: of all sizes, some over the border, some tiny, some empty, some the wrong way round."""
    random = np.random.default_rng(seed)
    centres = random.uniform(0, size[::-1], (count, 2))
    sides = np.exp(random.uniform(np.log(0.5 if tiny else 4), np.log(max(size)), (count, 2)))
    if tiny:
        sides[::11] = 0
        sides[5::23, 0] *= -1
        sides[7::19] = 1e-3
    return np.concatenate([centres - sides / 2, centres + sides / 2], axis=1).astype(np.float32)


def test_overlaps_equal_loops():
    boxes, others = random_boxes(1500), random_boxes(7, seed=1)
    boxes[:7] = others
    own = np.array([[(loops.iou(a, b), loops.covered(a, b)) for b in others.tolist()] for a in boxes.tolist()])
    overlaps = np.asarray(IOU(boxes, others))
    np.testing.assert_allclose(overlaps, own[..., 0], atol=1e-5)
    np.testing.assert_allclose(COVERED(boxes, others), own[..., 1], atol=1e-5)
    np.testing.assert_allclose(jax.jit(regions.areas)(boxes), [loops.area(box) for box in boxes.tolist()], rtol=1e-5)
    assert overlaps[0, 0] == 0  # an empty box does not overlap itself
    mapped = jax.jit(jax.vmap(regions.iou, (0, None)))(boxes.reshape(5, 300, 4), others)
    np.testing.assert_array_equal(np.asarray(mapped).reshape(1500, 7), overlaps)
    with pytest.raises(ValueError, match="vmap"):
        regions.iou(boxes[None], others)


def test_one_pixel_is_one_wide():
    """Edges, not pixels: half of a box of 2 x 1 is a box of 1 x 1."""
    two, one = np.array([[3, 5, 5, 6]], np.float32), np.array([[3, 5, 4, 6]], np.float32)
    assert IOU(two, one) == 0.5 and COVERED(two, one) == 0.5 and COVERED(one, two) == 1


def test_boxes_are_clipped_to_the_image():
    boxes = random_boxes(2000)
    height, width = 48, 64
    expected = [[min(max(v, 0), side) for v, side in zip(box, (width, height) * 2, strict=True)] for box in boxes]
    clipped = jax.jit(lambda boxes, size: regions.clip(boxes, size=size))(boxes, (height, width))
    np.testing.assert_array_equal(clipped, np.array(expected, np.float32))
    assert np.asarray(regions.inside(clipped, size=(height, width))).all()
    within = [a >= 0 and b >= 0 and c <= width and d <= height for a, b, c, d in boxes.tolist()]
    np.testing.assert_array_equal(regions.inside(boxes, size=(height, width)), within)
    assert not all(within)


def test_targets_equal_the_papers_equations_and_come_back():
    boxes, anchors = random_boxes(2000, tiny=False), random_boxes(2000, seed=1, tiny=False)
    means, stds = (0.1, -0.2, 0.05, 0.3), (0.1, 0.1, 0.2, 0.2)
    expected = []
    for (x1, y1, x2, y2), (a1, b1, a2, b2) in zip(boxes.tolist(), anchors.tolist(), strict=True):
        wide, tall = a2 - a1, b2 - b1
        plain = (((x1 + x2) - (a1 + a2)) / 2 / wide, ((y1 + y2) - (b1 + b2)) / 2 / tall)
        plain += (np.log((x2 - x1) / wide), np.log((y2 - y1) / tall))
        expected.append([(p - m) / s for p, m, s in zip(plain, means, stds, strict=True)])
    targets = jax.jit(lambda *boxes: regions.encode(*boxes, means=means, stds=stds))(boxes, anchors)
    np.testing.assert_allclose(targets, expected, rtol=1e-5, atol=1e-4)  # targets reach 300
    np.testing.assert_allclose(
        jax.jit(functools.partial(regions.decode, means=means, stds=stds))(targets, anchors), boxes, atol=2e-5 * 64
    )
    mapped = np.asarray(ENCODE(boxes.reshape(20, 100, 4), anchors.reshape(20, 100, 4)))
    np.testing.assert_allclose(mapped.reshape(-1, 4), ENCODE(boxes, anchors), rtol=1e-6, atol=1e-6)


def test_targets_of_empty_boxes_are_finite_and_decoded_sides_bounded():
    boxes = random_boxes(2000)
    assert np.isfinite(ENCODE(boxes, boxes[::-1])).all() and (boxes[:, 0] == boxes[:, 2]).any()
    grads = jax.jit(jax.grad(lambda boxes: regions.encode(boxes, jnp.zeros((1, 4))).sum()))(jnp.zeros((1, 4)))
    assert np.isfinite(grads).all()
    box = DECODE(jnp.array([[0.0, 0.0, 100.0, 0.0]]), jnp.array([[0.0, 0.0, 16.0, 16.0]]))
    np.testing.assert_allclose(box, [[8 - 500, 0, 8 + 500, 16]], rtol=1e-6)


def test_gradients_of_the_coding():
    boxes, anchors = random_boxes(8, tiny=False), random_boxes(8, seed=1, tiny=False)
    offsets = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    for function, value in ((regions.encode, boxes), (regions.decode, offsets), (regions.iou, boxes + 0.3)):
        own = jax.jit(functools.partial(lambda f, x: f(x, anchors), function))
        check_grads(own, (value,), 1, modes=("rev",), eps=1e-2, atol=0.02, rtol=0.02)


def test_smooth_l1_changes_from_square_to_line_at_beta():
    difference = jnp.array([-3.0, -0.5, 0.0, 1 / 9, 0.2])
    np.testing.assert_allclose(regions.smooth_l1(difference), [2.5, 0.125, 0, 1 / 162, 0.02], rtol=1e-6)
    nine = [-3 + 0, -0.5, 0, 1 / 9, 0.2]
    expected = [9 * d * d / 2 if abs(d) < 1 / 9 else abs(d) - 1 / 18 for d in nine]
    np.testing.assert_allclose(regions.smooth_l1(difference, beta=1 / 9), expected, rtol=1e-6)
    slope = jax.vmap(jax.grad(lambda d: regions.smooth_l1(d, beta=1 / 9)))(difference)
    np.testing.assert_allclose(slope, [-1, -1, 0, 1, 1], atol=1e-6)


def test_anchors_are_those_of_the_paper():
    """Three areas, three ratios, around the middle of each cell; rounded, the nine of the authors' code."""
    found = regions.anchors((2, 3), stride=16)
    assert found.shape == (2 * 3 * 9, 4) and found.dtype == np.float32
    sides = found[:, 2:] - found[:, :2]
    np.testing.assert_allclose(np.sqrt(sides.prod(axis=1)).reshape(6, 3, 3)[5, 2], [128, 256, 512], rtol=1e-6)
    np.testing.assert_allclose((sides[:, 1] / sides[:, 0]).reshape(6, 3, 3)[0, :, 1], [0.5, 1, 2], rtol=1e-6)
    centres = ((found[:, 2:] + found[:, :2]) / 2).reshape(2, 3, 9, 2)
    np.testing.assert_allclose(centres[1, 2], np.tile([40, 24], (9, 1)), atol=1e-4)
    # the table in their generate_anchors names pixels from 1
    authors = [[-83, -39, 100, 56], [-175, -87, 192, 104], [-359, -183, 376, 200]]
    authors += [[-55, -55, 72, 72], [-119, -119, 136, 136], [-247, -247, 264, 264]]
    authors += [[-35, -79, 52, 96], [-79, -167, 96, 184], [-167, -343, 184, 360]]
    rounded = regions.anchors((1, 1), stride=16, rounded=True)
    np.testing.assert_array_equal(rounded, np.array(authors, np.float32) - [[1, 1, 0, 0]])
    with pytest.raises(ValueError, match="positive"):
        regions.anchors((1, 1), stride=16, scales=(0,))


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
def test_suppression_equals_a_loop(threshold):
    random, boxes = np.random.default_rng(3), random_boxes(600, seed=2)
    scores = random.integers(0, 200, 600).astype(np.float32)  # many are equal
    scores[::17] = -np.inf
    mask = random.random(600) > 0.1
    suppress = jax.jit(functools.partial(regions.non_maximum_suppression, threshold=threshold, count=600))
    expected = loops.suppress(boxes, np.where(mask, scores, -np.inf), np.zeros(600), threshold)
    indices, kept = suppress(boxes, scores, mask=mask)
    assert indices[: len(expected)].tolist() == expected and 5 < len(expected) < 560
    assert kept.tolist() == [True] * len(expected) + [False] * (600 - len(expected))
    assert not indices[len(expected) :].any()


@pytest.mark.parametrize("count", [20, 600])
def test_suppression_of_classes_equals_a_loop_over_all_of_their_boxes(count):
    random, boxes = np.random.default_rng(3), random_boxes(1200, seed=2)
    scores = random.integers(0, 200, 1200).astype(np.float32)  # many are equal
    scores[::17] = np.nan
    mask = random.random(1200) > 0.1
    candidates = np.where(mask & ~np.isnan(scores), scores, -np.inf)
    classes = np.repeat(np.arange(3), 200)
    suppress = functools.partial(regions.non_maximum_suppression_by_class, threshold=0.3, count=count)
    shape = 2, 3, 200  # of images, of classes, of boxes
    of_images = jax.jit(jax.vmap(lambda boxes, scores, mask: suppress(boxes, scores, mask=mask)))
    found = of_images(boxes.reshape(*shape, 4), scores.reshape(shape), mask.reshape(shape))
    for image, (own, places, kept) in enumerate(zip(*map(np.asarray, found), strict=True)):
        rows = slice(600 * image, 600 * (image + 1))
        expected = loops.suppress(boxes[rows], candidates[rows], classes, 0.3)
        assert 60 < len(expected) < 560
        expected = expected[:count]
        assert (200 * own + places)[: len(expected)].tolist() == expected
        assert kept.tolist() == [True] * len(expected) + [False] * (count - len(expected))
        assert not own[len(expected) :].any() and not places[len(expected) :].any()


def test_suppression_of_many_images_without_a_mask():
    boxes = random_boxes(2000, seed=4).reshape(20, 100, 4)
    scores = np.random.default_rng(5).random((20, 100), np.float32)
    scores[3, 7] = np.nan
    suppress = jax.jit(jax.vmap(lambda *a: regions.non_maximum_suppression(*a, threshold=0.5, count=30)))
    for own, image, found, kept in zip(boxes, scores, *map(np.asarray, suppress(boxes, scores)), strict=True):
        expected = loops.suppress(own, np.where(np.isnan(image), -np.inf, image), np.zeros(100), 0.5)
        assert found[kept].tolist() == expected[:30] and kept.sum() == min(30, len(expected))


RULES = {
    "rpn": {"positive": 0.7, "negative": 0.3, "best": True},
    "fast": {"positive": 0.5, "negative": 0.5, "lowest": 0.1},
}


@pytest.mark.parametrize("rule", RULES)
def test_assignment_equals_a_loop(rule):
    options = {"lowest": 0.0, "best": False, "inside_crowd": 0.7, **RULES[rule]}
    seen = np.zeros(3, int)
    assign = jax.jit(functools.partial(regions.assign, **RULES[rule]))
    for image in range(6):
        random = np.random.default_rng(image)
        objects = random_boxes(5, seed=100 + image, tiny=image % 2 == 1)
        boxes = random_boxes(400, seed=image)
        boxes[:40] = np.repeat(objects, 8, axis=0) + random.normal(0, 2, (40, 4))
        boxes[40:80:2] = boxes[41:81:2]  # equal ones are best together
        there, crowd, taken = random.random(5) > 0.2, random.random(5) > 0.7, random.random(400) > 0.2
        found = assign(boxes, objects, there, crowd=crowd & there, mask=taken)
        labels, matched, overlaps = loops.assign(
            boxes.tolist(), objects.tolist(), there, crowd & there, taken, **options
        )
        np.testing.assert_allclose(found.overlaps, overlaps, atol=1e-5)
        assert found.labels.tolist() == labels and found.objects.tolist() == matched
        seen += np.bincount(np.array(labels) + 1, minlength=3)
    assert (seen > 20).all()


def test_an_image_without_objects_is_background():
    boxes, nothing = random_boxes(50), jnp.zeros((2, 4))
    assign = jax.jit(lambda mask: regions.assign(boxes, nothing, jnp.zeros(2), mask=mask, **RULES["rpn"]))
    found = assign(jnp.ones(50))
    assert not np.asarray(found.labels).any() and not np.asarray(found.overlaps).any()
    assert (np.asarray(assign(jnp.zeros(50)).labels) == -1).all()


def test_sampling_keeps_its_numbers_and_draws_each_box_as_often():
    labels = jnp.array([1] * 10 + [0] * 20 + [-1] * 10)
    draw = jax.jit(jax.vmap(lambda key: regions.sample(key, labels, count=12, positives=4)))
    keys = jax.random.split(jax.random.key(0), 4000)
    indices, drawn = map(np.asarray, draw(keys))
    assert drawn.all() and (indices[:, :4] < 10).all() and ((indices[:, 4:] >= 10) & (indices[:, 4:] < 30)).all()
    assert all(len(set(row)) == 12 for row in indices[:50].tolist())
    often = np.bincount(indices.ravel(), minlength=40)
    np.testing.assert_allclose(often[:30] / 4000, [0.4] * 30, atol=0.04)  # 5 sigma
    np.testing.assert_array_equal(indices, draw(keys)[0])


def test_sampling_fills_up_with_background_and_masks_the_rest():
    draw = jax.jit(functools.partial(regions.sample, count=4, positives=2))
    for labels, positives, background in (([1, 0, 0, 0, 0, -1], 1, 3), ([1, 1, 0, -1, -1, -1], 2, 1), ([-1] * 6, 0, 0)):
        indices, drawn = map(np.asarray, draw(jax.random.key(1), jnp.array(labels)))
        found = [labels[i] for i in indices[drawn].tolist()]
        assert found == [1] * positives + [0] * background
        assert not indices[~drawn].any()
    with pytest.raises(ValueError, match="cannot be drawn"):
        regions.sample(jax.random.key(1), jnp.zeros(3), count=4, positives=2)
