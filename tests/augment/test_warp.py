"""Warps: matrices against NumPy's, images against SciPy's interpolation, draws read off a ramp."""

import functools

import jax
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats

from jaxcnn.augment import warp

HEIGHT, WIDTH = 25, 33
X, Y = np.meshgrid(np.arange(WIDTH) - (WIDTH - 1) / 2, np.arange(HEIGHT) - (HEIGHT - 1) / 2)
RAMP = np.stack([X, Y], axis=-1).astype(np.float32)  # a linear image shows where each pixel was read
KEYS = jax.random.split(jax.random.key(5), 400)
OUTSIDE = 1e6


def sources(operation, **options):
    """(n, h, w, 2): the points (x, y) that every pixel was read from, under each key; huge outside the image."""
    f = functools.partial(operation, fill=OUTSIDE, **options)
    return np.asarray(jax.jit(jax.vmap(f, in_axes=(0, None)))(KEYS, RAMP), np.float64)


def assert_uniform(values, limit):
    """The values fill [-limit, limit] evenly: Kolmogorov-Smirnov at p = 0.001, up to the ends and not beyond."""
    assert 0.98 * limit < np.abs(values).max() <= limit * (1 + 1e-3)
    assert scipy.stats.kstest(values, scipy.stats.uniform(-limit, 2 * limit).cdf).pvalue > 1e-3


def affine_maps(points):
    """(linear (n, 2, 2), offset (n, 2)) of maps that are affine, from the middle of the image."""
    row, column, reach = HEIGHT // 2, WIDTH // 2, 3
    offset = points[:, row, column]
    along_x = (points[:, row, column + reach] - points[:, row, column - reach]) / (2 * reach)
    along_y = (points[:, row + reach, column] - points[:, row - reach, column]) / (2 * reach)
    linear = np.stack([along_x, along_y], axis=-1)
    whole = np.einsum("nij,hwj->nhwi", linear, RAMP) + offset[:, None, None]
    inside = (np.abs(whole) < np.array([(WIDTH - 1) / 2 - 0.01, (HEIGHT - 1) / 2 - 0.01])).all(axis=-1)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(points[inside], whole[inside], atol=1e-3)
    return linear, offset


def amounts(points):
    """The maps by name, from linear = R(rotation) [[1, tan(shear)], [0, 1]] diag(1 / scale)."""
    linear, offset = affine_maps(points)
    rotation = np.arctan2(linear[:, 1, 0], linear[:, 0, 0])
    back = np.stack([[np.cos(rotation), np.sin(rotation)], [-np.sin(rotation), np.cos(rotation)]]).transpose(2, 0, 1)
    triangle = back @ linear
    scale_x, scale_y = 1 / triangle[:, 0, 0], 1 / triangle[:, 1, 1]
    moved = -np.linalg.solve(linear, offset[..., None])[..., 0]
    return {
        "rotation": np.rad2deg(rotation),
        "shear": np.rad2deg(np.arctan(triangle[:, 0, 1] * scale_y)),
        "zoom": np.log(scale_x * scale_y) / 2,
        "squeeze": np.log(scale_x / scale_y) / 2,
        "right": moved[:, 0] / WIDTH,
        "down": moved[:, 1] / HEIGHT,
    }


@pytest.mark.parametrize(
    ("operation", "magnitude", "name", "limit"),
    [
        (warp.rotate, 60, "rotation", 60),
        (warp.shear_x, 20.0, "shear", 20),
        (warp.translate_x, 0.2, "right", 0.2),
        (warp.translate_y, 0.2, "down", 0.2),
        (warp.scale, 0.5, "zoom", np.log(1.5)),
    ],
)
def test_one_amount_is_uniform_and_nothing_else_happens(operation, magnitude, name, limit):
    found = amounts(sources(operation, magnitude=magnitude))
    assert_uniform(found.pop(name), limit)
    for other in found.values():
        np.testing.assert_allclose(other, 0, atol=1e-4)


def test_shear_y_is_shear_x_with_the_axes_exchanged():
    image = np.random.default_rng(0).random((7, 9, 2)).astype(np.float32)
    x, y = (jax.jit(functools.partial(f, magnitude=30.0)) for f in (warp.shear_x, warp.shear_y))
    for key in KEYS[:3]:
        np.testing.assert_allclose(y(key, image), x(key, image.swapaxes(0, 1)).swapaxes(0, 1), atol=1e-5)


@pytest.mark.parametrize("magnitude", [1.0, 0.5])
def test_affine_draws_six_amounts_within_magnitude_times_the_ranges(magnitude):
    ranges = {"rotation": 15.0, "shear": 12.0, "translation": 0.05, "scaling": 0.2, "squeezing": 0.3}
    found = amounts(sources(warp.affine, magnitude=magnitude, **ranges))
    limits = {
        "rotation": 15 * magnitude,
        "shear": 12 * magnitude,
        "zoom": np.log1p(0.2 * magnitude),
        "squeeze": np.log1p(0.3 * magnitude),
        "right": 0.05 * magnitude,
        "down": 0.05 * magnitude,
    }
    for name, limit in limits.items():
        assert_uniform(found[name], limit)
    correlation = np.corrcoef(np.stack(list(found.values())))
    assert np.abs(correlation - np.eye(6)).max() < 4 / np.sqrt(len(KEYS))


def fit_homography(points):
    """The 3x3 matrix from pixels to points, by linear least squares over the pixels that were read inside."""
    inside = (np.abs(points) < np.array([WIDTH / 2 - 1, HEIGHT / 2 - 1])).all(axis=-1)
    x, y, (u, v) = X[inside], Y[inside], points[inside].T
    one, zero = np.ones_like(x), np.zeros_like(x)
    rows = [[x, y, one, zero, zero, zero, -u * x, -u * y], [zero, zero, zero, x, y, one, -v * x, -v * y]]
    equations = np.concatenate([np.stack(row, axis=1) for row in rows])
    solution, *_ = np.linalg.lstsq(equations, np.concatenate([u, v]), rcond=None)
    return np.append(solution, 1).reshape(3, 3)


def test_perspective_moves_each_corner_by_up_to_the_fraction_of_a_side():
    matrices = np.stack([fit_homography(points) for points in sources(warp.perspective, magnitude=0.15)])
    corners = np.array([[x * WIDTH / 2, y * HEIGHT / 2, 1] for x in (-1, 1) for y in (-1, 1)])
    seen = np.einsum("nij,kj->nki", matrices, corners)
    moved = (seen[..., :2] / seen[..., 2:] - corners[:, :2]) / [WIDTH, HEIGHT]
    moved = moved.reshape(len(KEYS), 8)
    for amount in moved.T:
        assert_uniform(amount, 0.15)
    assert np.abs(np.corrcoef(moved.T) - np.eye(8)).max() < 4 / np.sqrt(len(KEYS))


def numpy_matrix(rotation, shear, translation, scale):
    """affine_matrix as a product of the five maps."""
    a, (kx, ky) = np.deg2rad(rotation), np.tan(np.deg2rad(shear))
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    slant = np.array([[1, kx, 0], [ky, 1, 0], [0, 0, 1]])
    move = np.array([[1, 0, translation[0]], [0, 1, translation[1]], [0, 0, 1]])
    return turn @ slant @ np.linalg.inv(np.diag([*scale, 1])) @ np.linalg.inv(move)


CASES = [
    {"rotation": 33.0, "shear": (0.0, 0.0), "translation": (0.0, 0.0), "scale": (1.0, 1.0)},
    {"rotation": -20.0, "shear": (15.0, -8.0), "translation": (2.3, -1.7), "scale": (1.3, 0.7)},
]


@pytest.mark.parametrize("case", CASES)
def test_affine_matrix_is_the_product_of_its_parts(case):
    np.testing.assert_allclose(warp.affine_matrix(**case), numpy_matrix(**case), atol=1e-5)


@pytest.mark.parametrize(
    "matrix",
    [*(numpy_matrix(**case) for case in CASES), [[1.1, 0.1, 0.5], [-0.2, 0.9, -0.8], [0.02, -0.01, 1]]],
    ids=["rotation", "affine", "homography"],
)
def test_warp_interpolates_as_scipy_does(matrix):
    image = np.random.default_rng(1).random((9, 14, 3)).astype(np.float32)
    x, y = np.meshgrid(np.arange(14) - 6.5, np.arange(9) - 4.0)
    u, v, w = np.einsum("ij,jhw->ihw", matrix, np.stack([x, y, np.ones_like(x)]))
    expected = [
        scipy.ndimage.map_coordinates(plane, (v / w + 4, u / w + 6.5), order=1, mode="grid-constant", cval=0.25)
        for plane in image.astype(np.float64).transpose(2, 0, 1)
    ]
    warped = warp.warp(image, np.asarray(matrix, np.float32), fill=0.25)
    np.testing.assert_allclose(warped, np.stack(expected, axis=-1), atol=2e-5)


@pytest.mark.parametrize("size", [8, 9])
def test_a_quarter_turn_is_rot90(size):
    image = np.random.default_rng(2).random((size, size, 3)).astype(np.float32)
    turn = jax.jit(lambda degrees: warp.warp(image, warp.affine_matrix(rotation=degrees)))
    for quarters in (1, 2, 3, -1):
        np.testing.assert_allclose(turn(90.0 * quarters), np.rot90(image, quarters), atol=1e-5)


def test_a_pixel_lands_where_it_is_moved():
    image = np.zeros((7, 9, 1), np.float32)
    image[3, 5] = 1  # one right of the centre
    moved = warp.warp(image, warp.affine_matrix(translation=(2.0, -1.0), scale=(2.0, 1.0)))
    assert np.unravel_index(np.argmax(moved), image.shape) == (2, 8, 0)  # two right of the centre, then two and one up


def test_points_at_infinity_are_outside():
    vanishing = np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 1]], np.float32)  # depth 0 at x = 1
    warped = np.asarray(warp.warp(np.ones((3, 5, 1), np.float32), vanishing, fill=0.5))
    np.testing.assert_array_equal(warped[..., 0][[0, 2], 3], 0.5)
