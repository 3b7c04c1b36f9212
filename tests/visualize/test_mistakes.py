"""The surest mistakes: found in a stream, drawn in order."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.data import Arrays, Records
from jaxcnn.evaluation.inference import Inference
from jaxcnn.visualize.mistakes import draw_mistakes, find_mistakes

COUNT = 70  # more than one batch
LABELS, SURE = np.zeros(COUNT, int), np.full(COUNT, 1.0)  # SURE of class 0: what the pixel of an image says
PLACES = [0, 5, 20, 21, 40, 50, 64, 69]
LABELS[PLACES] = [0, 1, 1, 0, 1, 0, 0, 1]
SURE[PLACES] = [0.9, 0.6, 0.8, 0.7, 0.8, 0.55, 0.95, 0.99]


class Said(nn.Module):
    """The share of class 0 is a hundredth of the pixel."""

    def __call__(self, x, *, train):
        sure = x[:, 0, 0, 0] * 2.55
        return jnp.log(jnp.stack([sure, 1 - sure], axis=1)), {}


@pytest.fixture
def trained():
    about = {"shape": (2, 2, 1), "classes": ("zero", "one"), "mean": np.zeros(1), "std": np.ones(1)}
    return Inference(Said(), {"params": {}}, **about)


@pytest.fixture
def records():
    images = np.broadcast_to((100 * SURE).round().astype(np.uint8)[:, None, None, None], (COUNT, 2, 2, 1))
    return Records(Arrays("toy", {"test": (images, LABELS)}, ("zero", "one")), "test")


def test_the_surest_of_all_parts_are_kept(trained, records):
    done = []
    kept, wrong, seen = find_mistakes(trained, records, limit=3, report=lambda *numbers: done.append(numbers))
    assert (wrong, seen) == (4, COUNT) and done == [(64, COUNT), (COUNT, COUNT)]
    assert [position for position, _ in kept] == [69, 20, 40]  # of equal ones the first
    assert [example.confidence for _, example in kept] == pytest.approx([0.99, 0.8, 0.8])
    assert [(example.label, example.predicted) for _, example in kept] == [(1, 0)] * 3


def test_what_is_drawn(trained, records):
    kept, *_ = find_mistakes(trained, records)
    figure = draw_mistakes(kept, ("zero", "one"), title="mistakes")
    first = figure.axes[0]
    assert first.get_title() == "one" and first.get_xlabel() == "taken for zero\n99.0 % sure, image 69"
    np.testing.assert_allclose(first.images[0].get_array(), 99 / 255)
    assert sum(bool(axes.images) for axes in figure.axes) == 4


def test_photographs_stand_in_the_place_of_what_the_network_sees(trained, records):
    kept, *_ = find_mistakes(trained, records)
    photograph = np.full((30, 40, 3), 51, np.uint8)
    first, second, *_ = draw_mistakes(kept, ("zero", "one"), photographs={69: (photograph, "a_1.jpg")}).axes
    assert first.get_xlabel().endswith("image 69\na_1.jpg")
    np.testing.assert_allclose(first.images[0].get_array(), np.full((30, 40, 3), 0.2))
    assert second.images[0].get_array().shape == (2, 2)


def test_a_network_without_mistakes():
    figure = draw_mistakes([], ("zero", "one"), title="none")
    assert [text.get_text() for text in figure.texts if "no mistakes" in text.get_text()]
