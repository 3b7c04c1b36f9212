import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcnn.operators import (
    Conv,
    Dense,
    conv_macs,
    conv_parameters,
    dense_macs,
    dense_parameters,
    fitting_padding,
    output_size,
)


def starts(size, kernel, stride, before, after, dilation):
    """The first pixels of the windows that lie within the padded axis."""
    reach = dilation * (kernel - 1) + 1
    return [s for s in range(-before, size + after, stride) if s + reach <= size + after]


AXIS = {
    "size": st.integers(1, 12),
    "kernel": st.integers(1, 4),
    "stride": st.integers(1, 4),
    "padding": st.tuples(st.integers(0, 3), st.integers(0, 3)),
    "dilation": st.integers(1, 2),
}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(**AXIS)
def test_output_size_counts_the_windows(size, kernel, stride, padding, dilation):
    expected = len(starts(size, kernel, stride, *padding, dilation))
    options = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    if expected == 0:
        with pytest.raises(ValueError, match="larger than"):
            output_size(size, **options)
    else:
        assert output_size(size, **options) == expected


@settings(max_examples=200, deadline=None, derandomize=True)
@given(**{k: v for k, v in AXIS.items() if k != "dilation"})
def test_ceil_adds_one_window_for_what_is_left_and_begins_none_behind_the_image(size, kernel, stride, padding):
    before, after = padding
    floor = len(starts(size, kernel, stride, before, after, 1))
    covered = -before + (floor - 1) * stride + kernel
    left = size + after - covered
    expected = floor + (left > 0)
    while -before + (expected - 1) * stride >= size:
        expected -= 1
    if expected and floor:
        assert output_size(size, kernel=kernel, stride=stride, padding=padding, ceil=True) == expected


@settings(max_examples=200, deadline=None, derandomize=True)
@given(**AXIS)
def test_a_fitting_padding_is_the_nearest_one_that_leaves_no_pixel_out(size, kernel, stride, padding, dilation):
    options = {"kernel": kernel, "stride": stride, "dilation": dilation}

    def fits(total):
        free = size + total - dilation * (kernel - 1) - 1
        return free >= 0 and free % stride == 0

    before, after = fitting_padding(size, padding=padding, **options)
    assert fits(before + after) and 0 <= after - before <= 1
    assert not any(fits(t) for t in range(max(0, 2 * sum(padding) - before - after + 1), before + after))
    assert output_size(size, padding=(before, after), exact=True, **options) >= 1
    if fits(sum(padding)):
        assert sum(padding) == before + after
    else:
        with pytest.raises(ValueError, match=rf"nearest fitting padding is \({before}, {after}\)|larger than"):
            output_size(size, padding=padding, exact=True, **options)


def test_known_sizes():
    assert output_size(227, kernel=11, stride=4, exact=True) == 55  # AlexNet
    assert [output_size(size, kernel=3, stride=2, ceil=True) for size in (112, 56, 28, 14)] == [56, 28, 14, 7]
    assert output_size(112, kernel=3, stride=2) == 55
    assert output_size(7, kernel=3, padding=2, dilation=2) == 7
    with pytest.raises(ValueError, match=r"224 pixels .* are 213, not a multiple of the stride 4; .* is \(1, 2\)"):
        output_size(224, kernel=11, stride=4, exact=True)
    with pytest.raises(ValueError, match="stride 4"):
        output_size(224, kernel=11, stride=4, padding=2, exact=True)


@pytest.mark.parametrize("groups, use_bias", [(1, True), (2, False), (4, True)])
def test_counts_are_those_of_the_modules(groups, use_bias):
    x = np.ones((1, 6, 6, 4), np.float32)
    module = Conv(8, (3, 2), groups=groups, use_bias=use_bias, padding=0)
    y, variables = jax.eval_shape(module.init_with_output, jax.random.key(0), x)
    sizes = {"kernel_size": (3, 2), "c_in": 4, "c_out": 8, "groups": groups}
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == conv_parameters(use_bias=use_bias, **sizes)
    assert conv_macs(output=y.shape[1:3], **sizes) == 4 * 5 * 3 * 2 * (4 // groups) * 8
    variables = jax.eval_shape(Dense(7, use_bias=use_bias).init, jax.random.key(0), x.reshape(1, -1))
    inputs = {"inputs": 144, "outputs": 7}
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == dense_parameters(use_bias=use_bias, **inputs)
    assert dense_macs(**inputs) == 144 * 7


def test_counts_of_lenet_and_alexnet():
    assert conv_parameters(kernel_size=(5, 5), c_in=1, c_out=6) == 156
    assert dense_parameters(inputs=120, outputs=84) == 10164
    assert conv_macs(output=(55, 55), kernel_size=(11, 11), c_in=3, c_out=96) == 105_415_200
