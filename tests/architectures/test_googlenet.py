import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tracing import count, multiply_adds

from jaxcnn.architectures import googlenet
from jaxcnn.architectures.googlenet import CLAIMS, MODELS
from jaxcnn.architectures.inception_module import Inception
from jaxcnn.operators import multi_head, softmax_cross_entropy

PRINTED = """
3a  64  96 128 16  32  32
3b 128 128 192 32  96  64
4a 192  96 208 16  48  64
4b 160 112 224 24  64  64
4c 128 128 256 24  64  64
4d 112 144 288 32  64  64
4e 256 160 320 32 128 128
5a 256 160 320 32 128 128
5b 384 192 384 48 128 128
"""  # Szegedy et al. 2014, table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj
ROWS = [(name, *map(int, widths)) for name, *widths in (row.split() for row in PRINTED.split("\n") if row)]


def counted(
    sides, classes=1000, third=5, naive=False, per_channel=1, bins=16, heads=True, factorised=False, residual=False
):
    """Parameters and multiply-adds of table 1 by hand.

    sides: of the maps of conv1, conv2 and of modules 3, 4, 5; per_channel: a bias, or a norm's scale and bias; bins:
    windows that a head averages.
    """
    total = macs = 0

    def add(kernel, c_in, c_out, side):
        nonlocal total, macs
        total += (kernel**2 * c_in + per_channel) * c_out
        macs += side**2 * kernel**2 * c_in * c_out

    add(7, 3, 64, sides[0])
    add(1, 64, 64, sides[1])
    add(3, 64, 192, sides[1])
    c, of_heads = 192, 0
    for name, one, reduce3, three, reduce5, five, projection in ROWS:
        side = sides[int(name[0]) - 1]
        add(1, c, one, side)
        add(3, c if naive else reduce3, three, side)
        if factorised:
            add(3, reduce5, five, side)
            add(3, five, five, side)
        else:
            add(third, c if naive else reduce5, five, side)
        before = c
        if naive:
            c += one + three + five
        else:
            for width in (reduce3, reduce5, projection):
                add(1, c, width, side)
            c = one + three + five + projection
        if residual:
            add(1, c, c, side)
            if before != c:
                add(1, before, c, side)
        if name in ("4a", "4d"):
            of_heads += (c + per_channel) * 128 + (128 * bins + 1) * 1024 + (1024 + 1) * classes
    return total + (c + 1) * classes + heads * of_heads, macs + c * classes


AT_224 = (112, 56, 28, 14, 7)
HAND = {
    "googlenet": functools.partial(counted, AT_224),
    "googlenet_naive": functools.partial(counted, AT_224, naive=True),
    "googlenet_bn": functools.partial(counted, AT_224, third=3, per_channel=2),
    "googlenet_small": functools.partial(counted, (32, 16, 16, 8, 4), 10, heads=False),
}


@functools.cache
def build(name, size=None, train=False, **options):
    """(logits, features) and variables as shapes, and the multiply-adds of the jaxpr, without compiling."""
    model, size = MODELS[name](**options), size or CLAIMS[name].input
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    image = jax.ShapeDtypeStruct((2, *size), jnp.float32)

    def trace(x):
        (logits, features), variables = model.init_with_output(keys, x, train=train)
        order.extend(features)  # jax sorts a dict that it returns
        return (logits, features), variables

    order = []
    jaxpr, ((logits, features), variables) = jax.make_jaxpr(trace, return_shape=True)(image)
    return (logits, {stage: features[stage] for stage in order}), variables, multiply_adds(jaxpr) // 2


@pytest.mark.parametrize("name", MODELS)
def test_claims_follow_from_table_1(name):
    assert (CLAIMS[name].parameters, CLAIMS[name].macs) == HAND[name]()


def test_claims_are_the_published_counts():
    assert CLAIMS["googlenet"].parameters == 13_378_280
    assert HAND["googlenet"](heads=False)[0] == 6_998_552  # Caffe's bvlc_googlenet, deployed
    assert HAND["googlenet_bn"]() == (13_004_888, 1_498_376_192)  # torchvision: 1.498 G
    assert HAND["googlenet_bn"](heads=False)[0] == 6_624_904
    assert set(CLAIMS) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_exact_parameters_macs_and_contract(name):
    (logits, features), variables, _ = build(name)
    assert count(variables["params"]) == CLAIMS[name].parameters
    assert (logits.shape, logits.dtype) == ((2, 10 if name == "googlenet_small" else 1000), jnp.float32)
    assert set(variables) == ({"params", "batch_stats"} if name == "googlenet_bn" else {"params"})
    (_, bare), variables, macs = build(name, auxiliary=False)
    assert macs == CLAIMS[name].macs
    assert count(variables["params"]) == HAND[name](heads=False)[0]
    heads = [] if name == "googlenet_small" else ["aux1", "aux2"]
    assert list(features) == [*bare, *heads]
    assert all(features[head].shape == (2, 1000) and features[head].dtype == jnp.float32 for head in heads)


@pytest.mark.parametrize(
    ("options", "hand"),
    [
        ({"bottlenecks": False}, {"naive": True}),
        ({"batch_norm": True}, {"per_channel": 2}),
        ({"factorized": True}, {"factorised": True}),
        ({"residual": True}, {"residual": True}),
    ],
    ids=str,
)
def test_what_ablations_make_of_the_modules(options, hand):
    (_, features), variables, macs = build("googlenet_small", **options)
    parameters, expected = counted((32, 16, 16, 8, 4), 10, heads=False, **hand)
    assert (count(variables["params"]), macs) == (parameters, expected)
    assert features["inception_5b"].shape == (2, 4, 4, 4944 if hand.get("naive") else 1024)


def test_an_eighth_of_the_width():
    (_, features), variables, _ = build("googlenet_small", (8, 8, 1), width=0.125)
    assert features["inception_3a"].shape[-1] == sum(math.ceil(w / 8) for w in (64, 128, 32, 32))
    assert variables["params"]["inception_5b"]["3x3_reduce"]["kernel"].shape == (1, 1, 832 // 8, 192 // 8)


def test_a_residual_module_adds_its_branches_to_its_input():
    module = Inception((2, 2, 3, 1, 2, 1), residual=True)
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 8)).astype(np.float32)
    variables = module.init(jax.random.key(0), x, False)
    params = {**variables["params"], "join": jax.tree.map(jnp.zeros_like, variables["params"]["join"])}
    np.testing.assert_array_equal(module.apply({"params": params}, x, False), np.maximum(x, 0))


MODULES = [f"inception_{row[0]}" for row in ROWS]
STAGES = ["conv1", "pool1", "conv2", "pool2", *MODULES[:2], "pool3", *MODULES[2:7], "pool4", *MODULES[7:], "pool5"]
CHANNELS = (64, 64, 192, 192, 256, 480, 480, 512, 512, 512, 528, 832, 832, 832, 1024)
NAIVE = (64, 64, 192, 192, 416, 832, 832, 1280, 1728, 2176, 2640, 3344, 3344, 4048, 4944)


@pytest.mark.parametrize("name, size, sides, channels", [
    ("googlenet", None, (112, 56, 28, 14, 7), CHANNELS),
    ("googlenet_bn", None, (112, 56, 28, 14, 7), CHANNELS),
    ("googlenet_naive", None, (112, 56, 28, 14, 7), NAIVE),
    ("googlenet_small", None, (32, 16, 16, 8, 4), CHANNELS),
    ("googlenet_small", (28, 28, 1), (28, 14, 14, 7, 3), CHANNELS),
])  # fmt: skip
def test_stages(name, size, sides, channels):
    (_, features), _, _ = build(name, size, auxiliary=False)
    conv1, conv2, three, four, five = sides
    expected = [conv1, conv2, conv2, three, three, three, *[four] * 6, *[five] * 3]
    shapes = [(2, side, side, c) for side, c in zip(expected, channels, strict=True)]
    assert list(features) == STAGES
    assert [feature.shape for feature in features.values()] == [*shapes, (2, channels[-1])]


def test_the_layers_have_the_papers_names():
    _, variables, _ = build("googlenet")
    assert set(variables["params"]) == {"conv1", "conv2_reduce", "conv2", *MODULES, "aux1", "aux2", "linear"}
    assert set(variables["params"]["inception_3a"]) == {
        "1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj",
    }  # fmt: skip


@pytest.mark.parametrize("name, third", [("googlenet", 5), ("googlenet_naive", 5), ("googlenet_bn", 3)])
def test_kernels_of_the_third_branch(name, third):
    _, variables, _ = build(name)
    for module in MODULES:
        kernels = {
            layer: leaf["kernel"].shape for layer, leaf in variables["params"][module].items() if "kernel" in leaf
        }
        assert kernels["5x5"][:2] == (third, third)
        assert kernels["3x3"][:2] == (3, 3)
        assert ("5x5_reduce" in kernels) == ("pool_proj" in kernels) == (name != "googlenet_naive")


@pytest.mark.parametrize("name", ["googlenet", "googlenet_bn"])
def test_any_number_of_classes_reaches_every_head(name):
    (logits, features), variables, _ = build(name, num_classes=37)
    assert logits.shape == features["aux1"].shape == features["aux2"].shape == (2, 37)
    assert count(variables["params"]) == HAND[name](classes=37)[0]


def test_a_larger_image_widens_the_heads_of_the_paper_only():
    size = (320, 224, 3)  # 4a is 20x14, which holds 6x4 windows
    for name, bins in (("googlenet", 24), ("googlenet_bn", 16)):
        (_, features), variables, _ = build(name, size)
        assert features["inception_4a"].shape == (2, 20, 14, 512)
        assert count(variables["params"]) == HAND[name](bins=bins)[0]


@pytest.mark.parametrize("name", ["googlenet", "googlenet_bn"])
def test_bfloat16_computes_in_bfloat16_only(name):
    (logits, features), variables, _ = build(name, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert logits.dtype == jnp.float32
    for stage, feature in features.items():
        assert feature.dtype == (jnp.float32 if stage in ("aux1", "aux2") else jnp.bfloat16)


def test_remat_keeps_names_and_shapes():
    plain, remat = (build("googlenet_bn", (64, 64, 3), train=True, remat=remat)[:2] for remat in (False, True))
    assert plain == remat


def ceil_pool(side, window=3):
    return -(-(side - window) // 2) + 1 if side > 1 or window == 2 else 0


@pytest.mark.parametrize("name", MODELS)
def test_the_smallest_image(name):
    """A pooling takes a side of 2 or more (3x3, rounded up), a head's average one of 5."""
    small, bn = name == "googlenet_small", name == "googlenet_bn"

    def fits(side, heads):
        side = ceil_pool(side if small else -(-side // 2))
        four = ceil_pool(side if small else ceil_pool(side))
        return four >= (5 if heads and not bn else 1) and ceil_pool(four, 2 if bn else 3) >= 1

    for heads in (False, True):
        least = next(side for side in range(1, 100) if fits(side, heads))
        assert googlenet.VARIANTS[name].least[heads] == least
        with pytest.raises(ValueError, match=f"{name} needs images of at least {least}x{least}.*got"):
            build(name, (least + 1, least - 1, 3), auxiliary=heads)
        assert build(name, (least, least, 3), auxiliary=heads)[0][0].shape[0] == 2


def test_an_unknown_response_norm_is_refused():
    with pytest.raises(ValueError, match="unknown lrn 'cafe'; did you mean 'caffe'"):
        build("googlenet_small", lrn="cafe")


LECTURE = {"naive": (128, 0, 192, 0, 96, 0), "bottlenecked": (128, 64, 192, 64, 96, 64)}


@pytest.mark.parametrize("kind, by_hand, channels", [
    ("naive", 784 * 256 * (128 + 9 * 192 + 25 * 96), 128 + 192 + 96 + 256),
    ("bottlenecked", 784 * (256 * (128 + 64 + 64 + 64) + 9 * 64 * 192 + 25 * 64 * 96), 128 + 192 + 96 + 64),
])  # fmt: skip
def test_the_module_of_the_lectures(kind, by_hand, channels):
    """28x28x256: 854,196,224 naive as printed; the six convolutions of the other are 271,351,808, not 358M."""
    module, x = Inception(LECTURE[kind]), jax.ShapeDtypeStruct((1, 28, 28, 256), jnp.float32)
    jaxpr, (y, _) = jax.make_jaxpr(lambda x: module.init_with_output(jax.random.key(0), x, False), return_shape=True)(x)
    assert y.shape == (1, 28, 28, channels)
    assert multiply_adds(jaxpr) == by_hand == {"naive": 854_196_224, "bottlenecked": 271_351_808}[kind]


def correlate(x, layer):
    kernel = np.float64(layer["kernel"])
    side = kernel.shape[0]
    x = np.pad(x, ((0, 0), (side // 2,) * 2, (side // 2,) * 2, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), (1, 2))
    return np.maximum(np.einsum("nijcuv,uvco->nijo", windows, kernel) + layer["bias"], 0)


def module_in_numpy(params, x):
    """Figure 2b, or 2a where there are no reductions."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    pooled = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2)).max((-1, -2))
    three = correlate(x, params["3x3_reduce"]) if "3x3_reduce" in params else x
    five = correlate(x, params["5x5_reduce"]) if "5x5_reduce" in params else x
    last = correlate(pooled, params["pool_proj"]) if "pool_proj" in params else pooled
    return np.concatenate([
        correlate(x, params["1x1"]), correlate(three, params["3x3"]), correlate(five, params["5x5"]), last,
    ], -1)  # fmt: skip


@pytest.fixture(scope="module", params=[(3, 4, 5, 2, 6, 7), (3, 0, 5, 0, 6, 0)], ids=["reduced", "naive"])
def module(request, draw):
    """(module, params, x): narrow, with biases."""
    x = np.random.default_rng(1).normal(size=(2, 6, 7, 8)).astype(np.float32)
    return Inception(request.param), draw(Inception(request.param), (6, 7, 8))["params"], x


def test_a_module_is_figure_2(module):
    module, params, x = module
    y = module.apply({"params": params}, x, False)
    np.testing.assert_allclose(y, module_in_numpy(params, x.astype(np.float64)), rtol=1e-4, atol=1e-5)


def test_no_branch_of_a_module_is_dead(module):
    module, params, x = module
    one, _, three, _, five, projection = module.widths
    ends = np.cumsum([0, one, three, five, projection or x.shape[-1]])
    apply = jax.jit(lambda params: module.apply({"params": params}, x, False))
    before = np.asarray(apply(params))
    assert before.shape[-1] == ends[-1]
    for layer in params:
        silent = {**params, layer: jax.tree.map(np.zeros_like, params[layer])}
        changed = np.abs(apply(silent) - before).max((0, 1, 2)) > 1e-4
        branch = ["1x1", "3x3", "5x5", "pool_proj"].index(layer.removesuffix("_reduce"))
        own = np.arange(ends[-1])
        own = (own >= ends[branch]) & (own < ends[branch + 1])
        assert changed[own].any() and not changed[~own].any(), layer
    if not projection:  # the pooled input is there as it is
        assert np.abs(before[..., ends[3] :]).max() == x.max()


NARROW = {  # the whole path with its heads, in three modules
    "inception_4a": (4, 3, 4, 2, 4, 4),
    "inception_4d": (4, 3, 4, 2, 4, 4),
    "inception_4e": (4, 3, 4, 2, 4, 4),
}


def three_heads(logits, features, targets):
    heads = (logits, features["aux1"], features["aux2"])
    return jnp.mean(multi_head(heads, targets, weights=(1.0, 0.3, 0.3), loss=softmax_cross_entropy))


def check_gradients(name, size, draw, **options):
    model = MODELS[name](auxiliary=True, **options)
    x = np.random.default_rng(1).normal(size=(4, *size)).astype(np.float32)
    variables = draw(model, size)

    def loss(params):
        (logits, features), _ = model.apply(
            {**variables, "params": params}, x, train=True, rngs={"dropout": jax.random.key(0)}, mutable=["batch_stats"]
        )
        return three_heads(logits, features, jnp.eye(10)[:4])

    gradients = jax.jit(jax.grad(loss))(variables["params"])
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 1e-7, jax.tree_util.keystr(path)
    return gradients


@pytest.mark.long
def test_every_parameter_gets_a_gradient(draw, monkeypatch):
    monkeypatch.setattr(googlenet, "TABLE_1", NARROW)
    check_gradients("googlenet_small", (32, 32, 3), draw)


@pytest.mark.long
@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_of_the_whole_gets_a_gradient(name, draw):
    check_gradients(name, (32, 32, 3) if name == "googlenet_small" else (96, 96, 3), draw, num_classes=10)


@pytest.mark.long
def test_remat_gives_the_same_gradients(draw, monkeypatch):
    monkeypatch.setattr(googlenet, "TABLE_1", NARROW)
    plain, remat = (check_gradients("googlenet_bn", (32, 32, 3), draw, num_classes=10, remat=r) for r in (False, True))
    for before, after in zip(jax.tree.leaves(plain), jax.tree.leaves(remat), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-4 * np.abs(before).max())


def test_dropout_stands_before_each_linear_layer(draw, monkeypatch):
    monkeypatch.setattr(googlenet, "TABLE_1", NARROW)
    model, size = MODELS["googlenet_small"](auxiliary=True), (24, 24, 3)
    variables, x = draw(model, size), np.random.default_rng(1).normal(size=(2, *size)).astype(np.float32)

    @jax.jit
    def heads(main, auxiliary):
        net = model.clone(dropout_rate=main, auxiliary_dropout_rate=auxiliary)
        logits, features = net.apply(variables, x, train=True, rngs={"dropout": jax.random.key(2)})
        return jnp.stack([logits, features["aux1"], features["aux2"]])

    logits, features = jax.jit(lambda: model.apply(variables, x, train=False))()
    still = jnp.stack([logits, features["aux1"], features["aux2"]])
    np.testing.assert_allclose(heads(0.0, 0.0), still, rtol=1e-4, atol=1e-5)
    moved = [np.abs(heads(*rates) - still).max((1, 2)) > 1e-3 for rates in ((0.4, 0.0), (0.0, 0.7))]
    assert np.array_equal(moved, [[True, False, False], [False, True, True]])


def test_response_normalisation_stands_after_pool1_and_after_conv2(draw, monkeypatch):
    monkeypatch.setattr(googlenet, "TABLE_1", {})
    seen = []

    def halve(x):
        seen.append(x)
        return x / 2

    model, size = MODELS["googlenet_small"](lrn="halve"), (12, 12, 3)
    monkeypatch.setitem(googlenet.LRN, "halve", halve)
    variables, x = draw(model, size), np.random.default_rng(1).normal(size=(1, *size)).astype(np.float32)
    seen.clear()
    _, features = model.apply(variables, x, train=False)
    for before, stage in zip(seen, ("pool1", "conv2"), strict=True):
        np.testing.assert_array_equal(before, features[stage])
    assert features["pool2"].max() == features["conv2"].max() / 2


@pytest.mark.parametrize("lrn, k, alpha", [("krizhevsky", 2, 1e-4), ("caffe", 1, 1e-4 / 5)])
def test_the_constants_of_the_response_normalisation(lrn, k, alpha):
    x = jnp.full((1, 1, 1, 7), 100.0)
    y = googlenet.LRN[lrn](x)[0, 0, 0]
    np.testing.assert_allclose(y[3], 100 / (k + alpha * 5 * 100**2) ** 0.75, rtol=1e-5)
    np.testing.assert_allclose(y[0], 100 / (k + alpha * 3 * 100**2) ** 0.75, rtol=1e-5)


def check_first_loss(name, size, **options):
    model = MODELS[name](num_classes=1000, auxiliary=True, **options)
    x = np.random.default_rng(1).normal(size=(4, *size)).astype(np.float32)
    keys = {name: jax.random.key(0, impl="rbg") for name in ("params", "dropout")}  # compiles faster
    train = name == "googlenet_bn"  # the first step sees the statistics of the batch
    (logits, features), _ = jax.jit(lambda: model.init_with_output(keys, x, train=train))()
    every_class = jnp.full((4, 1000), 1 / 1000)
    assert three_heads(logits, features, every_class) == pytest.approx(1.6 * math.log(1000), rel=0.04)


def test_three_untrained_heads_lose_1_6_ln_1000(monkeypatch):
    monkeypatch.setattr(googlenet, "TABLE_1", {name: NARROW[name] for name in googlenet.HEADS})
    check_first_loss("googlenet_small", (24, 24, 3))


@pytest.mark.long
@pytest.mark.parametrize("name", ["googlenet", "googlenet_small", "googlenet_bn"])
def test_three_untrained_heads_of_the_whole_lose_1_6_ln_1000(name):
    check_first_loss(name, (32, 32, 3) if name == "googlenet_small" else (96, 96, 3))
