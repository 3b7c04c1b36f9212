"""Maps laid over images."""

import re

import matplotlib
import numpy as np

from jaxcnn.analysis.field import Field
from jaxcnn.evaluation.inference import Inference
from jaxcnn.evaluation.trained import Trained
from jaxcnn.visualize.overlay import SHARE, class_overlays, draw_overlays, overlay
from jaxcnn.visualize.selection import Selection

PIXELS = Field((1, 1), (1, 1), ((0, 0), (0, 0)), (0.0, 0.0), False)


def test_a_map_of_nothing_leaves_the_image_in_grey():
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    shown = overlay(image, np.full((4, 4), -1.0), PIXELS)
    assert shown.shape == (224, 224, 3)
    grey = image.mean(axis=-1, keepdims=True) / 255
    np.testing.assert_allclose(shown[::2, 1::2], np.broadcast_to(grey, image.shape), rtol=1e-5)


def test_the_largest_value_has_the_brightest_colour():
    heat = np.zeros((224, 224))
    heat[10, 20], heat[30, 40] = 8, 2
    shown = overlay(np.zeros((224, 224, 1), np.uint8), heat, PIXELS)
    colours = matplotlib.colormaps["inferno"]
    np.testing.assert_allclose(shown[10, 20], SHARE * np.array(colours(1.0)[:3]), rtol=1e-5)
    np.testing.assert_allclose(shown[30, 40], SHARE / 2 * np.array(colours(0.25)[:3]), rtol=1e-5)
    assert not shown[0].any()


def test_a_value_lies_at_the_centre_of_what_it_sees():
    """C3 of LeNet-5: its ten positions see boxes of 14 pixels with centres at 6.5, 8.5, ..., 24.5 of 32."""
    field = Field((14, 14), (2, 2), ((0, 0), (0, 0)), (6.5, 6.5), False)
    for place, centre in (((2, 7), (10.5, 20.5)), ((0, 9), (6.5, 24.5))):
        heat = np.zeros((10, 10))
        heat[place] = 1
        shown = overlay(np.zeros((32, 32, 1), np.uint8), heat, field).sum(axis=-1)
        bright = np.argwhere(shown > 0.98 * shown.max()) / 7 + (
            0.5 / 7 - 0.5
        )  # an image of 32 is drawn 7 times as large
        inner = [2 <= at <= 7 for at in place]  # an outer value continues to the border
        np.testing.assert_allclose(bright.mean(axis=0)[inner], np.array(centre)[inner], atol=0.1)
        np.testing.assert_allclose(np.abs(bright - centre).min(axis=0), 0, atol=0.1)


def test_maps_stand_beside_their_image():
    images = np.zeros((2, 4, 4, 3), np.uint8)
    heat = np.eye(4)
    figure = draw_overlays(
        images, ["a", "b"], [[("one", heat, PIXELS), ("two", heat, PIXELS)], [("three", heat, PIXELS)]]
    )
    titles = [axes.get_title() for axes in figure.axes if axes.images]
    assert titles == ["a", "one", "two", "b", "three"]


def test_a_long_name_leaves_the_probability(tiny_run):
    run = Trained(tiny_run)
    names = [f"{number} costs $ and is a bird of a very long name" for number in range(10)]
    about = {"shape": run.shape, "classes": names, "mean": run.mean, "std": run.std}
    trained = Inference(run.model, run.variables, **about)
    images = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 1), dtype=np.uint8)
    figure = class_overlays(trained, Selection(images, ["a"], [None]), classes=("3", "7"))
    (shares,) = trained.probabilities(images)
    for axes, number in zip(figure.axes[1:3], (3, 7), strict=True):
        name, share, stage = re.fullmatch(r"(.+)… (\d+) %\n(.+)", axes.get_title()).groups()
        assert names[number].startswith(name.replace(r"\$", "$")) and stage == "conv1_1"
        assert share == f"{100 * shares[number]:.0f}"
