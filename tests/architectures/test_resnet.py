import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tracing import count, multiply_adds, shapes

from jaxcnn.architectures.resnet import CLAIMS, MODELS, Bottleneck, ResNet
from jaxcnn.operators import BatchNorm, softmax_cross_entropy


@functools.cache
def traced(name, **options):
    """(parameters, multiply-adds, stages in order, variables) of a trace at 224x224."""
    order = []

    def run(x):
        (logits, features), variables = MODELS[name](**options).init_with_output(jax.random.key(0), x, train=False)
        order.extend(features)
        return (logits, features), variables

    closed, ((logits, features), variables) = jax.make_jaxpr(run, return_shape=True)(jnp.zeros((1, 224, 224, 3)))
    assert (logits.shape, logits.dtype) == ((1, 1000), jnp.float32)
    stages = [(key, features[key].shape[1:]) for key in order]
    return count(variables["params"]), multiply_adds(closed.jaxpr), stages, variables


def paths(tree):
    return [(jax.tree_util.keystr(path), leaf.shape) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def by_hand(depth, shortcut):
    """(parameters, multiply-adds of v1, what v1.5 adds to them) from table 1; shortcut None is the plain net."""
    bottleneck = depth >= 50
    parameters, macs, extra = 64 * 147 + 2 * 64, 64 * 147 * 112**2, 0
    c = 64
    for stage, blocks in enumerate(BLOCKS[depth]):
        width, area = 64 * 2**stage, (56 // 2**stage) ** 2
        out = 4 * width if bottleneck else width
        for block in range(blocks):
            if bottleneck:
                weights, norms = c * width + 9 * width**2 + width * out, 2 * width + out
                if stage > 0 and block == 0:  # the first 1x1 sees four times the pixels
                    extra += 3 * area * c * width
            else:
                weights, norms = 9 * c * width + 9 * width**2, 2 * width
            if shortcut == "C" or (shortcut == "B" and c != out):
                weights, norms = weights + c * out, norms + out
            parameters, macs, c = parameters + weights + 2 * norms, macs + weights * area, out
    return parameters + 1000 * c + 1000, macs + 1000 * c, extra


@pytest.mark.parametrize("name", MODELS)
def test_claims_follow_from_the_table_and_hold(name):
    depth = int(name.split("_")[0].lstrip("resntplai"))
    parameters, macs, extra = by_hand(depth, None if name.startswith("plain") else "B")
    claim = CLAIMS[name]
    assert claim.input == (224, 224, 3)
    assert (claim.parameters, claim.macs) == (parameters, macs + ("v1_5" in name) * extra)
    assert traced(name)[:2] == (claim.parameters, claim.macs)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize("shortcut", ["A", "C"])
def test_counts_with_the_other_shortcuts(name, shortcut):
    assert traced(name, shortcut=shortcut)[:2] == by_hand(int(name[6:]), shortcut)[:2]


def test_v1_5_is_an_option_and_a_name():
    assert traced("resnet50", v1_5=True)[:3] == traced("resnet50_v1_5")[:3]
    assert traced("resnet18", v1_5=True)[:3] == traced("resnet18")[:3]


@pytest.mark.parametrize("name", MODELS)
def test_stages(name):
    expansion = 1 if name in ("resnet18", "resnet34", "plain18", "plain34") else 4
    assert traced(name)[2] == [
        ("conv1", (112, 112, 64)),
        ("pool1", (56, 56, 64)),
        ("conv2_x", (56, 56, 64 * expansion)),
        ("conv3_x", (28, 28, 128 * expansion)),
        ("conv4_x", (14, 14, 256 * expansion)),
        ("conv5_x", (7, 7, 512 * expansion)),
        ("pool5", (512 * expansion,)),
    ]


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "plain34"])
def test_depth_is_the_number_of_weighted_layers_on_the_main_path(name):
    kernels = [path for path, _ in paths(traced(name)[3]["params"]) if path.endswith("['kernel']")]
    assert sum("shortcut" not in path for path in kernels) == int(name.lstrip("resntplai"))


@pytest.mark.parametrize(
    "name, shortcut, projected",
    [
        ("resnet18", "A", []),
        ("resnet18", "B", ["conv3_1", "conv4_1", "conv5_1"]),
        ("resnet18", "C", [f"conv{stage}_{block}" for stage in (2, 3, 4, 5) for block in (1, 2)]),
        ("resnet50", "A", []),
        ("resnet50", "B", ["conv2_1", "conv3_1", "conv4_1", "conv5_1"]),
        ("plain18", "B", []),
    ],
)
def test_projections_are_where_the_option_says(name, shortcut, projected):
    params = traced(name, shortcut=shortcut)[3]["params"]
    assert sorted(block for block, layers in params.items() if "shortcut" in layers) == projected
    assert sorted(block for block, layers in params.items() if "shortcut_norm" in layers) == projected


@pytest.mark.parametrize("size", [(224, 224, 3), (160, 197, 1), (33, 1, 3)])
def test_any_size_and_any_number_of_classes(size):
    (logits, features), _ = shapes(MODELS["resnet18"](num_classes=7), size)
    assert logits.shape == (2, 7)
    assert features["conv5_x"].shape[1:3] == tuple(-(-side // 32) for side in size[:2])


def test_bfloat16_computes_in_bfloat16_only():
    (logits, features), variables = shapes(MODELS["resnet50"](dtype=jnp.bfloat16, blocks=(1, 1, 1, 1)), (224, 224, 3))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert logits.dtype == jnp.float32
    assert {feature.dtype for feature in features.values()} == {jnp.dtype("bfloat16")}


def convolve(x, kernel, stride=1):
    size = kernel.shape[0]
    x = np.pad(x, ((0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0)))
    rows, columns = (side - size + 1 for side in x.shape[1:3])
    taps = [(u, v) for u in range(size) for v in range(size)]
    return sum(x[:, u : u + rows : stride, v : v + columns : stride] @ kernel[u, v] for u, v in taps)


def norm(x, layer):
    return (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5) * layer["scale"] + layer["bias"]


def max_pool(x):
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    rows, columns = (side - 2 for side in x.shape[1:3])
    return np.max([x[:, u : u + rows : 2, v : v + columns : 2] for u in range(3) for v in range(3)], axis=0)


def resnet_in_numpy(params, x, blocks, *, bottleneck, residual=True, shortcut="B", v1_5=False):
    """While it trains; blocks are (name, stride)."""
    x = max_pool(np.maximum(norm(convolve(x, params["conv1"]["kernel"], 2), params["norm1"]), 0))
    for name, stride in blocks:
        block = params[name]
        strides = ((1, stride, 1) if v1_5 else (stride, 1, 1)) if bottleneck else (stride, 1)
        y = x
        for i, step in enumerate(strides, start=1):
            y = norm(convolve(y, block[f"conv{i}"]["kernel"], step), block[f"norm{i}"])
            y = y if i == len(strides) else np.maximum(y, 0)
        if "shortcut" in block:
            y = y + norm(convolve(x, block["shortcut"]["kernel"], stride), block["shortcut_norm"])
        elif residual:
            front = (y.shape[-1] - x.shape[-1]) // 2
            y[..., front : front + x.shape[-1]] += x[:, ::stride, ::stride]
        x = np.maximum(y, 0)
    return x.mean((1, 2)) @ params["fc"]["kernel"] + params["fc"]["bias"]


@pytest.mark.parametrize(
    "options",
    [
        {"bottleneck": False},
        {"bottleneck": False, "residual": False},
        {"bottleneck": True},
        {"bottleneck": True, "v1_5": True},
        {"bottleneck": True, "shortcut": "A"},
        {"bottleneck": True, "shortcut": "C"},
    ],
    ids=["basic", "plain", "v1", "v1.5", "A", "C"],
)
def test_logits_are_those_of_the_equations(options, draw):
    model = ResNet(blocks=(1, 2), widths=(4, 6), num_classes=5, **options)
    x = np.random.default_rng(0).normal(size=(4, 40, 24, 3)).astype(np.float32)
    variables = draw(model, x.shape[1:])
    (logits, _), _ = jax.jit(lambda v: model.apply(v, x, train=True, mutable=["batch_stats"]))(variables)
    wide = jax.tree.map(lambda p: p.astype(np.float64), variables["params"])
    expected = resnet_in_numpy(wide, x.astype(np.float64), [("conv2_1", 1), ("conv3_1", 2), ("conv3_2", 1)], **options)
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)


TINY = ResNet(blocks=(1, 2), widths=(4, 6), num_classes=5, bottleneck=True)
IMAGES = np.random.default_rng(1).normal(size=(5, 32, 32, 3)).astype(np.float32)


def loss_and_gradient(model, variables):
    @jax.jit
    @jax.value_and_grad
    def run(params):
        (logits, _), _ = model.apply({**variables, "params": params}, IMAGES, train=True, mutable=["batch_stats"])
        return jnp.mean(softmax_cross_entropy(logits, jnp.eye(5)))

    return run


def test_every_parameter_matters(draw):
    variables = draw(TINY, (32, 32, 3))
    params, run = variables["params"], loss_and_gradient(TINY, variables)
    loss, gradients = run(params)
    leaves, structure = jax.tree.flatten(params)
    for i, (path, gradient) in enumerate(jax.tree_util.tree_leaves_with_path(gradients)):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 1e-6, jax.tree_util.keystr(path)
        without = jax.tree.unflatten(structure, [*leaves[:i], np.zeros_like(leaves[i]), *leaves[i + 1 :]])
        assert abs(run(without)[0] - loss) > 1e-5, jax.tree_util.keystr(path)


def test_remat_changes_no_number(draw):
    model = TINY.clone(blocks=(2,), widths=(4,))
    again = model.clone(remat=True)
    assert paths(shapes(model, (32, 32, 3))) == paths(shapes(again, (32, 32, 3)))
    variables = draw(model, (32, 32, 3))
    (loss, gradients), run = (
        loss_and_gradient(model, variables)(variables["params"]),
        loss_and_gradient(again, variables),
    )
    recomputed_loss, recomputed = run(variables["params"])
    np.testing.assert_allclose(recomputed_loss, loss, rtol=1e-6)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-6), recomputed, gradients)
    program = jax.make_jaxpr(lambda v: again.apply(v, IMAGES, train=False))(variables)
    assert str(program).count("prevent_cse") == 2


@pytest.mark.parametrize("shortcut", ["A", "B", "C"])
def test_without_its_branch_a_block_is_its_shortcut(shortcut, draw):
    model = TINY.clone(shortcut=shortcut)
    variables = draw(model, (32, 32, 3))
    features = jax.jit(lambda params: model.apply({**variables, "params": params}, IMAGES, train=False)[1])
    params, before = variables["params"], features(variables["params"])
    for block, stage in (("conv2_1", "conv2_x"), ("conv3_2", "conv3_x")):
        for branch in ("norm3", "shortcut_norm"):
            if branch in params[block]:
                silent = {**params[block], branch: jax.tree.map(np.zeros_like, params[block][branch])}
                after = features({**params, block: silent})[stage]
                assert np.any(after) and np.abs(after - before[stage]).max() > 1e-3, (block, branch)
    if shortcut == "A":
        silent = {**params["conv2_1"], "norm3": jax.tree.map(np.zeros_like, params["conv2_1"]["norm3"])}
        after = features({**params, "conv2_1": silent})
        np.testing.assert_array_equal(after["conv2_x"][..., 6:10], after["pool1"])
        assert not np.any(after["conv2_x"][..., :6]) and not np.any(after["conv2_x"][..., 10:])


@pytest.mark.parametrize("zero", [True, False])
def test_only_the_last_norm_of_a_block_starts_at_zero(zero):
    options = {"residual": True, "shortcut": "B", "norm": BatchNorm, "dtype": jnp.float32}
    block = Bottleneck(64, 2, zero_init_last_norm=zero, **options)
    params = block.init(jax.random.key(0), jnp.zeros((1, 4, 4, 64)), train=False)["params"]
    starts = {name: set(np.unique(params[name]["scale"])) for name in params if "norm" in name}
    assert starts == {"norm1": {1.0}, "norm2": {1.0}, "norm3": {0.0 if zero else 1.0}, "shortcut_norm": {1.0}}
    assert np.std(params["conv2"]["kernel"]) == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.03)
    assert np.std(params["shortcut"]["kernel"]) == pytest.approx((2 / 256) ** 0.5, rel=0.03)


@pytest.mark.parametrize(
    "name, options, said",
    [
        ("resnet18", {"shortcut": "D"}, "unknown shortcut 'D'; known: A, B, C"),
        ("resnet18", {"widths": (64, 128)}, "a width for each stage"),
        ("plain18", {"zero_init_last_norm": True}, "a plain net has no shortcuts"),
    ],
)
def test_refused_options(name, options, said):
    with pytest.raises(ValueError, match=said):
        MODELS[name](**options)
