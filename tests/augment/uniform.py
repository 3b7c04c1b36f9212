"""A check of the strengths that an augmentation drew."""

import numpy as np


def assert_uniform(strengths, low, high):
    """Some hundred strengths look uniform on [low, high]: none lies outside, the mean is right, the ends are near."""
    strengths, span = np.asarray(strengths), high - low
    assert strengths.min() > low - 1e-3 * span and strengths.max() < high + 1e-3 * span
    assert abs(strengths.mean() - (low + high) / 2) < 4 * span / np.sqrt(12 * len(strengths))
    assert strengths.min() < low + 0.05 * span and strengths.max() > high - 0.05 * span
