import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxcnn.operators import Dense, Maxout, dense, maxout


def test_the_module_is_that_of_flax_and_computes_the_function():
    assert Dense is nn.Dense
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 5)), jnp.float32)
    y, variables = Dense(4).init_with_output(jax.random.key(0), x)
    kernel, bias = variables["params"]["kernel"], jnp.arange(4.0)
    assert kernel.shape == (5, 4)
    expected = [[[sum(a * k for a, k in zip(r, c, strict=True)) for c in kernel.T.tolist()] for r in m] for m in x]
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dense(x, kernel), y, rtol=1e-6)
    np.testing.assert_allclose(dense(x, kernel, bias), y + bias.reshape(1, 1, 4), rtol=1e-6)


def test_gradients_jit_vmap_and_bfloat16():
    rng, shapes = np.random.default_rng(1), ((2, 5), (5, 3), (3,))
    with jax.enable_x64(True):
        check_grads(jax.jit(dense), [jnp.asarray(rng.normal(size=s)) for s in shapes], order=1, modes=["rev"])
    arguments = [jnp.asarray(rng.normal(size=(3, *s)), jnp.float32) for s in shapes]
    expected = np.stack([dense(*one) for one in zip(*arguments, strict=True)])
    np.testing.assert_allclose(jax.jit(jax.vmap(dense))(*arguments), expected, rtol=1e-5, atol=1e-6)
    ones = jnp.ones((1, 1024), jnp.bfloat16)  # a bfloat16 sum of ones stops at 256
    y = dense(ones, ones.reshape(1024, 1))
    assert y.dtype == jnp.bfloat16 and y.item() == 1024


@pytest.mark.parametrize("shapes", [((2, 4), (5, 3)), ((2, 5), (5, 3), (2,)), ((2, 5), (5,))])
def test_shapes_that_differ_are_refused(shapes):
    with pytest.raises(ValueError, match=r"expected \(\.\.\., inputs\)"):
        dense(*map(jnp.ones, shapes))


def test_maxout_module():
    x = jnp.asarray(np.random.default_rng(2).normal(size=(4, 6)), jnp.float32)
    y, variables = Maxout(3, 5).init_with_output(jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, variables) == {"params": {"kernel": (6, 15), "bias": (15,)}}
    np.testing.assert_allclose(y, maxout(x @ variables["params"]["kernel"], pieces=5), rtol=1e-5, atol=1e-6)
    assert Maxout(3, 5, dtype=jnp.bfloat16).apply(variables, x).dtype == jnp.bfloat16
