"""Gradients through time: of a linear recurrence they are powers."""

import jax
import numpy as np
from jax import lax

from jaxcnn.analysis.through_time import gradients_through_time


def test_of_a_linear_recurrence_the_gradient_is_a_power_of_its_factor():
    x = np.random.default_rng(0).normal(size=(3, 6, 2)).astype(np.float32)

    def last(x):
        return lax.scan(lambda h, step: (0.5 * h + step, None), x[:, 0] * 0, x.swapaxes(0, 1))[0]

    found = np.asarray(gradients_through_time(last, x, key=jax.random.key(0)))
    v = np.asarray(jax.random.normal(jax.random.key(0), (3, 2))) / np.sqrt(2)
    np.testing.assert_allclose(found[-1], np.sqrt(np.square(v).sum(axis=1).mean()), rtol=1e-5)
    np.testing.assert_allclose(found / found[-1], 0.5 ** np.arange(6)[::-1], rtol=1e-5)
