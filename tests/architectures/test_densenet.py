import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tracing import count, multiply_adds, shapes

from jaxcnn.architectures.densenet import CLAIMS, MODELS, Composite, DenseNet, DenseNetCIFAR
from jaxcnn.operators import BatchNorm, Dropout, softmax_cross_entropy


@functools.cache
def traced(name):
    """(parameters, multiply-adds, stages in order, variables) of a trace at the paper's input."""
    order = []

    def run(x):
        (logits, features), variables = MODELS[name]().init_with_output(jax.random.key(0), x, train=False)
        order.extend(features)
        return (logits, features), variables

    closed, ((logits, features), variables) = jax.make_jaxpr(run, return_shape=True)(
        jnp.zeros((1, *CLAIMS[name].input))
    )
    assert (logits.shape, logits.dtype) == ((1, 1000 if CLAIMS[name].input[0] == 224 else 10), jnp.float32)
    parameters = count(variables["params"])
    return parameters, multiply_adds(closed.jaxpr), [(key, features[key].shape[1:]) for key in order], variables


def paths(tree):
    return [(jax.tree_util.keystr(path), leaf.shape) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


DEPTHS = {  # layers in the last two blocks of table 1, and k
    "densenet121": (24, 16, 32),
    "densenet169": (32, 32, 32),
    "densenet201": (48, 32, 32),
    "densenet161": (36, 24, 48),
    "densenet264": (64, 48, 32),
}


def by_hand(blocks, k, *, bc, stem, areas, classes):
    """(parameters, multiply-adds) by the sums over the layers of a block; stem is (kernel size, channels, area)."""
    size, c, area = stem
    macs = 3 * size**2 * c * area
    parameters = 3 * size**2 * c + (2 * c if size == 7 else 0)
    for i, (n, area) in enumerate(zip(blocks, areas, strict=True)):
        seen = n * c + k * n * (n - 1) // 2  # channels that the layers of this block see, summed
        weights = 4 * k * seen + n * 9 * 4 * k * k if bc else 9 * k * seen
        normed = seen + (n * 4 * k if bc else 0)
        c += n * k
        if i + 1 < len(blocks):
            through = c // 2 if bc else c
            weights, normed, c = weights + c * through, normed + c, through
        macs, parameters = macs + weights * area, parameters + weights + 2 * normed
    return parameters + 2 * c + (c + 1) * classes, macs + c * classes


def expected(name):
    if name in DEPTHS:
        third, fourth, k = DEPTHS[name]
        sizes = {"stem": (7, 2 * k, 112**2), "areas": (56**2, 28**2, 14**2, 7**2), "classes": 1000}
        return by_hand((6, 12, third, fourth), k, bc=True, **sizes)
    if name == "densenet_small":
        return by_hand((6, 12, 24, 16), 12, bc=True, stem=(3, 24, 1024), areas=(1024, 256, 64, 16), classes=10)
    depth, k = map(int, name.split("_")[-2:])
    bc = "bc" in name
    layers = (depth - 4) // (6 if bc else 3)
    return by_hand((layers,) * 3, k, bc=bc, stem=(3, 2 * k if bc else 16, 1024), areas=(1024, 256, 64), classes=10)


LONG = {"densenet_100_24", "densenet_bc_250_24", "densenet_bc_190_40"}  # seconds to trace
TRACED = [pytest.param(name, marks=pytest.mark.long if name in LONG else ()) for name in MODELS]


@pytest.mark.parametrize("name", MODELS)
def test_claims_follow_from_the_tables(name):
    assert (CLAIMS[name].parameters, CLAIMS[name].macs) == expected(name)


@pytest.mark.parametrize("name", TRACED)
def test_claims_hold(name):
    assert traced(name)[:2] == (CLAIMS[name].parameters, CLAIMS[name].macs)


def test_parameters_are_those_that_the_paper_prints():
    printed = {"40_12": 1.0, "100_12": 7.0, "100_24": 27.2, "bc_100_12": 0.8, "bc_250_24": 15.3, "bc_190_40": 25.6}
    for name, millions in printed.items():
        assert abs(CLAIMS[f"densenet_{name}"].parameters / 1e6 - millions) <= 0.05, name


@pytest.mark.parametrize("name", TRACED)
def test_depth_is_the_number_of_weighted_layers(name):
    depth = 121 if name == "densenet_small" else int(name[8:] if name in DEPTHS else name.split("_")[-2])
    depth += name == "densenet264"  # its blocks in table 1, 6 + 12 + 64 + 48, make 265 layers
    assert sum(path.endswith("['kernel']") for path, _ in paths(traced(name)[3]["params"])) == depth


CHANNELS = {  # of the first convolution, and of block, transition, block, ...
    "densenet121": (64, 256, 128, 512, 256, 1024, 512, 1024),
    "densenet169": (64, 256, 128, 512, 256, 1280, 640, 1664),
    "densenet201": (64, 256, 128, 512, 256, 1792, 896, 1920),
    "densenet161": (96, 384, 192, 768, 384, 2112, 1056, 2208),
    "densenet264": (64, 256, 128, 512, 256, 2304, 1152, 2688),
    "densenet_40_12": (16, 160, 160, 304, 304, 448),
    "densenet_100_12": (16, 400, 400, 784, 784, 1168),
    "densenet_100_24": (16, 784, 784, 1552, 1552, 2320),
    "densenet_bc_100_12": (24, 216, 108, 300, 150, 342),
    "densenet_bc_250_24": (48, 1032, 516, 1500, 750, 1734),
    "densenet_bc_190_40": (80, 1320, 660, 1900, 950, 2190),
    "densenet_small": (24, 96, 48, 192, 96, 384, 192, 384),
}


@pytest.mark.parametrize("name", TRACED)
def test_stages(name):
    first, *widths = CHANNELS[name]
    side = CLAIMS[name].input[0]
    stages = [("convolution", (side, side, first))]
    if side == 224:
        side = 56
        stages = [("convolution", (112, 112, first)), ("pooling", (56, 56, first))]
    for i, width in enumerate(widths):
        side = side // 2 if i % 2 else side
        stages.append((f"{'transition' if i % 2 else 'dense_block'}{i // 2 + 1}", (side, side, width)))
    assert traced(name)[2] == [*stages, ("last_norm", (side, side, widths[-1])), ("global_pool", (widths[-1],))]


@pytest.mark.parametrize("name, smallest", [("densenet121", 29), ("densenet_bc_100_12", 4), ("densenet_small", 8)])
def test_any_size_that_leaves_a_pixel(name, smallest):
    model = MODELS[name](num_classes=7, blocks=(1,) * (3 if "bc" in name else 4))
    (logits, features), _ = shapes(model, (smallest, 2 * smallest + 3, 1))
    assert logits.shape == (2, 7)
    assert features[f"dense_block{len(model.blocks)}"].shape[1:3] == (1, 2)
    with pytest.raises(ValueError, match=f"at least {smallest}x{smallest}"):
        shapes(model, (smallest + 3, smallest - 1, 3))


@pytest.mark.parametrize("size", [(28, 28, 1), (32, 32, 1), (28, 28, 3)])
def test_small_takes_small_images(size):
    (logits, features), _ = shapes(MODELS["densenet_small"](blocks=(2, 2, 2, 2)), size)
    assert logits.shape == (2, 10) and features["dense_block4"].shape[1:3] == (size[0] // 8, size[1] // 8)


@pytest.mark.parametrize("name", ["densenet121", "densenet_40_12"])
def test_bfloat16_computes_in_bfloat16_only(name):
    (logits, features), variables = shapes(MODELS[name](dtype=jnp.bfloat16, blocks=(2, 2)), (64, 64, 3))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert logits.dtype == jnp.float32
    assert {feature.dtype for feature in features.values()} == {jnp.dtype("bfloat16")}


def convolve(x, kernel, stride=1):
    size = kernel.shape[0]
    x = np.pad(x, ((0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0)))
    rows, columns = (side - size + 1 for side in x.shape[1:3])
    taps = [(u, v) for u in range(size) for v in range(size)]
    return sum(x[:, u : u + rows : stride, v : v + columns : stride] @ kernel[u, v] for u, v in taps)


def norm_relu(x, layer):
    x = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5) * layer["scale"] + layer["bias"]
    return np.maximum(x, 0)


def max_pool(x):
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    rows, columns = (side - 2 for side in x.shape[1:3])
    return np.max([x[:, u : u + rows : 2, v : v + columns : 2] for u in range(3) for v in range(3)], axis=0)


def densenet_in_numpy(params, x, *, stem, bottleneck):
    """While it trains; two blocks of two layers."""

    def composite(x, name):
        return convolve(norm_relu(x, params[name]["norm"]), params[name]["conv"]["kernel"])

    x = convolve(x, params["convolution"]["kernel"], 2 if stem == "7x7" else 1)
    if stem == "7x7":
        x = max_pool(norm_relu(x, params["convolution_norm"]))
    for block in (1, 2):
        for layer in (1, 2):
            name = f"dense_block{block}_layer{layer}"
            y = composite(x, f"{name}_1x1") if bottleneck else x
            x = np.concatenate([x, composite(y, f"{name}_3x3")], axis=-1)
        if block == 1:
            x = composite(x, "transition1")
            x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
            x = (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
    return norm_relu(x, params["last_norm"]).mean((1, 2)) @ params["fc"]["kernel"] + params["fc"]["bias"]


TINY = DenseNet(blocks=(2, 2), growth=3, num_classes=5)
BASIC = DenseNetCIFAR(blocks=(2, 2), growth=3, num_classes=5, bottleneck=False, compression=1.0, stem_width=4)
IMAGES = np.random.default_rng(1).normal(size=(5, 28, 20, 3)).astype(np.float32)


@pytest.mark.parametrize("model", [TINY, BASIC], ids=["7x7_bc", "3x3_basic"])
def test_logits_are_those_of_the_equations(model, draw):
    x = IMAGES if model.stem == "7x7" else IMAGES[:, :10, :9]
    variables = draw(model, x.shape[1:])
    (logits, _), _ = jax.jit(lambda v: model.apply(v, x, train=True, mutable=["batch_stats"]))(variables)
    wide = jax.tree.map(lambda p: p.astype(np.float64), variables["params"])
    by_numpy = densenet_in_numpy(wide, x.astype(np.float64), stem=model.stem, bottleneck=model.bottleneck)
    np.testing.assert_allclose(logits, by_numpy, rtol=1e-3, atol=1e-4)


def loss_and_gradient(model, variables):
    """run(params, positions of the images in the global batch)."""
    options = {"train": True, "mutable": ["batch_stats"], "rngs": {"dropout": jax.random.key(3)}}

    @jax.jit
    @jax.value_and_grad
    def run(params, positions):
        inputs = {**variables, "params": params, "batch": {"position": positions}}
        (logits, _), _ = model.apply(inputs, IMAGES, **options)
        return jnp.mean(softmax_cross_entropy(logits, jnp.eye(5)))

    return run


def test_every_parameter_matters(draw):
    variables = draw(TINY, (28, 20, 3))
    params, run = variables["params"], loss_and_gradient(TINY, variables)
    loss, gradients = run(params, jnp.arange(5))
    leaves, structure = jax.tree.flatten(params)
    for i, (path, gradient) in enumerate(jax.tree_util.tree_leaves_with_path(gradients)):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 1e-6, jax.tree_util.keystr(path)
        without = jax.tree.unflatten(structure, [*leaves[:i], np.zeros_like(leaves[i]), *leaves[i + 1 :]])
        assert abs(run(without, jnp.arange(5))[0] - loss) > 1e-5, jax.tree_util.keystr(path)


def test_remat_changes_no_number_and_dropout_still_follows_the_positions(draw):
    model = BASIC.clone(dropout_rate=0.2, blocks=(2,))
    variables, there = draw(model, (28, 20, 3)), jnp.array([7, 8, 9, 5, 6])
    assert paths(shapes(model, (28, 20, 3))) == paths(shapes(model.clone(remat=True), (28, 20, 3)))
    run = loss_and_gradient(model.clone(remat=True), variables)
    loss, gradients = loss_and_gradient(model, variables)(variables["params"], there)
    again, same = run(variables["params"], there)
    np.testing.assert_allclose(again, loss, rtol=1e-6)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-6), same, gradients)
    assert abs(run(variables["params"], jnp.arange(5))[0] - loss) > 1e-4
    program = jax.make_jaxpr(lambda p: run(p, there))
    assert str(program(variables["params"])).count("prevent_cse") == 2


def test_dropout_follows_every_convolution_but_the_first(draw):
    variables, drawn = draw(TINY, (28, 20, 3)), []
    options = {"train": True, "mutable": ["batch_stats"], "rngs": {"dropout": jax.random.key(0)}}

    def record(call, args, kwargs, context):
        if isinstance(context.module, Dropout):
            drawn.append(context.module.name)
        return call(*args, **kwargs)

    def run(rate):  # traced: one program for every rate
        with nn.intercept_methods(record):
            return TINY.clone(dropout_rate=rate).apply(variables, IMAGES, **options)

    jax.eval_shape(run, 0.2)
    layers = [f"dense_block{b}_layer{i}_{k}" for b in (1, 2) for i in (1, 2) for k in ("1x1", "3x3")]
    assert drawn == [f"{layer}_dropout" for layer in [*layers[:4], "transition1", *layers[4:]]]


def test_he_initialisation_by_fan_out():
    layer = Composite(32, 3, norm=BatchNorm, dtype=jnp.float32)
    maps = (jnp.zeros((1, 2, 2, 48)), jnp.zeros((1, 2, 2, 16)))
    variables = layer.init(jax.random.key(0), maps, train=False)
    assert np.std(variables["params"]["conv"]["kernel"]) == pytest.approx((2 / (9 * 32)) ** 0.5, rel=0.03)


def test_an_unknown_stem_is_refused():
    with pytest.raises(ValueError, match="unknown stem '5x5'; known: 7x7, 3x3"):
        MODELS["densenet121"](stem="5x5")
