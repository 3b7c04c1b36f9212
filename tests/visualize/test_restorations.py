"""The picture of restored images: which image lies where, and how a difference is shown."""

import numpy as np
import pytest

from jaxcnn.evaluation.restored import Restored
from jaxcnn.visualize.restorations import contact_sheet


@pytest.mark.parametrize("channels", [1, 3])
def test_a_row_shows_input_output_target_and_four_times_the_difference(channels):
    flat = [np.full((2, 88, 44, channels), value, np.uint8) for value in (10, 60, 50)]
    flat[1][1] = 20  # the second output is 30 below its target
    sheet = contact_sheet(Restored("test", *flat))
    side, gap = np.array((2 * 88, 2 * 44)), 4  # enlarged to 176 pixels
    assert sheet.shape == (2 * side[0] + gap, 4 * side[1] + 3 * gap) + (() if channels == 1 else (3,))
    assert sheet.dtype == np.uint8
    sheet = sheet.reshape(*sheet.shape[:2], channels)
    for row, values in enumerate(((10, 60, 50, 128 + 4 * 10), (10, 20, 50, 128 - 4 * 30))):
        for column, value in enumerate(values):
            top, left = (np.array((row, column)) * (side + gap)).tolist()
            assert np.all(sheet[top : top + side[0], left : left + side[1]] == value)
            assert np.all(sheet[top : top + side[0], left + side[1] : left + side[1] + gap] == 255)
    assert np.all(sheet[side[0] : side[0] + gap] == 255)
