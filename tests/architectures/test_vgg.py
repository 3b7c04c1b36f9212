"""VGG by the rows of table 1 (Simonyan and Zisserman 2014), counted layer by layer without the model."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tracing import count, macs, shapes

from jaxcnn.architectures.vgg import CLAIMS, INITIALISATIONS, LAYERS, MODELS, VGG
from jaxcnn.operators import BatchNorm, softmax_cross_entropy

TABLE_1 = {  # the paper's columns from top to bottom: kernel-channels, M a max pooling (| the end of a stage without)
    "vgg_a": "3-64 M 3-128 M 3-256 3-256 M 3-512 3-512 M 3-512 3-512 M",
    "vgg_a_lrn": "3-64 M 3-128 M 3-256 3-256 M 3-512 3-512 M 3-512 3-512 M",
    "vgg_b": "3-64 3-64 M 3-128 3-128 M 3-256 3-256 M 3-512 3-512 M 3-512 3-512 M",
    "vgg_c": "3-64 3-64 M 3-128 3-128 M 3-256 3-256 1-256 M 3-512 3-512 1-512 M 3-512 3-512 1-512 M",
    "vgg_d": "3-64 3-64 M 3-128 3-128 M 3-256 3-256 3-256 M 3-512 3-512 3-512 M 3-512 3-512 3-512 M",
    "vgg_e": "3-64 3-64 M 3-128 3-128 M 3-256 3-256 3-256 3-256 M 3-512 3-512 3-512 3-512 M 3-512 3-512 3-512 3-512 M",
}
TABLE_1["vgg_face"] = TABLE_1["vgg_d"]
for name in ("vgg_a", "vgg_b", "vgg_c", "vgg_d", "vgg_e"):  # the small ones: stage 4 does not pool
    stages = TABLE_1[name].split("M")
    TABLE_1[f"{name}_small"] = "M".join(stages[:4]) + "|" + "M".join(stages[4:])

MILLIONS = {"vgg_a": 133, "vgg_a_lrn": 133, "vgg_b": 133, "vgg_c": 134, "vgg_d": 138, "vgg_e": 144}  # table 2

# torchvision's vgg11, vgg13, vgg16, vgg19, and the same with batch norm behind biases: their documented num_params
TORCHVISION = {"vgg_a": 132_863_336, "vgg_b": 133_047_848, "vgg_d": 138_357_544, "vgg_e": 143_667_240}
TORCHVISION_NORM = {"vgg_a": 132_868_840, "vgg_b": 133_053_736, "vgg_d": 138_365_992, "vgg_e": 143_678_248}
GIGA_MACS = {"vgg_a": 7.61, "vgg_b": 11.31, "vgg_d": 15.47, "vgg_e": 19.63}  # torchvision's "GFLOPS"


def head(name):
    return (512, 512, 10) if "small" in name else (4096, 4096, 2622 if "face" in name else 1000)


def counted(name):
    """(parameters, MACs of the convolutions, MACs of the full connections, channels that have a bias), by hand."""
    side, _, channels = CLAIMS[name].input
    parameters = convolutions = full = normed = 0
    for token in TABLE_1[name].split():
        if token in "M|":
            side //= 2 if token == "M" else 1
            continue
        size, width = map(int, token.split("-"))
        parameters += size * size * channels * width + width
        convolutions += size * size * channels * width * side * side
        normed, channels = normed + width, width
    inputs = side * side * channels
    for outputs in head(name):
        parameters, full = parameters + inputs * outputs + outputs, full + inputs * outputs
        inputs = outputs
    return parameters, convolutions, full, normed


def test_a_claim_and_a_column_for_every_model():
    assert set(CLAIMS) == set(MODELS) == set(TABLE_1)


@pytest.mark.parametrize("name", MODELS)
def test_claims_follow_from_table_1(name):
    parameters, convolutions, full, _ = counted(name)
    assert (CLAIMS[name].parameters, CLAIMS[name].macs) == (parameters, convolutions + full)


def test_claims_are_what_others_count():
    for name, millions in MILLIONS.items():
        assert round(CLAIMS[name].parameters / 1e6) == millions
    for name, parameters in TORCHVISION.items():
        assert CLAIMS[name].parameters == parameters
        assert TORCHVISION_NORM[name] - parameters == 2 * counted(name)[3]
        assert round(CLAIMS[name].macs / 1e9, 2) == GIGA_MACS[name]
    assert counted("vgg_d")[1:3] == (15_346_630_656, 123_633_664)
    assert CLAIMS["vgg_face"].parameters - CLAIMS["vgg_d"].parameters == 1622 * 4097


@pytest.mark.parametrize("name", MODELS)
def test_the_models_are_what_they_claim(name):
    model, claim = MODELS[name](), CLAIMS[name]
    (logits, features), variables = shapes(model, claim.input)
    assert count(variables["params"]) == claim.parameters
    assert macs(model, claim.input) == claim.macs
    assert set(variables) == {"params"}
    assert (logits.shape, logits.dtype) == ((2, head(name)[-1]), jnp.float32)
    assert {stage: feature.shape[1:] for stage, feature in features.items()} == dict(stages_of(name))
    order = []  # JAX sorts the dict that leaves eval_shape
    jax.eval_shape(lambda v: order.extend(model.apply(v, jnp.zeros((1, *claim.input)), train=False)[1]), variables)
    assert order == [stage for stage, _ in stages_of(name)]


def stages_of(name):
    """Every stage and its shape, read from the column."""
    side, width, stage, layer, rows = CLAIMS[name].input[0], 3, 1, 0, []
    for token in TABLE_1[name].split():
        if token == "M":
            side //= 2
            rows.append((f"pool{stage}", (side, side, width)))
        if token in "M|":
            stage, layer = stage + 1, 0
            continue
        layer, width = layer + 1, int(token.split("-")[1])
        rows.append((f"conv{stage}_{layer}", (side, side, width)))
        if name == "vgg_a_lrn" and len(rows) == 1:
            rows.append(("norm1", (side, side, width)))
    return [*rows, ("fc6", head(name)[:1]), ("fc7", head(name)[1:2])]


@pytest.mark.parametrize("name, weighted", [("a", 11), ("b", 13), ("c", 16), ("d", 16), ("e", 19)])
def test_depth_is_the_number_of_weighted_layers(name, weighted):
    _, variables = shapes(MODELS[f"vgg_{name}"](), (224, 224, 3))
    assert len(variables["params"]) == weighted
    assert sum(len(stage) for stage in LAYERS[name.upper()]) + 3 == weighted


@pytest.mark.parametrize("name", ["vgg_a_lrn", "vgg_face", "vgg_c_small"])
def test_any_number_of_classes_and_channels(name):
    side = CLAIMS[name].input[0]
    (logits, _), variables = shapes(MODELS[name](num_classes=37), (side, side, 1))
    assert logits.shape == (2, 37)
    fewer_inputs = 2 * 9 * 64
    assert CLAIMS[name].parameters - count(variables) == (head(name)[2] - 37) * (head(name)[1] + 1) + fewer_inputs


@pytest.mark.parametrize("name", ["vgg_a", "vgg_d", "vgg_e_small"])
def test_batch_norm_replaces_the_biases_of_convolutions(name):
    _, variables = shapes(MODELS[name](batch_norm=True), CLAIMS[name].input, train=True)
    channels = counted(name)[3]
    assert count(variables["params"]) == CLAIMS[name].parameters + channels  # scale and bias for a bias
    assert count(variables["batch_stats"]) == 2 * channels
    assert set(variables["params"]["conv1_1"]) == {"kernel"}
    assert set(variables["params"]["fc6"]) == {"kernel", "bias"}


@pytest.mark.parametrize("name, options", [("vgg_a_lrn", {}), ("vgg_d", {"dense_evaluation": True}),
                                           ("vgg_b_small", {"batch_norm": True})])  # fmt: skip
def test_bfloat16_computes_in_bfloat16_only(name, options):
    (logits, features), variables = shapes(MODELS[name](dtype="bfloat16", **options), CLAIMS[name].input)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert {feature.dtype for feature in features.values()} == {jnp.dtype("bfloat16")}
    assert logits.dtype == jnp.float32


@pytest.mark.parametrize("size", [(28, 28, 1), (28, 28, 3), (32, 32, 1), (40, 33, 3)])
@pytest.mark.parametrize("letter", ["a", "e"])
def test_small_ones_take_digits_and_photographs(letter, size):
    (logits, features), variables = shapes(MODELS[f"vgg_{letter}_small"](), size)
    last = (size[0] // 16, size[1] // 16)
    assert features["pool5"].shape == (2, *last, 512) and logits.shape == (2, 10)
    assert features["conv5_1"].shape == (2, size[0] // 8, size[1] // 8, 512)
    assert variables["params"]["fc6"]["kernel"].shape == (last[0] * last[1] * 512, 512)


def test_other_sizes_are_refused_with_what_is_needed():
    for size in ((192, 192, 3), (224, 192, 3), (256, 256, 3), (16, 16, 3)):
        with pytest.raises(ValueError, match=r"fc6 sees a 7x7 map, so images must be 224x224.*dense_evaluation=True"):
            shapes(MODELS["vgg_a"](), size)
    with pytest.raises(ValueError, match=r"at least 224x224, got \(2, 223, 300, 3\)"):
        shapes(MODELS["vgg_a"](dense_evaluation=True), (223, 300, 3))
    with pytest.raises(ValueError, match=r"at least 16x16, got \(2, 15, 32, 3\)"):
        shapes(MODELS["vgg_a_small"](), (15, 32, 3))
    with pytest.raises(ValueError, match="dense_evaluation needs map_size"):
        MODELS["vgg_a_small"](dense_evaluation=True)
    with pytest.raises(ValueError, match="unknown kernel_init 'papers'; did you mean 'paper'"):
        MODELS["vgg_a"](kernel_init="papers")


def test_dense_evaluation_keeps_every_parameter_and_takes_any_larger_image():
    ordinary, dense = MODELS["vgg_d"](), MODELS["vgg_d"](dense_evaluation=True)
    _, variables = shapes(ordinary, (224, 224, 3))
    for size, positions in (((224, 224, 3), (1, 1)), ((256, 341, 3), (2, 4)), ((384, 384, 3), (6, 6))):
        (logits, features), same = shapes(dense, size)
        assert jax.tree.map(jnp.shape, same) == jax.tree.map(jnp.shape, variables)
        assert features["fc6"].shape == features["fc7"].shape == (2, *positions, 4096)
        assert logits.shape == (2, 1000)
    assert variables["params"]["fc6"]["kernel"].shape == (7 * 7 * 512, 4096)
    assert macs(dense, (224, 224, 3)) == CLAIMS["vgg_d"].macs


SHALLOW = {"layers": ((3,), (3, 1)), "widths": (4, 6), "pools": (1, 2), "map_size": None}  # the code, fast to compile
NARROW = {"widths": (4, 4, 6, 6, 8), "hidden": (12, 10), "num_classes": 5, "map_size": 2}  # for images of 64x64


def in_numpy(params, x, token, stage):
    """One row of the table: relu(kernel * x + bias), or the largest of 2x2."""
    n, h, w, _ = x.shape
    if token == "M":
        return x.reshape(n, h // 2, 2, w // 2, 2, -1).max((2, 4))
    kernel, y = params[stage]["kernel"], params[stage]["bias"].reshape(1, 1, 1, -1)
    x = np.pad(x, ((0, 0), *[(kernel.shape[0] // 2,) * 2] * 2, (0, 0)))
    for u, v in np.ndindex(kernel.shape[:2]):
        y = y + x[:, u : u + h, v : v + w] @ kernel[u, v]
    return np.maximum(y, 0)


def test_equations_and_dense_evaluation_as_the_mean_over_windows_of_ordinary_full_connections(draw):
    ordinary, dense = MODELS["vgg_c"](**NARROW), MODELS["vgg_c"](dense_evaluation=True, **NARROW)
    variables = draw(ordinary, (64, 64, 3))
    apply = jax.jit(lambda v, x, model: model.apply(v, x, train=False), static_argnums=2)
    x = np.random.default_rng(0).normal(size=(2, 96, 128, 3)).astype(np.float32)

    same, (expected, _) = apply(variables, x[:, :64, :64], dense)[0], apply(variables, x[:, :64, :64], ordinary)
    np.testing.assert_allclose(same, expected, rtol=1e-4, atol=1e-5)
    logits, features = apply(variables, x, dense)
    y = x
    for token, (stage, _) in zip(TABLE_1["vgg_c"].split(), stages_of("vgg_c"), strict=False):
        y = in_numpy(variables["params"], y, token, stage)
        np.testing.assert_allclose(features[stage], y, rtol=1e-3, atol=1e-4, err_msg=stage)

    layers = {name: (layer["kernel"], layer["bias"]) for name, layer in variables["params"].items()}
    scores = []
    for i in range(2):  # pool5 is 3x4: two by three windows of 2x2
        for j in range(3):
            y = np.asarray(features["pool5"])[:, i : i + 2, j : j + 2].reshape(2, -1)  # h, w, c
            y = np.maximum(y @ layers["fc6"][0] + layers["fc6"][1], 0)
            np.testing.assert_allclose(features["fc6"][:, i, j], y, rtol=1e-4, atol=1e-5)
            y = np.maximum(y @ layers["fc7"][0] + layers["fc7"][1], 0)
            scores.append(y @ layers["fc8"][0] + layers["fc8"][1])
    assert np.ptp(scores, axis=0).max() > 1e-2
    np.testing.assert_allclose(logits, np.mean(scores, axis=0), rtol=1e-4, atol=1e-5)


def test_lrn_has_the_parameters_of_krizhevsky(draw):
    model = VGG(**{**SHALLOW, "widths": (8, 6)}, hidden=(12, 10), lrn=True)
    x = 100 * np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype(np.float32)
    variables = draw(model, (8, 8, 3))
    _, features = jax.jit(lambda v: model.apply(v, x, train=False))(variables)
    a = np.asarray(features["conv1_1"], np.float64)
    energy = np.stack([np.square(a[..., max(c - 2, 0) : c + 3]).sum(-1) for c in range(8)], -1)
    assert 1e-4 * energy.max() > 1
    np.testing.assert_allclose(features["norm1"], a / (2 + 1e-4 * energy) ** 0.75, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["vgg_d", "vgg_a_lrn", "vgg_c_small"])
def test_remat_has_the_same_parameters(name):
    _, plain = shapes(MODELS[name](batch_norm=True), CLAIMS[name].input)
    _, again = shapes(MODELS[name](batch_norm=True, remat=True), CLAIMS[name].input)
    assert jax.tree.map(jnp.shape, plain) == jax.tree.map(jnp.shape, again)


TRIALS = {
    "a_lrn": MODELS["vgg_a_lrn"](dropout_rate=0.0, **{**NARROW, "map_size": 1}),
    "norm": VGG(dropout_rate=0.0, **SHALLOW, hidden=(12, 10), num_classes=5, batch_norm=True, remat=True),
    **{
        f"{letter}_small": MODELS[f"vgg_{letter}_small"](dropout_rate=0.0, **{**NARROW, "map_size": None})
        for letter in "abcde"
    },
}
FAST = [pytest.param(key, marks=[pytest.mark.long] * key.endswith("small")) for key in TRIALS]


def trial(model, variables, x):
    def loss(params):
        scope = {**variables, "params": params}
        (logits, _), updates = model.apply(
            scope, x, train=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(3)}
        )
        return jnp.mean(softmax_cross_entropy(logits, jnp.eye(5)[: len(x)])), updates

    return jax.jit(jax.value_and_grad(loss, has_aux=True))


@pytest.mark.parametrize("key", FAST)
def test_every_parameter_matters_and_gets_a_gradient(key, draw):
    model = TRIALS[key]
    x = np.random.default_rng(1).normal(size=(5, 32, 32, 3)).astype(np.float32)
    variables = draw(model, x.shape[1:])
    run = trial(model, variables, x)
    (before, _), gradients = run(variables["params"])
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 1e-6, jax.tree_util.keystr(path)
    leaves, structure = jax.tree.flatten(variables["params"])
    for i, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(variables["params"])):
        without = jax.tree.unflatten(structure, [*leaves[:i], np.zeros_like(leaf), *leaves[i + 1 :]])
        assert abs(run(without)[0][0] - before) > 1e-6, jax.tree_util.keystr(path)


def test_remat_changes_no_number(draw):
    x = np.random.default_rng(1).normal(size=(5, 8, 8, 1)).astype(np.float32)
    results = []
    for remat in (False, True):
        model = TRIALS["norm"].clone(remat=remat)
        variables = draw(model, x.shape[1:])
        results.append(trial(model, variables, x)(variables["params"]))
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_dropout_is_behind_fc6_and_fc7_only_and_takes_a_traced_rate(draw):
    model = VGG(**SHALLOW, hidden=(64, 64))
    variables = draw(model, (8, 8, 3))
    x = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype(np.float32)

    @jax.jit
    def train(rate):
        return model.clone(dropout_rate=rate).apply(variables, x, train=True, rngs={"dropout": jax.random.key(3)})

    logits, features = jax.jit(lambda v: model.apply(v, x, train=False))(variables)
    kept, half = train(0.0), train(0.5)
    np.testing.assert_allclose(kept[0], logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(half[1]["fc6"], features["fc6"], rtol=1e-4, atol=1e-5)
    assert np.abs(half[1]["fc7"] - features["fc7"]).max() > 1e-3
    fc8 = variables["params"]["fc8"]
    assert np.abs(half[1]["fc7"] @ fc8["kernel"] + fc8["bias"].reshape(1, -1) - half[0]).max() > 1e-3


def test_initialisation_by_name():
    fan = 9 * 256
    spreads = {"he": (2 / fan) ** 0.5, "glorot": (2 / (fan + 9 * 256)) ** 0.5, "paper": 0.01, "paper_printed": 0.1}
    assert set(spreads) == set(INITIALISATIONS)
    for name, spread in spreads.items():
        kernel = INITIALISATIONS[name](jax.random.key(0), (3, 3, 256, 256), jnp.float32)
        assert np.std(kernel) == pytest.approx(spread, rel=0.02)


@pytest.mark.parametrize("kernel_init", ["he", "paper"])
def test_initialisation_reaches_all_layers_but_fc8(kernel_init):
    sizes = {"layers": ((3,),), "widths": (16,), "pools": (1,), "map_size": None, "hidden": (64, 64), "num_classes": 64}
    model = VGG(**sizes, kernel_init=kernel_init)
    params = jax.jit(lambda: model.init(jax.random.key(0), jnp.zeros((1, 4, 4, 16)), train=False))()["params"]
    assert all((layer["bias"] == 0).all() for layer in params.values())
    for name, fan in {"conv1_1": 9 * 16, "fc6": 4 * 16, "fc7": 64, "fc8": None}.items():
        spread = (2 / fan) ** 0.5 if kernel_init == "he" and fan else 0.01
        assert np.std(params[name]["kernel"]) == pytest.approx(spread, rel=0.06), name


def growth(name, variance):
    """sqrt(E[x**2]) at fc7 by that of the image: He et al. 2015, eq. 10, half of each layer's inputs lost to a relu."""
    rows = [tuple(map(int, token.split("-"))) for token in TABLE_1[name].split() if token != "M"]
    channels = [3, *(width for _, width in rows)]
    fans = [size**2 * c_in for (size, _), c_in in zip(rows, channels, strict=False)] + [7 * 7 * 512, 4096]
    return 2**0.5 * math.prod(fan * variance / 2 for fan in fans) ** 0.5  # the image has met no relu


def test_why_the_paper_s_variance_is_read_as_a_deviation_and_is_not_the_default():
    assert 1e5 < growth("vgg_a", 1e-2) < 2e5
    assert growth("vgg_e", 1e-2) > 3e9
    assert growth("vgg_a", 1e-4) > 1e-5
    assert growth("vgg_d", 1e-4) < 1e-7


STACKS = [  # stack of n 3x3, one kernel that sees as much, weights / C**2 of either (section 2.3)
    (2, 5, 18, 25),
    (3, 7, 27, 49),
]


@pytest.mark.parametrize("layers, single, stacked, at_once", STACKS)
@pytest.mark.parametrize("channels", [1, 64, 512])
def test_a_stack_of_3x3_sees_as_much_as_one_large_kernel_for_less(layers, single, stacked, at_once, channels):
    assert 1 + layers * (3 - 1) == single
    assert layers * 3**2 * channels**2 == stacked * channels**2
    assert single**2 * channels**2 == at_once * channels**2
    if layers == 3:
        assert math.floor(100 * (at_once - stacked) / stacked) == 81  # "81% more"


@pytest.mark.parametrize("name", ["vgg_a_small", "vgg_a"])
def test_norms_can_be_synchronised(name):
    model = MODELS[name](batch_norm=True, norm=functools.partial(BatchNorm, axis_name="batch"))
    with pytest.raises(NameError, match="batch"):
        _, variables = shapes(model, CLAIMS[name].input)
        x = jnp.zeros((2, *CLAIMS[name].input))
        rngs = {"dropout": jax.random.key(0)}
        jax.eval_shape(lambda v: model.apply(v, x, train=True, mutable=["batch_stats"], rngs=rngs), variables)
