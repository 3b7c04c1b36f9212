"""The exponents of growth."""

import numpy as np
import pytest

from jaxcnn.benchmark.growth import exponent


def test_the_exponent_of_a_power_is_its_own_and_two_sizes_have_none():
    sizes = [10, 100, 1000]
    assert exponent(sizes, [3 * n**1.5 for n in sizes]) == pytest.approx((1.5, 0.0), abs=1e-6)
    assert exponent(sizes, np.ones(3))[0] == 0
    assert exponent([1, 2], [1, 2]) is None
