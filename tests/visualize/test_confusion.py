import numpy as np
import pytest

from jaxcnn.visualize.confusion import draw_confusion, most_confused, row_shares
from jaxcnn.visualize.figure import png_bytes


def counts(size, seed=0):
    return np.random.default_rng(seed).integers(1, 50, (size, size))


def test_rows_are_divided_by_their_sum():
    matrix = counts(5)
    matrix[2] = 0
    share = draw_confusion(matrix, "abcde").axes[0].images[0].get_array()
    for row in (0, 1, 3, 4):
        np.testing.assert_allclose(share[row], matrix[row] / matrix[row].sum())
    assert np.ma.getmaskarray(share)[2].all() or np.isnan(share[2]).all()
    assert np.isnan(row_shares(matrix)[2]).all()


def test_counts_are_written_in_their_cells_up_to_twenty_classes():
    matrix = counts(20)
    axes = draw_confusion(matrix, [str(i) for i in range(20)]).axes[0]
    written = {text.get_position(): int(text.get_text()) for text in axes.texts}
    assert written == {(j, i): matrix[i, j] for i in range(20) for j in range(20)}
    assert not draw_confusion(counts(21), [str(i) for i in range(21)]).axes[0].texts


@pytest.mark.parametrize("size", [1, 25, 101])
def test_any_number_of_classes_is_drawn(size):
    names = [f"a rather long name of class $number$ <{i}> 音" for i in range(size)]
    figure = draw_confusion(np.eye(size, dtype=int), names)
    assert len(figure.axes[0].get_yticklabels()) >= size or size > 100
    if size <= 25:
        assert png_bytes(figure)


def test_wrong_shape_is_an_error():
    with pytest.raises(ValueError, match=r"3 classes has shape \(3, 3\), not \(2, 2\)"):
        draw_confusion(np.eye(2), "abc")
    with pytest.raises(ValueError, match="0 classes"):
        draw_confusion(np.zeros((0, 0)), ())


def test_most_confused_leaves_the_diagonal_out():
    matrix = np.array([[9, 4, 0], [7, 3, 0], [0, 1, 9]])
    assert most_confused(matrix, limit=2) == [(1, 0, 7, 0.7), (0, 1, 4, 4 / 13)]
    assert most_confused(np.eye(3)) == []
