"""The line that a run prints after a log row: the measures of its task, by name."""

import pytest

from jaxcnn.training.rundir.log import Progress

ROW = {"step": 50, "epoch": 0.5, "loss": 1.25, "top1": 0.5678, "top5": None, "images_per_second": 1234.0}


@pytest.fixture
def line(capsys):
    """line(row, measures) is what Progress writes of a row of the last step, 50."""

    def write(row, measures):
        Progress(50, start=0, title="convnet", quiet=False, measures=measures).update(50, row)
        return capsys.readouterr().err

    return write


def test_the_line_names_each_measure_once_in_the_order_given(line):
    assert line(ROW, ("loss", "top1", "loss")) == "step 50/50  epoch 0.50  loss 1.2500  top1 0.5678  1,234 images/s\n"


def test_a_measure_that_the_row_lacks_is_left_out(line):
    assert line(ROW, ("psnr", "top5", "loss")) == "step 50/50  epoch 0.50  loss 1.2500  1,234 images/s\n"
    assert line(ROW, ()) == "step 50/50  epoch 0.50  1,234 images/s\n"
