"""CRNN and images read as sequences: counts by hand, steps, and the state that the output sees."""

import numpy as np
import pytest
from tracing import shapes

from jaxcnn.analysis import analyse
from jaxcnn.architectures import CLAIMS, create
from jaxcnn.architectures.rnn_classifier import steps_of


@pytest.mark.parametrize(
    "name", ["rnn_classifier", "crnn_small", "seq2seq", pytest.param("crnn", marks=pytest.mark.long)]
)
def test_multiply_adds(name):
    assert analyse(create(name), CLAIMS[name].input).macs == CLAIMS[name].macs


def test_counts_by_hand():
    lstm = 4 * (64 + 64 + 1) * 64
    norms = 2 * (32 + 64 + 64)
    convolutions = 9 * 32 + 9 * 32 * 64 + 9 * 64 * 64
    assert CLAIMS["crnn_small"].parameters == convolutions + norms + 2 * lstm + 128 * 11 + 11
    assert CLAIMS["rnn_classifier"].parameters == 4 * (28 + 96 + 1) * 96 + 97 * 10


def test_frames_are_columns():
    (logits, features), _ = shapes(create("crnn", num_classes=36), (32, 100, 1))
    assert logits.shape == (2, 24, 37) and features["conv6"].shape == (2, 4, 25, 512)  # the paper's 1 x 24 maps
    (logits, _), _ = shapes(create("crnn_small"), (12, 56, 1))
    assert logits.shape == (2, 28, 11)


def test_steps_are_rows_or_patches():
    x = np.arange(2 * 4 * 6 * 2).reshape(2, 4, 6, 2)
    assert (steps_of(x, patch=0)[1, 2] == x[1, 2].reshape(-1)).all()
    assert (steps_of(x, patch=1)[1, 7] == x[1, 1, 1]).all()
    patches = steps_of(x, patch=2)
    assert patches.shape == (2, 6, 8) and (patches[1, 4] == x[1, 2:4, 2:4].reshape(-1)).all()
    for patch in (4, -1, True, False, "column"):
        with pytest.raises(ValueError, match=f"patch is {patch!r}; it is 0 for rows, or a side that divides"):
            steps_of(x, patch=patch)


def test_the_output_sees_the_last_state_of_each_direction(draw):
    model = create("rnn_classifier", units=3, layers=2, bidirectional=True, cell="gru")
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 1)).astype(np.float32)
    _, features = model.apply(draw(model, x.shape[1:]), x, train=False)
    np.testing.assert_array_equal(features["state"][:, :3], features["layer2"][:, -1, :3])
    np.testing.assert_array_equal(features["state"][:, 3:], features["layer2"][:, 0, 3:])
