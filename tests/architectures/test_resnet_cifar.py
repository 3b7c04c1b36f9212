import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tracing import count, multiply_adds, shapes

from jaxcnn.architectures import CLAIMS, create
from jaxcnn.architectures.resnet_cifar import MODELS, Block, ResNetCIFAR
from jaxcnn.operators import BatchNorm

SIZE = (32, 32, 3)
LONGEST = pytest.param("resnet1202", marks=pytest.mark.long)


def parameters(n, shortcut="A"):
    """Section 4.2 by hand: 9 weights a connection, 2 numbers a normalised channel, 64 * 10 + 10 at the end."""
    total = 9 * 3 * 16 + 2 * 16
    for c_in, c in ((16, 16), (16, 32), (32, 64)):
        total += 9 * c_in * c + (2 * n - 1) * 9 * c * c + 2 * n * 2 * c
        if shortcut == "C" or (shortcut == "B" and c_in != c):
            total += c_in * c + 2 * c
        if shortcut == "C":
            total += (n - 1) * (c * c + 2 * c)
    return total + 650


def macs(n):
    """Half the side and twice the channels cost the same, so every 3x3 behind conv1 costs 9 * 16 * 16 at 32x32.

    The first of stages 2 and 3 see half of the channels and cost half of it.
    """
    return 27 * 16 * 1024 + 9 * 256 * 1024 * (6 * n - 1) + 640


@pytest.mark.parametrize("name", MODELS)
def test_claims_follow_from_the_paper(name):
    n = (int(name.lstrip("resntplai")) - 2) // 6
    assert (CLAIMS[name].parameters, CLAIMS[name].macs) == (parameters(n), macs(n))


@pytest.mark.parametrize("name", [*(name for name in MODELS if "1202" not in name), LONGEST])
def test_claims_hold(name):
    model = MODELS[name]()
    closed, (_, variables) = jax.make_jaxpr(
        lambda x: model.init_with_output(jax.random.key(0), x, train=False), return_shape=True
    )(jnp.zeros((1, 32, 32, 3)))
    assert count(variables["params"]) == CLAIMS[name].parameters
    assert multiply_adds(closed.jaxpr) == CLAIMS[name].macs


@pytest.mark.parametrize("shortcut, expected", [("B", 272_474), ("C", 283_962)])
def test_projections_of_shortcuts_b_and_c(shortcut, expected):
    _, variables = shapes(create("resnet20", shortcut=shortcut), SIZE)
    assert count(variables["params"]) == parameters(3, shortcut) == expected
    projected = [block for block, layers in variables["params"].items() if "shortcut" in layers]
    assert len(projected) == {"B": 2, "C": 9}[shortcut]


@pytest.mark.parametrize("depth", [20, 110])
def test_depth_is_the_number_of_weighted_layers(depth):
    _, variables = shapes(create(f"resnet{depth}"), SIZE)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(variables["params"])]
    assert sum(path.endswith("['kernel']") for path in paths) == depth


@pytest.mark.parametrize("name", ["resnet20", "plain20"])
def test_stages(name):
    (_, features), _ = shapes(create(name), SIZE)
    assert {key: feature.shape[1:] for key, feature in features.items()} == {
        "conv1": (32, 32, 16), "stage1": (32, 32, 16), "stage2": (16, 16, 32), "stage3": (8, 8, 64), "pool": (64,),
    }  # fmt: skip


def convolve(x, kernel, stride):
    padding = kernel.shape[0] // 2
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    y = 0
    for u in range(kernel.shape[0]):
        for v in range(kernel.shape[1]):
            rows, columns = (x.shape[i] - kernel.shape[0] + 1 for i in (1, 2))
            y = y + x[:, u : u + rows : stride, v : v + columns : stride] @ kernel[u, v]
    return y


def norm(x, layer):
    return (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5) * layer["scale"] + layer["bias"]


def resnet_in_numpy(params, x, residual):
    """Depth 8 while it trains: one block a stage."""
    x = np.maximum(norm(convolve(x, params["conv1"]["kernel"], 1), params["norm1"]), 0)
    for stage in (1, 2, 3):
        block, stride = params[f"stage{stage}_block1"], 1 if stage == 1 else 2
        y = np.maximum(norm(convolve(x, block["conv1"]["kernel"], stride), block["norm1"]), 0)
        y = norm(convolve(y, block["conv2"]["kernel"], 1), block["norm2"])
        if "shortcut" in block:
            y += norm(convolve(x, block["shortcut"]["kernel"], stride), block["shortcut_norm"])
        elif residual and stage == 1:
            y += x
        elif residual:
            quarter = y.shape[-1] // 4
            y[..., quarter:-quarter] += x[:, ::2, ::2]
        x = np.maximum(y, 0)
    return x.mean((1, 2)) @ params["fc"]["kernel"] + params["fc"]["bias"]


@pytest.mark.parametrize(
    "options", [{}, {"shortcut": "B"}, {"shortcut": "C"}, {"residual": False}], ids=["A", "B", "C", "plain"]
)
def test_logits_are_those_of_the_equations(options, draw):
    model = ResNetCIFAR(depth=8, **options)
    x = np.random.default_rng(0).normal(size=(4, 8, 12, 3)).astype(np.float32)
    variables = draw(model, x.shape[1:])
    (logits, _), _ = jax.jit(lambda v: model.apply(v, x, train=True, mutable=["batch_stats"]))(variables)
    wide = jax.tree.map(lambda p: p.astype(np.float64), variables["params"])
    assert sum("shortcut" in layers for layers in wide.values()) == {"B": 2, "C": 3}.get(options.get("shortcut"), 0)
    expected = resnet_in_numpy(wide, x.astype(np.float64), options.get("residual", True))
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)


def test_a_silent_branch_leaves_the_shortcut_and_nothing_in_a_plain_net(draw):
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    nets = {residual: ResNetCIFAR(depth=8, residual=residual) for residual in (True, False)}
    variables = draw(nets[True], (8, 8, 3))
    silent = {**variables["params"], "stage1_block1": jax.tree.map(np.zeros_like, variables["params"]["stage1_block1"])}
    stages = {}
    for residual, model in nets.items():
        features = jax.jit(lambda v, model=model: model.apply(v, x, train=False)[1])
        before, after = features(variables), features({**variables, "params": silent})
        assert np.abs(before["stage1"] - after["stage1"]).max() > 1e-3
        stages[residual] = after
    np.testing.assert_array_equal(stages[True]["stage1"], stages[True]["conv1"])
    assert not np.any(stages[False]["stage1"])


@pytest.mark.parametrize("options, said", [({"depth": 18}, r"6n \+ 2"), ({"depth": 2}, r"6n \+ 2")])
def test_depth_must_be_one_of_the_family(options, said):
    with pytest.raises(ValueError, match=said):
        ResNetCIFAR(**options)


def test_an_unknown_shortcut_is_refused():
    with pytest.raises(ValueError, match="unknown shortcut 'D'; known: A, B, C"):
        create("resnet20", shortcut="D")


def loss_of(model, variables, x):
    def loss(params):
        (logits, _), _ = model.apply({**variables, "params": params}, x, train=True, mutable=["batch_stats"])
        return jnp.sum(jnp.square(logits))

    return loss


def test_remat_is_in_the_program_and_leaves_the_variables(draw):
    plain, again = ResNetCIFAR(depth=8), ResNetCIFAR(depth=8, remat=True)
    assert jax.tree.structure(shapes(plain, SIZE)) == jax.tree.structure(shapes(again, SIZE))
    variables, x = draw(plain, (8, 8, 3)), np.ones((2, 8, 8, 3), np.float32)
    for model, blocks in ((plain, 0), (again, 3)):
        program = jax.make_jaxpr(loss_of(model, variables, x))(variables["params"])
        assert str(program).count("prevent_cse") == blocks


@pytest.mark.long
def test_remat_changes_no_gradient(draw):
    plain, again = ResNetCIFAR(depth=8), ResNetCIFAR(depth=8, remat=True)
    variables = draw(plain, (8, 8, 3))
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)
    expected, found = (jax.jit(jax.grad(loss_of(m, variables, x)))(variables["params"]) for m in (plain, again))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3), found, expected)


def test_he_initialisation_by_fan_out():
    block = Block(64, 2, residual=False, shortcut="A", norm=BatchNorm, dtype=jnp.float32)
    variables = block.init(jax.random.key(0), jnp.zeros((1, 2, 2, 32)), train=False)
    assert np.std(variables["params"]["conv1"]["kernel"]) == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.03)
