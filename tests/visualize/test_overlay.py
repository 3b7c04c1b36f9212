"""Maps laid over images."""

import matplotlib
import numpy as np

from jaxcnn.visualize.overlay import SHARE, draw_overlays, overlay


def test_a_map_of_nothing_leaves_the_image_in_grey():
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    shown = overlay(image, np.full((4, 4), -1.0))
    assert shown.shape == (224, 224, 3)
    grey = image.mean(axis=-1, keepdims=True) / 255
    np.testing.assert_allclose(shown[::2, 1::2], np.broadcast_to(grey, image.shape), rtol=1e-5)


def test_the_largest_value_has_the_brightest_colour():
    heat = np.zeros((224, 224))
    heat[10, 20], heat[30, 40] = 8, 2
    shown = overlay(np.zeros((224, 224, 1), np.uint8), heat)
    colours = matplotlib.colormaps["inferno"]
    np.testing.assert_allclose(shown[10, 20], SHARE * np.array(colours(1.0)[:3]), rtol=1e-5)
    np.testing.assert_allclose(shown[30, 40], SHARE / 2 * np.array(colours(0.25)[:3]), rtol=1e-5)
    assert not shown[0].any()


def test_maps_stand_beside_their_image():
    images = np.zeros((2, 4, 4, 3), np.uint8)
    heat = np.eye(4)
    figure = draw_overlays(images, ["a", "b"], [[("one", heat), ("two", heat)], [("three", heat)]])
    titles = [axes.get_title() for axes in figure.axes if axes.images]
    assert titles == ["a", "one", "two", "b", "three"]
