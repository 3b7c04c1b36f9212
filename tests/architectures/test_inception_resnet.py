import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_inception_v3 import INCEPTION_V3, check_against_table, check_every_branch_counts, kernels
from tracing import count, shapes

from jaxcnn.architectures.conv_norm import Mixed, mixed
from jaxcnn.architectures.inception_resnet import CLAIMS, MODELS, VARIANTS, InceptionResNet
from jaxcnn.architectures.inception_v3 import narrow
from jaxcnn.operators import BatchNorm

STEM = INCEPTION_V3[: INCEPTION_V3.index("MaxPool_5a")]

TABLES = {
    "inception_resnet_v1": f"""
{STEM.strip()}
Conv2d_4b_3x3  35x256   3x3V:256
block35*5      35x256   1x1:32 | 1x1:32 3x3:32 | 1x1:32 3x3:32 3x3:32
Mixed_6a       17x896   3x3V:384 | 1x1:192 3x3:192 3x3V:256 | max
block17*10     17x896   1x1:128 | 1x1:128 1x7:128 7x1:128
Mixed_7a       8x1792   1x1:256 3x3V:384 | 1x1:256 3x3V:256 | 1x1:256 3x3:256 3x3V:256 | max
block8*5       8x1792   1x1:192 | 1x1:192 1x3:192 3x1:192
""",
    "inception_resnet_v2": f"""
{STEM.strip()}
MaxPool_5a_3x3 35x192   max
Mixed_5b       35x320   1x1:96 | 1x1:48 5x5:64 | 1x1:64 3x3:96 3x3:96 | avg 1x1:64
block35*10     35x320   1x1:32 | 1x1:32 3x3:32 | 1x1:32 3x3:48 3x3:64
Mixed_6a       17x1088  3x3V:384 | 1x1:256 3x3:256 3x3V:384 | max
block17*20     17x1088  1x1:192 | 1x1:128 1x7:160 7x1:192
Mixed_7a       8x2080   1x1:256 3x3V:384 | 1x1:256 3x3V:288 | 1x1:256 3x3:288 3x3V:320 | max
block8*10      8x2080   1x1:192 | 1x1:192 1x3:224 3x1:256
Conv2d_7b_1x1  8x1536   1x1:1536
""",
    "inception_resnet_v2_paper": """
Conv2d_1a_3x3  149x32   3x3V:32
Conv2d_2a_3x3  147x32   3x3V:32
Conv2d_2b_3x3  147x64   3x3:64
Mixed_3a       73x160   max | 3x3V:96
Mixed_4a       71x192   1x1:64 3x3V:96 | 1x1:64 1x7:64 7x1:64 3x3V:96
Mixed_5a       35x384   3x3V:192 | max
block35*5      35x384   1x1:32 | 1x1:32 3x3:32 | 1x1:32 3x3:48 3x3:64
Mixed_6a       17x1152  3x3V:384 | 1x1:256 3x3:256 3x3V:384 | max
block17*10     17x1152  1x1:192 | 1x1:128 1x7:160 7x1:192
Mixed_7a       8x2144   1x1:256 3x3V:384 | 1x1:256 3x3V:288 | 1x1:256 3x3:288 3x3V:320 | max
block8*5       8x2144   1x1:192 | 1x1:192 1x3:224 3x1:256
""",
}


@pytest.mark.parametrize("name", TABLES)
def test_the_figures_and_the_release(name):
    check_against_table(MODELS[name](), TABLES[name], CLAIMS[name], classes=1000)


def test_counts_of_public_copies():
    assert CLAIMS["inception_resnet_v2"].parameters == 55_843_464  # timm
    sixth = 2 * 1792 * 192 + 2 * 3 * 192 * 192 + 4 * 2 * 192 + 384 * 1792 + 1792  # the block8 that facenet adds
    assert CLAIMS["inception_resnet_v1"].parameters + sixth == 22_564_096 + 1793 * 1000  # facenet below its embedding


def test_options_of_the_whole_network():
    model = MODELS["inception_resnet_v1"](num_classes=7, auxiliary=True, remat=True, dtype="bfloat16")
    (logits, features), variables = shapes(model, (299, 299, 3), train=False)
    assert logits.shape == features["aux1"].shape == (2, 7)
    assert logits.dtype == features["aux1"].dtype == jnp.float32
    params = dict(variables["params"])
    assert set(kernels(params.pop("AuxLogits")).values()) == {(1, 1, 896, 128), (5, 5, 128, 768)}
    assert count(params) == CLAIMS["inception_resnet_v1"].parameters - 993 * 1793


def test_errors_say_what_is_needed():
    with pytest.raises(ValueError, match=r"inception_resnet_v1 needs images of at least 75x75, got \(2, 74, 80, 3\)"):
        shapes(MODELS["inception_resnet_v1"](), (74, 80, 3))
    with pytest.raises(ValueError, match="one factor or three, for 35x35, 17x17 and 8x8; got 2"):
        shapes(MODELS["inception_resnet_v1"](residual_scale=(0.1, 0.2)), (75, 75, 3))


@pytest.mark.parametrize("stage, channels", [("block35", 6), ("block17", 6), ("block8", 6)])
def test_every_branch_of_a_block_counts(stage, channels, draw):
    branches = narrow(VARIANTS["inception_resnet_v2"][stage].branches, 16)
    check_every_branch_counts(Mixed(branches, residual=True, scale=0.2, norm=BatchNorm), channels, draw)


@pytest.mark.long
@pytest.mark.parametrize("stage", ["Mixed_5b", "Mixed_6a", "Mixed_7a"])
def test_every_branch_of_a_block_without_a_sum_counts(stage, draw):
    check_every_branch_counts(Mixed(narrow(VARIANTS["inception_resnet_v2"][stage], 16), norm=BatchNorm), 4, draw)


def drawn(block, x, draw):
    """Variables of a block, which takes train by position."""

    class Model:
        init = staticmethod(lambda key, images, train: block.init(key, images, train))

    return draw(Model, x.shape[1:])


def test_a_residual_is_scaled_and_added(draw):
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 6)).astype(np.float32)
    branches = narrow(VARIANTS["inception_resnet_v1"]["block8"].branches, 32)
    block = Mixed(branches, residual=True, activate=False, norm=BatchNorm)
    variables = drawn(block, x, draw)

    @jax.jit
    def apply(scale):
        blocks = [block.clone(scale=scale, activate=activate) for activate in (False, True)]
        return [block.apply(variables, x, False) for block in blocks]

    whole = np.asarray(apply(1.0)[0] - x)
    assert np.abs(whole).max() > 0.1
    summed, activated = apply(0.2)
    np.testing.assert_allclose(summed, x + 0.2 * whole, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(activated, np.maximum(summed, 0))


class Recorder(Mixed):
    """Keeps what each block of a network was told."""

    def __call__(self, x, train):
        RECORDED.append((self.name, self.scale, self.activate))
        return super().__call__(x, train)


RECORDED = []


def test_the_scale_of_every_block(monkeypatch):
    monkeypatch.setattr("jaxcnn.architectures.inception_resnet.mixed", lambda remat: Recorder)
    for name, last in (("inception_resnet_v2", (1.0, False)), ("inception_resnet_v2_paper", (0.2, True))):
        RECORDED.clear()
        shapes(MODELS[name](), (75, 75, 3))
        numbers = [VARIANTS[name][stage].number for stage in ("block35", "block17", "block8")]
        told = [(scale, activate) for _, scale, activate in RECORDED]
        expected = [(s, True) for s, number in zip((0.17, 0.10, 0.20), numbers, strict=True) for _ in range(number)]
        assert told == [*expected[:-1], last]
    RECORDED.clear()
    shapes(MODELS["inception_resnet_v1"](residual_scale=0.3), (75, 75, 3))
    assert {scale for _, scale, _ in RECORDED} == {0.3}


def test_remat_gives_the_same_numbers(draw):
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 6)).astype(np.float32)
    branches = narrow(VARIANTS["inception_resnet_v1"]["block8"].branches, 32)
    blocks = [mixed(remat)(branches, residual=True, scale=0.2, norm=BatchNorm) for remat in (False, True)]
    variables = drawn(blocks[0], x, draw)
    assert jax.tree.structure(variables) == jax.tree.structure(drawn(blocks[1], x, draw))

    def run(params, block):
        y, running = block.apply({**variables, "params": params}, x, True, mutable=["batch_stats"])
        return jnp.sum(y**2), running

    compute = jax.jit(lambda params: [jax.value_and_grad(run, has_aux=True)(params, block) for block in blocks])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3), *compute(variables["params"]))


def test_names():
    assert set(MODELS) == set(CLAIMS) == set(VARIANTS)
    assert MODELS["inception_resnet_v2"]() == InceptionResNet(variant="inception_resnet_v2")
