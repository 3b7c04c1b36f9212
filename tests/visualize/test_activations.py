"""Stages of one image as they are drawn."""

import numpy as np

from jaxcnn.evaluation.trained import Trained
from jaxcnn.visualize.activations import draw_activations, stage_activations, strongest_channels


def test_the_stages_are_those_of_the_network(tiny_run):
    trained = Trained(tiny_run)
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 1), dtype=np.uint8)
    stages, probabilities = stage_activations(trained, image)
    assert list(stages) == ["conv1_1", "pool1"]
    kernel, bias = (np.asarray(trained.variables["params"]["conv1_1"][name]) for name in ("kernel", "bias"))
    x = np.pad((image / 255 - trained.mean) / trained.std, ((1, 1), (1, 1), (0, 0)))
    expected = np.zeros((8, 8, 4)) + bias
    for i, j in np.ndindex(3, 3):
        expected += x[i : i + 8, j : j + 8] @ kernel[i, j]
    expected = np.maximum(expected, 0)
    np.testing.assert_allclose(stages["conv1_1"], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(stages["pool1"], expected.reshape(4, 2, 4, 2, 4).max(axis=(1, 3)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(probabilities, trained.probabilities(image[None])[0], rtol=1e-4, atol=1e-6)


def test_what_is_drawn():
    draw = np.random.default_rng(1)
    stages = {
        "first": draw.uniform(0, 1, (4, 4, 6)),
        "signed": draw.normal(size=(3, 3, 2)),
        "point": draw.uniform(0, 1, (1, 1, 70)),
        "units": draw.uniform(-1, 1, 10),
    }
    stages["first"][..., 5] *= 9
    stages["first"][..., 2] *= 4
    probabilities = np.array([0.1, 0.7, 0.2])
    figure = draw_activations(np.zeros((4, 4, 1), np.uint8), stages, probabilities, ("a", "b", "c"), channels=3)
    _, likely, rows = figure.axes
    assert [label.get_text() for label in likely.get_yticklabels()] == ["a", "c", "b"]
    shown = [np.asarray(picture.get_array()) for picture in rows.images]
    assert len(shown) == 3 + 2 + 1  # tiles of the two maps, a strip of 70 units; ten units are bars
    np.testing.assert_allclose(shown[0], stages["first"][..., 5])
    np.testing.assert_allclose(shown[1], stages["first"][..., 2])
    assert [picture.get_clim() for picture in rows.images[:2]] == [(0, stages["first"].max())] * 2
    largest = np.abs(stages["signed"]).max()
    assert rows.images[3].get_clim() == (-largest, largest)
    np.testing.assert_allclose(shown[5].ravel(), stages["point"].ravel())
    heights = np.array([bar.get_height() for bar in rows.patches])
    np.testing.assert_allclose(heights / np.abs(heights).max(), stages["units"] / np.abs(stages["units"]).max())
    words = [text.get_text() for text in rows.texts]
    assert "4x4x6" in words and "1x1x70" in words
    assert len(draw_activations(np.zeros((4, 4, 1), np.uint8), stages, None, ()).axes) == 2  # no classes


def test_tiles_have_the_sides_of_their_maps():
    stages = {"wide": np.ones((3, 12, 2)), "tall": np.ones((8, 4, 2)), "square": np.ones((5, 5, 2))}
    figure = draw_activations(np.zeros((4, 4, 1), np.uint8), stages, None, (), channels=2)
    extents = np.array([picture.get_extent() for picture in figure.axes[1].images])
    sides = extents[:, 1::2] - extents[:, ::2]
    np.testing.assert_allclose(sides[:, 0] / sides[:, 1], [4, 4, 0.5, 0.5, 1, 1])
    np.testing.assert_allclose(sides.max(axis=1), sides.max())  # each fills its cell


def test_the_strongest_are_those_of_largest_magnitude():
    maps = np.zeros((2, 2, 4))
    maps[0, 1] = (1, -7, 3, 0)
    assert strongest_channels(maps, 3).tolist() == [1, 2, 0]
