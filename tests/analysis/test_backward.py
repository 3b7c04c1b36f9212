"""The rules of a relu on the way back, against numbers by hand, NumPy and jax.grad."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import operators
from jaxcnn.analysis.backward import RULES, with_rule
from jaxcnn.architectures import create
from jaxcnn.architectures.densenet import DenseNetCIFAR

X, DY = [1.0, 1.0, -1.0, -1.0, 0.0], [2.0, -3.0, 2.0, -3.0, 4.0]  # every combination of signs, and the kink
EXPECTED = {"gradient": [2, -3, 0, 0, 0], "deconvnet": [2, 0, 2, 0, 4], "guided": [2, 0, 0, 0, 0]}


def scanned(x):
    return jax.lax.scan(lambda carry, row: (carry, jax.nn.relu(carry + row)), jnp.zeros(()), x)[1]


RELUS = {
    "operators": operators.relu,
    "activation": operators.activation("relu"),
    "flax": nn.relu,
    "maximum": lambda x: jnp.maximum(x, 0),
    "zeros": lambda x: jnp.maximum(jnp.zeros_like(x), x),
    "clip": lambda x: jnp.clip(x, 0),
    "relu6": jax.nn.relu6,
    "jit": jax.jit(lambda x: 1 * jax.nn.relu(x)),
    "remat": jax.checkpoint(jax.nn.relu),
    "scan": scanned,
    "cond": lambda x: jax.lax.cond(x[0] > 0, jax.nn.relu, jnp.negative, x),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("relu", RELUS.values(), ids=RELUS)
def test_the_three_rules_are_told_apart_by_signs(relu, rule):
    y, back = jax.vjp(with_rule(relu, rule), jnp.array(X))
    np.testing.assert_array_equal(y, [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(back(jnp.array(DY))[0], EXPECTED[rule])


@jax.custom_vjp
def reverse(x):
    return x


reverse.defvjp(lambda x: (x, None), lambda _, dy: (-dy,))

OTHERS = {
    "leaky_relu": operators.leaky_relu,
    "softplus": jax.nn.softplus,  # its own derivative, although there is a max(x, 0) inside
    "tanh": jnp.tanh,
    "cut off at 0.5": lambda x: jnp.maximum(x, 0.5),
    "own derivative": reverse,
    "whole numbers": lambda x: x * jnp.maximum(x.astype(jnp.int32), 0),
}


@pytest.mark.parametrize("function", OTHERS.values(), ids=OTHERS)
def test_what_is_no_relu_keeps_its_gradient(function):
    for rule in RULES:
        result, plain = (jax.vjp(f, jnp.array(X)) for f in (with_rule(function, rule), function))
        np.testing.assert_array_equal(result[0], plain[0])
        np.testing.assert_array_equal(result[1](jnp.array(DY))[0], plain[1](jnp.array(DY))[0])


def test_trees_go_in_and_out_and_an_unknown_rule_lists_those_there_are():
    function = with_rule(lambda tree: {"b": jax.nn.relu(tree["a"]), "c": (tree["a"] * 2,)}, "guided")
    found = function({"a": jnp.array([-1.0, 3.0])})
    np.testing.assert_array_equal(found["b"], [0, 3])
    np.testing.assert_array_equal(found["c"][0], [-2, 6])
    with pytest.raises(ValueError, match=r"unknown rule of a relu 'deconv'; did you mean 'deconvnet'"):
        with_rule(jax.nn.relu, "deconv")


@pytest.mark.parametrize(
    "normalise",
    [
        lambda x: operators.local_response_norm(x, size=3, alpha=0.5),
        lambda x: operators.local_contrast_norm(x, window=3),
    ],
    ids=["response", "contrast"],
)
def test_only_the_deconvnet_passes_contrast_normalisation_by(normalise):
    x, dy = (jnp.asarray(np.random.default_rng(i).normal(size=(1, 2, 2, 6)), jnp.float32) for i in (0, 1))
    y, plain = jax.vjp(normalise, x)
    for rule in RULES:
        found, back = jax.vjp(with_rule(normalise, rule), x)
        np.testing.assert_allclose(found, y, rtol=1e-6)
        np.testing.assert_allclose(back(dy)[0], dy if rule == "deconvnet" else plain(dy)[0], rtol=1e-5, atol=1e-6)


def convolve(x, kernel):
    """(h, w), valid."""
    k = len(kernel)
    return np.array(
        [
            [np.sum(x[i : i + k, j : j + k] * kernel) for j in range(x.shape[1] - k + 1)]
            for i in range(x.shape[0] - k + 1)
        ]
    )


def filter_back(y, kernel):
    """Each value times the kernel, laid where it came from."""
    k = len(kernel)
    x = np.zeros((y.shape[0] + k - 1, y.shape[1] + k - 1))
    for i, j in np.ndindex(y.shape):
        x[i : i + k, j : j + k] += y[i, j] * kernel
    return x


def test_a_deconvnet_unpools_rectifies_and_filters():
    generator = np.random.default_rng(5)
    image, first, second = (generator.normal(size=size) for size in ((8, 8), (3, 3), (2, 2)))

    def network(x):
        x = operators.relu(operators.conv2d(x, jnp.asarray(first, jnp.float32).reshape(3, 3, 1, 1)))
        x = operators.max_pool(x, window=2)
        return operators.relu(operators.conv2d(x, jnp.asarray(second, jnp.float32).reshape(2, 2, 1, 1)))

    before = np.maximum(convolve(image, first), 0)  # 6 x 6
    pooled = before.reshape(3, 2, 3, 2).max(axis=(1, 3))
    for place in np.ndindex(2, 2):
        unit = np.zeros((2, 2))
        unit[place] = 1
        down = filter_back(np.maximum(unit, 0), second)  # 3 x 3
        unpooled = np.zeros((6, 6))
        for i, j in np.ndindex(3, 3):
            block = before[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            r, s = np.unravel_index(block.argmax(), (2, 2))
            assert block[r, s] == pooled[i, j]
            unpooled[2 * i + r, 2 * j + s] = down[i, j]
        expected = filter_back(np.maximum(unpooled, 0), first)
        x = jnp.asarray(image, jnp.float32).reshape(1, 8, 8, 1)
        _, back = jax.vjp(with_rule(network, "deconvnet"), x)
        found = back(jnp.asarray(unit, jnp.float32).reshape(1, 2, 2, 1))[0].reshape(8, 8)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_unpooling_after_pooling_puts_values_back_at_their_switches(rule):
    x = jnp.asarray(np.random.default_rng(2).normal(size=(2, 7, 7, 3)), jnp.float32)
    pooled, switches = operators.max_pool_with_switches(x, window=2)
    found, back = jax.vjp(with_rule(lambda x: operators.max_pool(x, window=2), rule), x)
    np.testing.assert_array_equal(found, pooled)
    placed = np.zeros_like(x)
    for n, i, j, c in np.ndindex(pooled.shape):
        placed[n, *divmod(int(switches[n, i, j, c]), 7), c] = pooled[n, i, j, c]
    assert np.all((placed == 0) | (placed == x)) and np.count_nonzero(placed) == pooled.size
    np.testing.assert_array_equal(back(pooled)[0], placed)


NETWORKS = {  # of the deepest ones a part: they compile for a minute
    "lenet5": (create("lenet5"), (32, 32, 1), "logits"),
    "alexnet_small": (create("alexnet_small"), (32, 32, 3), "logits"),
    "resnet20": (create("resnet20"), (32, 32, 3), "logits"),
    "googlenet_small": (create("googlenet_small", auxiliary=False), (8, 8, 3), "inception_3b"),
    "densenet": (DenseNetCIFAR(blocks=(2, 2), growth=4, remat=True), (8, 8, 3), "logits"),
}
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name == "googlenet_small" else name for name in NETWORKS]
)
def test_with_the_rule_gradient_it_is_the_gradient(name):
    model, shape, stage = NETWORKS[name]
    generator = np.random.default_rng(3)
    image = jnp.asarray(generator.normal(size=(1, *shape)), jnp.float32)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), image, train=False))
    draw = lambda s: jnp.asarray(np.abs(generator.normal(scale=1 / np.sqrt(max(s.size, 1)), size=s.shape)), s.dtype)  # noqa: E731
    variables = jax.tree.map(draw, shapes)

    def gradients(variables, image):
        def network(x):
            logits, features = model.apply(variables, x, train=False)
            return {**features, "logits": logits}[stage]

        return [
            jax.grad(lambda x, f=f: jnp.sum(f(x)[..., 1]))(image) for f in (network, with_rule(network, "gradient"))
        ]

    expected, found = jax.jit(gradients).lower(variables, image).compile(QUICK)(variables, image)
    assert np.all(np.isfinite(expected)) and np.any(expected)
    np.testing.assert_array_equal(found, expected)
