"""Under jax.shard_map with its checks, operators on a replicated weight have the gradient of the unmapped program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, PartitionSpec

from jaxcnn.operators import average_pool, conv2d, conv2d_transpose, l2_pool, max_pool

OPERATORS = {  # f(images, kernel (2, 2, 3, 3))
    "convolution": lambda x, kernel: conv2d(x, kernel, padding=1),
    "strided convolution": lambda x, kernel: conv2d(x, kernel, stride=2),
    "transposed convolution": lambda x, kernel: conv2d_transpose(x, kernel, stride=2),
    "max_pool": lambda x, kernel: max_pool(x * kernel[0, 0, 0, 0], window=3, stride=2),
    "average_pool of few taps": lambda x, kernel: average_pool(x * kernel[0, 0, 0, 0], window=2),
    "average_pool of many taps": lambda x, kernel: average_pool(x * kernel[0, 0, 0, 0], window=5, stride=3),
    "l2_pool of many taps": lambda x, kernel: l2_pool(x * kernel[0, 0, 0, 0], window=4),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_gradient_of_a_replicated_kernel(name):
    random = np.random.default_rng(0)
    x, kernel = (random.standard_normal(shape, dtype=np.float32) for shape in ((8, 11, 11, 3), (2, 2, 3, 3)))

    def loss(kernel, x):
        return jnp.sum(OPERATORS[name](x, kernel) ** 2)

    def mapped(kernel, x):
        return jax.grad(lambda kernel: jax.lax.psum(loss(kernel, x), "batch"))(kernel)

    mesh = Mesh(np.array(jax.devices()), ("batch",), axis_types=(AxisType.Auto,))
    specs = (PartitionSpec(), PartitionSpec("batch"))
    found = jax.jit(jax.shard_map(mapped, mesh=mesh, in_specs=specs, out_specs=PartitionSpec()))(kernel, x)
    expected = jax.grad(loss)(kernel, x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
