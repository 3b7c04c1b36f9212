"""Drawing by programs that share their random bits is drawing by one program, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxcnn.training.drawing import BLOCK, draw


def everywhere():
    return NamedSharding(Mesh(np.array(jax.devices()), "device"), PartitionSpec())


def made(function):
    """(drawn, compiled as it is) on all devices."""
    jitted = jax.jit(function, out_shardings=everywhere())
    return draw(jitted, everywhere()), jitted()


def same(function):
    found, expected = map(jax.device_get, made(function))
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    return found


def keys(n, **options):
    return list(jax.random.split(jax.random.key(3, **options), n))


@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_arrays_of_any_size_have_the_bits_of_jax(size):
    found = same(lambda: {"one": jax.random.bits(keys(2)[0], (size,)), "two": jax.random.bits(keys(2)[1], (1, size))})
    assert size == 1 or len(np.unique(found["one"])) > 0.99 * size


def test_every_initializer_draws_what_it_drew():
    names = "normal", "uniform", "truncated_normal", "orthogonal", "he_normal", "lecun_normal", "glorot_uniform"
    of = [getattr(jax.nn.initializers, name)() for name in names]
    found = same(lambda: [f(key, (3, 3, 8, 16)) for key, f in zip(keys(len(of)), of, strict=True)])
    assert all(x.std() > 0 for x in found)


def test_what_is_no_array_of_words_of_one_key_is_left_to_jax():
    def function():
        one, two, three, four, five = keys(5)

        def walk(key, _):
            return jax.random.fold_in(key, 1), jax.random.normal(key, (3,))

        return {
            "scan": jax.lax.scan(walk, one, length=4)[1],
            "vmap": jax.vmap(lambda key: jax.random.normal(key, (5,)))(jax.random.split(two, 4)),
            "shuffled": jax.random.permutation(three, 100),
            "half": jax.random.normal(four, (7,), jnp.bfloat16),
            "key of bits": jax.random.normal(jax.random.key(jax.random.bits(five, ())), (4,)),
            "none": jax.random.normal(five, (0, 3)),
        }

    same(function)


def test_keys_and_numbers_are_returned_as_they_are():
    def function():
        return {"key": jax.random.key(5), "step": jnp.int32(7), "draw": jax.random.normal(keys(1)[0])}

    found, expected = made(function)
    assert jax.random.key_data(found["key"]).tolist() == jax.random.key_data(expected["key"]).tolist()
    assert (int(found["step"]), float(found["draw"])) == (7, float(expected["draw"]))
    assert found["draw"].sharding.is_equivalent_to(everywhere(), 0)


def test_a_function_that_draws_nothing_is_computed():
    assert same(lambda: jnp.arange(3) * 2).tolist() == [0, 2, 4]


def test_long_chains_and_what_nobody_reads():
    def function():
        jax.random.normal(keys(2)[1], (BLOCK,))
        x = jax.random.normal(keys(2)[0], (5,))
        for _ in range(1201):
            x = jax.lax.neg(x)
        return x

    same(function)


def test_keys_of_another_kind_keep_their_bits():
    same(lambda: [jax.random.normal(key, (9,)) for key in keys(2, impl="rbg")])
    with jax.threefry_partitionable(False):
        same(lambda: [jax.random.normal(key, (9,)) for key in keys(2)])
