"""What a device can multiply: the speed of one large product, beside which the share of a training step is stated."""

import functools
import time

import jax
import jax.numpy as jnp

from jaxcnn.training.compilation import compiled

SIDES = {"cpu": 2048}  # of the square matrices; elsewhere SIDE
SIDE = 8192
REPEATS = 5
TRAINING = 3  # a backward pass is two products for each of the forward pass


@functools.cache
def matrix_peak(precision: str) -> float:
    """The fastest of five products of two square matrices of normal numbers on one device, in operations/s.

    A multiply-add is two operations. Float32 takes JAX's default precision, which on recent GPUs is TF32.

    Args:
      precision: float32 or bfloat16.
    """
    side = SIDES.get(jax.default_backend(), SIDE)
    a, b = (jax.random.normal(jax.random.key(i), (side, side), precision) for i in range(2))
    product = compiled(jax.jit(jnp.matmul), a, b)
    seconds = []
    for _ in range(REPEATS + 1):  # the first wakes the device
        start = time.perf_counter()
        jax.block_until_ready(product(a, b))
        seconds.append(time.perf_counter() - start)
    return 2 * side**3 / min(seconds[1:])


def share_of_peak(macs: int, images: int, seconds: float, precision: str) -> float:
    """The products and convolutions of a training step in operations/s, over `matrix_peak`.

    Args:
      macs: multiply-adds of one image's forward pass; its training step has three times as many.
      images: in the step.
      seconds: of the step.
      precision: of the step.
    """
    return 2 * TRAINING * macs * images / seconds / matrix_peak(precision)
