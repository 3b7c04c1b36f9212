"""The surest mistakes: found in a stream, drawn in order."""

import types

import numpy as np
import pytest

from jaxcnn.data import Arrays, Records
from jaxcnn.visualize import mistakes
from jaxcnn.visualize.mistakes import draw_mistakes, find_mistakes

LABELS = np.array([0, 1, 1, 0, 1, 0, 0, 1])
SURE = np.array([0.9, 0.6, 0.8, 0.7, 0.8, 0.55, 0.95, 0.99])  # of class 0: what the pixel of an image says


@pytest.fixture
def trained():
    def probabilities(images):
        sure = images[:, 0, 0, 0] / np.float32(100)
        return np.stack([sure, 1 - sure], axis=1)

    return types.SimpleNamespace(probabilities=probabilities)


@pytest.fixture
def records():
    images = np.broadcast_to((100 * SURE).round().astype(np.uint8)[:, None, None, None], (8, 2, 2, 1))
    return Records(Arrays("toy", {"test": (images, LABELS)}, ("zero", "one")), "test")


def test_the_surest_of_all_parts_are_kept(trained, records, monkeypatch):
    monkeypatch.setattr(mistakes, "PART", 3)
    done = []
    kept, wrong, seen = find_mistakes(trained, records, limit=3, report=lambda *numbers: done.append(numbers))
    assert (wrong, seen) == (4, 8) and done == [(3, 8), (6, 8), (8, 8)]
    assert [position for position, _ in kept] == [7, 2, 4]  # of equal ones the first
    assert [example.confidence for _, example in kept] == pytest.approx([0.99, 0.8, 0.8])
    assert [(example.label, example.predicted) for _, example in kept] == [(1, 0)] * 3


def test_what_is_drawn(trained, records):
    kept, *_ = find_mistakes(trained, records)
    figure = draw_mistakes(kept, ("zero", "one"), title="mistakes")
    first = figure.axes[0]
    assert first.get_title() == "one" and first.get_xlabel() == "taken for zero\n99.0 % sure, image 7"
    np.testing.assert_allclose(first.images[0].get_array(), 99 / 255)
    assert sum(bool(axes.images) for axes in figure.axes) == 4


def test_a_network_without_mistakes():
    figure = draw_mistakes([], ("zero", "one"), title="none")
    assert [text.get_text() for text in figure.texts if "no mistakes" in text.get_text()]
