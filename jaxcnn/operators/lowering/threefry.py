"""JAX's random numbers on CPU: the same bits from one loop, where JAX's own formulation is a loop of twenty programs.

Threefry-2x32 with 20 rounds, Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". JAX writes its rounds
out everywhere but on CPU. There each draw is a `while` of some twenty kernels, and XLA compiles them for every weight
of a network: drawing googlenet's weights compiles in half the time without it (experiments/results/start).
"""

import jax
import numpy as np

from jaxcnn.operators.lowering.primitive import define_random_bits

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))  # of four rounds each, in turn
PARITY = 0x1BD11BDA


def threefry(key_0: jax.Array, key_1: jax.Array, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The two words of a key's random bits for the two words of a counter; uint32."""
    keys = (key_0, key_1, key_0 ^ key_1 ^ np.uint32(PARITY))
    x, y = x + keys[0], y + keys[1]
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x, y = x + y, _rotated(y, rotation)
            y = x ^ y
        x, y = x + keys[(group + 1) % 3], y + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


def _rotated(x, bits):
    return (x << np.uint32(bits)) | (x >> np.uint32(32 - bits))


if jax.__version_info__[:2] == (0, 10):  # XLA of JAX 0.12 never ends compiling it
    define_random_bits(threefry)
