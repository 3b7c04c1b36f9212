import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from jaxcnn.operators import spatial_pyramid_pool


@pytest.mark.parametrize("pool", ["max", "average"])
@settings(max_examples=3, deadline=None, derandomize=True)
@given(seed=st.integers(0, 99), size=st.tuples(st.integers(1, 8), st.integers(3, 8)))
def test_pyramid_equals_loops(pool, seed, size):
    x = np.random.default_rng(seed).normal(size=(2, *size, 3)).astype(np.float32)
    expected = []
    for level in (3, 2, 1):
        for i, j in np.ndindex(level, level):
            rows, columns = (
                slice(int(np.floor(k / level * s)), int(np.ceil((k + 1) / level * s)))
                for k, s in zip((i, j), size, strict=True)
            )
            expected.append(getattr(x[:, rows, columns], {"max": "max", "average": "mean"}[pool])((1, 2)))
    y = jax.jit(lambda x: spatial_pyramid_pool(x, levels=(3, 2, 1), pool=pool))(x)
    np.testing.assert_allclose(y, np.concatenate(expected, axis=1), rtol=1e-5, atol=1e-6)


def test_every_size_of_image_gives_the_fifty_bins_of_the_paper():
    for size in (13, 10, 7, 4):
        image = jax.ShapeDtypeStruct((1, size, size, 256), jnp.float32)
        assert jax.eval_shape(spatial_pyramid_pool, image).shape == (1, 50 * 256)


def test_sliding_windows_are_those_of_the_paper_at_13_and_leave_pixels_out_at_10():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 13, 13, 2)), jnp.float32)
    for levels in ((3, 2, 1), (6,)):  # 13: windows 5, 7, 13 at strides 4, 6, 13 (figure 4); 3 at 2
        same = spatial_pyramid_pool(x, levels=levels, sliding=True)
        np.testing.assert_array_equal(same, spatial_pyramid_pool(x, levels=levels))
    last = jnp.zeros((1, 10, 10, 1)).at[0, 9, 9, 0].set(1.0)
    assert spatial_pyramid_pool(last, levels=(4,)).max() == 1
    assert spatial_pyramid_pool(last, levels=(4,), sliding=True).max() == 0
    with pytest.raises(ValueError, match="not 6 bins"):
        spatial_pyramid_pool(last[:, :4], levels=(6,), sliding=True)


@pytest.mark.parametrize("options", [{"levels": ()}, {"levels": (0,)}, {"pool": "min"}])
def test_errors(options):
    with pytest.raises(ValueError, match="levels positive"):
        spatial_pyramid_pool(jnp.ones((1, 4, 4, 1)), **options)


@pytest.mark.parametrize("pool", ["max", "average"])
def test_gradients_jit_vmap_and_dtype(pool):
    @jax.jit
    def function(x):
        return spatial_pyramid_pool(x, levels=(2, 1), pool=pool)

    with jax.enable_x64(True):
        x = np.random.default_rng(0).permutation(100).reshape(1, 5, 5, 4) / 10  # no ties within a difference step
        check_grads(function, (jnp.asarray(x),), order=1, modes=["rev"])
    x = np.random.default_rng(1).normal(size=(3, 2, 5, 5, 2)).astype(np.float32)
    np.testing.assert_allclose(
        jax.jit(jax.vmap(function))(x), np.stack([function(i) for i in np.asarray(x)]), rtol=1e-5, atol=1e-6
    )
    assert jax.eval_shape(function, jnp.asarray(x[0], jnp.bfloat16)).dtype == jnp.bfloat16
