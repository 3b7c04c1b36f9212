"""JAX's random bits as we have them computed on CPU: those of the paper's authors, and quick to compile."""

import jax
import jax.numpy as jnp
import pytest
from jax.extend.random import threefry2x32_p

import jaxcnn.operators  # noqa: F401  registers the formulation

# (key, counter, bits) of 20 rounds: the known answers of the authors' library, Random123 1.14, tests/kat_vectors.
KNOWN = [
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize(("key", "counter", "bits"), KNOWN)
def test_bits_are_the_known_answers_of_random123(key, counter, bits):
    words = [jnp.uint32(word) for word in (*key, *counter)]
    assert tuple(int(word) for word in jax.jit(threefry2x32_p.bind)(*words)) == bits


@pytest.mark.skipif(jax.__version_info__[:2] != (0, 10), reason="measured, and in force, with JAX 0.10")
def test_a_draw_compiles_to_no_loop_on_cpu():
    """JAX's own formulation has a loop of some twenty kernels for every draw."""
    with jax.default_device(jax.devices("cpu")[0]):
        program = jax.jit(lambda key: jax.random.normal(jax.random.fold_in(key, 1), (8, 4))).lower(jax.random.key(0))
    assert "while" not in program.as_text()
