"""RoI pooling and RoI align against loops over bins and samples, and their gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import regions_by_loops as loops
from jax.test_util import check_grads
from test_regions import random_boxes

from jaxcnn.operators import regions

STRIDE = 8
IMAGE = (70, 90)  # pixels, of maps of 8 x 11: the last cells of a box may lie beyond


@pytest.fixture(scope="module")
def features():
    """(2, 8, 11, 3), all values different."""
    random = np.random.default_rng(0)
    return random.permutation(2 * 8 * 11 * 3).reshape(2, 8, 11, 3).astype(np.float32) / 100 - 1


@pytest.fixture(scope="module")
def boxes():
    """(2, 600, 4), clipped to the image; tiny and empty ones too."""
    return np.asarray(regions.clip(random_boxes(1200, size=IMAGE), size=IMAGE)).reshape(2, 600, 4)


@pytest.mark.parametrize("size", [2, 5])
def test_pooling_equals_a_loop(features, boxes, size):
    expected = [
        [loops.pool(x, box, size, STRIDE) for box in own.tolist()] for x, own in zip(features, boxes, strict=True)
    ]
    found = jax.jit(lambda *a: regions.roi_pool(*a, size=size, stride=STRIDE))(features, boxes)
    np.testing.assert_array_equal(found, np.array(expected))


def test_a_region_outside_the_map_is_zero_and_far_ones_are_cut(features):
    far = jnp.tile(jnp.array([[[200.0, 0, 300, 70], [-1e9, -1e9, 1e9, 1e9], [-90, 0, -20, 70]]]), (2, 1, 1))
    found = jax.jit(functools.partial(regions.roi_pool, size=3, stride=STRIDE))(features, far)
    found = np.asarray(found)
    assert not found[:, 0].any() and not found[:, 2].any()
    # two cells beyond the map at each side: 12 rows and 15 columns in 3 bins
    np.testing.assert_array_equal(found[0, 1, 0, 0], features[0, :2, :3].max(axis=(0, 1)))
    np.testing.assert_array_equal(found[0, 1, 1, 1], features[0, 2:6, 3:8].max(axis=(0, 1)))


def test_bins_of_seven_cells_in_two_overlap_by_one():
    """Floor and ceil: 7 cells in 2 bins are 0..3 and 3..6 (Girshick 2015's bins cover 3.5 cells)."""
    line = jnp.arange(8.0).reshape(1, 1, 8, 1)
    pool = jax.jit(functools.partial(regions.roi_pool, size=(1, 2), stride=1))
    box = jnp.array([[[0.0, 0.0, 7.0, 1.0]]])
    assert pool(line, box).ravel().tolist() == [3, 6]
    assert pool(-line, box).ravel().tolist() == [0, -3]
    # pixels 5 to 11 at 1 / 2 are 2.5 to 5.5, halves away from zero: cells 3 to 6
    found = jax.jit(functools.partial(regions.roi_pool, size=1, stride=2))
    assert found(line, jnp.array([[[5.0, 0.0, 12.0, 1.0]]])).ravel().tolist() == [6]
    assert found(-line, jnp.array([[[5.0, 0.0, 12.0, 1.0]]])).ravel().tolist() == [-3]


@pytest.mark.parametrize("aligned", [True, False])
def test_align_equals_a_loop(features, boxes, aligned):
    options = {"size": 3, "stride": STRIDE, "samples": 2, "aligned": aligned}
    some = np.concatenate([boxes[:, :500], random_boxes(200, seed=9, size=(200, 200)).reshape(2, 100, 4) - 40], axis=1)
    expected = [
        [loops.align(x, box, 3, STRIDE, 2, aligned) for box in own.tolist()]
        for x, own in zip(features.astype(np.float64), some, strict=True)
    ]
    found = jax.jit(lambda *a: regions.roi_align(*a, **options))(features, some)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_align_of_a_whole_ramp_has_its_values_at_the_centres_of_the_bins():
    """Half a pixel: a map that holds at each cell its centre's pixel gives at each bin its centre's pixel."""
    ramp = jnp.broadcast_to(((jnp.arange(16.0) + 0.5) * 4)[None, None, :, None], (1, 16, 16, 1))
    align = jax.jit(functools.partial(regions.roi_align, size=4, stride=4))
    found = np.asarray(align(ramp, jnp.array([[[10.0, 8.0, 50.0, 40.0]]])))
    np.testing.assert_allclose(found[0, 0, :, :, 0], np.tile([15, 25, 35, 45], (4, 1)), rtol=1e-6)


def test_gradients(features, boxes):
    few = boxes[:, 20:32]
    inner = jnp.array([[[13.0, 17.0, 41.0, 44.0]]] * 2)
    pool, align = (
        jax.jit(functools.partial(operator, size=2, stride=STRIDE))
        for operator in (regions.roi_pool, regions.roi_align)
    )
    options = {"order": 1, "modes": ("rev",), "atol": 0.01, "rtol": 0.01}
    check_grads(lambda x: pool(x, few), (features,), eps=1e-3, **options)
    check_grads(lambda x: align(x, few), (features,), eps=1e-1, **options)
    check_grads(lambda boxes: align(features, boxes), (inner,), eps=1e-2, **options)
    assert not jax.jit(jax.grad(lambda boxes: pool(features, boxes).sum()))(inner).any()


def test_the_first_of_equal_cells_gets_the_gradient():
    grads = jax.jit(jax.grad(lambda x: regions.roi_pool(x, jnp.array([[[0.0, 0.0, 2, 2]]]), size=1, stride=1).sum()))
    assert grads(jnp.zeros((1, 2, 2, 1))).ravel().tolist() == [1, 0, 0, 0]


def test_shapes_are_checked(features):
    for operator in (regions.roi_pool, regions.roi_align):
        with pytest.raises(ValueError, match=r"\(n, m, 4\)"):
            operator(features, jnp.zeros((3, 4)), size=2, stride=1)


def test_a_bin_that_holds_nan_is_nan(features):
    """A loss that became NaN is not hidden by the pooling."""
    broken = jnp.asarray(features).at[:, 3, 4].set(jnp.nan)
    box = jnp.tile(jnp.array([[[0.0, 0, 90, 70]]]), (2, 1, 1))
    found = jax.jit(functools.partial(regions.roi_pool, size=2, stride=STRIDE))(broken, box)
    assert jnp.isnan(found).all(axis=-1).tolist() == [[[[True, False], [False, False]]]] * 2
