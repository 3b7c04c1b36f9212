import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxcnn.operators import BatchNorm, batch_statistics, normalize


def images(seed, shape=(4, 3, 5, 2), dtype=np.float32):
    return (np.random.default_rng(seed).normal(size=shape) * 3 + 1).astype(dtype)


def test_one_update_of_1_2_3_4():
    x = jnp.array([1.0, 2, 3, 4]).reshape(4, 1, 1, 1)
    module = BatchNorm()
    variables = module.init(jax.random.key(0), x, train=False)
    _, changed = module.apply(variables, x, train=True, mutable=["batch_stats"])
    assert changed["batch_stats"]["var"][0] == pytest.approx(1.025)  # torch stores 1.066667
    assert changed["batch_stats"]["mean"][0] == pytest.approx(0.25)


def test_the_unbiased_variance_is_stored_and_the_biased_one_normalises():
    x = jnp.array([1.0, 2, 3, 4]).reshape(4, 1, 1, 1)
    module = BatchNorm(bessel=True)
    variables = module.init(jax.random.key(0), x, train=False)
    y, changed = module.apply(variables, x, train=True, mutable=["batch_stats"])
    assert changed["batch_stats"]["var"][0] == pytest.approx(1.066667)
    expected, _ = BatchNorm().apply(variables, x, train=True, mutable=["batch_stats"])
    np.testing.assert_array_equal(y, expected)
    halves = jax.vmap(  # four values in all, though two on a replica
        lambda half: BatchNorm(axis_name="batch", bessel=True).apply(
            variables, half, train=True, mutable=["batch_stats"]
        )[1],
        axis_name="batch",
    )(x.reshape(2, 2, 1, 1, 1))
    np.testing.assert_allclose(halves["batch_stats"]["var"], jnp.full((2, 1), 1.066667), rtol=1e-6)
    with pytest.raises(ValueError, match="one value has no unbiased variance"):
        module.apply(variables, x[:1], train=True, mutable=["batch_stats"])


def test_ghost_batches_are_normalised_alone_and_counted_in_turn():
    x = images(7, (6, 2, 2, 2))
    variables = BatchNorm().init(jax.random.key(0), x, train=False)

    def apply(module, variables, x):
        y, changed = module.apply(variables, x, train=True, mutable=["batch_stats"])
        return y, {**variables, **changed}

    y, changed = jax.jit(lambda x: apply(BatchNorm(groups=3), variables, x))(x)
    for first in (0, 2, 4):
        alone, variables = apply(BatchNorm(), variables, x[first : first + 2])
        np.testing.assert_allclose(y[first : first + 2], alone, rtol=1e-5, atol=1e-6)
    for name in ("mean", "var"):
        np.testing.assert_allclose(changed["batch_stats"][name], variables["batch_stats"][name], rtol=1e-5)
    with pytest.raises(ValueError, match="4 ghost batches do not divide a batch of 6 images"):
        apply(BatchNorm(groups=4), variables, x)


def test_normalize_equals_numpy():
    x, rng = images(0), np.random.default_rng(1)
    mean, scale, bias = (rng.normal(size=2).astype(np.float32) for _ in range(3))
    variance = rng.uniform(0.5, 2, size=2).astype(np.float32)
    expected = (x - mean) / np.sqrt(variance + 1e-3) * scale + bias
    np.testing.assert_allclose(normalize(x, mean, variance, scale, bias, epsilon=1e-3), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(batch_statistics(x), [x.mean((0, 1, 2)), x.var((0, 1, 2))], rtol=1e-4)


@pytest.mark.parametrize("train", [True, False])
def test_equals_flax(train):
    x = images(2)
    ours, theirs = BatchNorm(), nn.BatchNorm(momentum=0.9, use_running_average=not train)
    variables = ours.init(jax.random.key(0), x, train=True)
    variables["params"]["scale"] = jnp.array([2.0, -1.0])
    y, changed = ours.apply(variables, x, train=train, mutable=["batch_stats"])
    expected, expected_changed = theirs.apply(variables, x, mutable=["batch_stats"])
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    for name in ("mean", "var"):
        np.testing.assert_allclose(changed["batch_stats"][name], expected_changed["batch_stats"][name], rtol=1e-5)


def test_gradients_go_through_the_statistics():
    def norm(x, scale, bias):
        return normalize(x, *batch_statistics(x), scale, bias)

    with jax.enable_x64(True):
        x = jnp.asarray(images(3, (2, 3, 2, 2), np.float64))
        check_grads(jax.jit(norm), (x, jnp.array([2.0, -1.0]), jnp.array([0.5, 0.0])), order=1, modes=["rev"])


def test_initialising_learns_nothing_and_needs_no_mapped_axis():
    variables = BatchNorm(axis_name="batch").init(jax.random.key(0), images(4), train=True)
    assert variables["batch_stats"]["mean"].tolist() == [0, 0]
    assert variables["batch_stats"]["var"].tolist() == [1, 1]


def test_synchronised_statistics_are_those_of_the_whole_batch():
    x = images(5, (8, 3, 3, 2))
    variables = BatchNorm().init(jax.random.key(0), x, train=False)

    def apply(module, x):
        return module.apply(variables, x, train=True, mutable=["batch_stats"])

    whole, changed = apply(BatchNorm(), x)
    halves, synchronised = jax.vmap(lambda half: apply(BatchNorm(axis_name="batch"), half), axis_name="batch")(
        x.reshape(2, 4, 3, 3, 2)
    )
    np.testing.assert_allclose(halves.reshape(x.shape), whole, rtol=1e-4, atol=1e-5)
    for name in ("mean", "var"):
        both = synchronised["batch_stats"][name]
        np.testing.assert_allclose(both, jnp.stack([changed["batch_stats"][name]] * 2), rtol=1e-5)
    alone, _ = jax.vmap(lambda half: apply(BatchNorm(), half))(x.reshape(2, 4, 3, 3, 2))
    assert np.abs(alone.reshape(x.shape) - whole).max() > 1e-2


@pytest.mark.parametrize("options", [{}, {"bessel": True}, {"groups": 2}])
def test_images_of_mask_0_do_not_enter(options):
    x, mask = images(8, (8, 3, 2, 2)), jnp.array([1.0, 1, 0, 1, 1, 0, 1, 1])
    kept = np.flatnonzero(mask)
    x[mask == 0] = np.nan  # whatever they hold
    module = BatchNorm(**options)
    variables = module.init(jax.random.key(0), x, train=False)

    def apply(variables, x):
        return module.apply(variables, x, train=True, mutable=["batch_stats"])

    y, changed = jax.jit(apply)({**variables, "batch": {"mask": mask}}, x)
    expected, alone = apply(variables, x[kept])
    np.testing.assert_allclose(y[kept], expected, rtol=1e-5, atol=1e-6)
    for name in ("mean", "var"):
        np.testing.assert_allclose(changed["batch_stats"][name], alone["batch_stats"][name], rtol=1e-5)
    _, nothing = apply({**variables, "batch": {"mask": 0 * mask}}, x)
    assert nothing["batch_stats"]["mean"].tolist() == [0, 0] and nothing["batch_stats"]["var"].tolist() == [1, 1]


def test_a_mask_is_of_images_also_where_each_has_several_rows():
    x = images(8, (6, 3, 2, 2))
    variables = BatchNorm().init(jax.random.key(0), x, train=False)

    def apply(x, mask):
        given = {**variables, "batch": {"mask": jnp.array(mask)}}
        return BatchNorm().apply(given, x, train=True, mutable=["batch_stats"])

    jax.tree.map(np.testing.assert_array_equal, apply(x, [1.0, 0, 1]), apply(x, [1.0, 1, 0, 0, 1, 1]))


def test_synchronised_statistics_weigh_the_replicas_by_the_images_that_count():
    x, mask = images(9, (2, 4, 2, 2, 2)), jnp.array([[1.0, 0, 0, 0], [1, 1, 1, 0]])
    found = jax.vmap(lambda x, mask: batch_statistics(x, axis_name="batch", mask=mask), axis_name="batch")(x, mask)
    expected = batch_statistics(x[mask > 0])
    for both, one in zip(found, expected, strict=True):
        np.testing.assert_allclose(both, jnp.stack([one] * 2), rtol=1e-5)


def test_bfloat16_keeps_float32_statistics():
    x = jnp.asarray(images(6, (64, 8, 8, 2)), jnp.bfloat16)
    module = BatchNorm()
    variables = module.init(jax.random.key(0), x, train=False)
    y, changed = jax.jit(lambda v, x: module.apply(v, x, train=True, mutable=["batch_stats"]))(variables, x)
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, changed))} == {jnp.dtype("float32")}
    expected = 0.9 + 0.1 * np.asarray(x, np.float64).var((0, 1, 2))
    np.testing.assert_allclose(changed["batch_stats"]["var"], expected, rtol=1e-5)  # bfloat16 has 3 digits


def test_variance_of_a_constant_is_not_negative():
    _, variance = batch_statistics(jnp.full((64, 7, 7, 1), 1234.567))
    assert variance[0] >= 0
