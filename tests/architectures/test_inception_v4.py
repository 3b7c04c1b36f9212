import jax.numpy as jnp
import pytest
from test_inception_v3 import check_against_table, check_every_branch_counts, kernels
from tracing import count, shapes

from jaxcnn.architectures.conv_norm import Mixed
from jaxcnn.architectures.inception_v3 import narrow
from jaxcnn.architectures.inception_v4 import CLAIMS, MODELS, STAGES
from jaxcnn.operators import BatchNorm

A = "1x1:96 | 1x1:64 3x3:96 | 1x1:64 3x3:96 3x3:96 | avg 1x1:96"
B = "1x1:384 | 1x1:192 1x7:224 7x1:256 | 1x1:192 7x1:192 1x7:224 7x1:224 1x7:256 | avg 1x1:128"
C = "1x1:256 | 1x1:384 (1x3:256 3x1:256) | 1x1:384 3x1:448 1x3:512 (1x3:256 3x1:256) | avg 1x1:256"

INCEPTION_V4 = "\n".join([
    "Conv2d_1a_3x3 149x32  3x3V:32",
    "Conv2d_2a_3x3 147x32  3x3V:32",
    "Conv2d_2b_3x3 147x64  3x3:64",
    "Mixed_3a      73x160  max | 3x3V:96",
    "Mixed_4a      71x192  1x1:64 3x3V:96 | 1x1:64 1x7:64 7x1:64 3x3V:96",
    "Mixed_5a      35x384  3x3V:192 | max",
    *(f"Mixed_5{letter} 35x384 {A}" for letter in "bcde"),
    "Mixed_6a      17x1024 3x3V:384 | 1x1:192 3x3:224 3x3V:256 | max",
    *(f"Mixed_6{letter} 17x1024 {B}" for letter in "bcdefgh"),
    "Mixed_7a      8x1536  1x1:192 3x3V:192 | 1x1:256 1x7:256 7x1:320 3x3V:320 | max",
    *(f"Mixed_7{letter} 8x1536 {C}" for letter in "bcd"),
])  # fmt: skip


OTHERS = ("4a", "5a", "5b", "6a", "6b", "7a")  # of the kinds of Inception-v3's blocks


def test_the_figures_with_timms_count():
    assert CLAIMS["inception_v4"].parameters == 42_679_816
    check_against_table(MODELS["inception_v4"](), INCEPTION_V4, CLAIMS["inception_v4"], classes=1000)


def test_options_of_the_whole_network():
    model = MODELS["inception_v4"](num_classes=7, auxiliary=True, remat=True, dtype="bfloat16")
    (logits, features), variables = shapes(model, (299, 299, 3))
    assert logits.shape == features["aux1"].shape == (2, 7)
    assert logits.dtype == features["aux1"].dtype == jnp.float32
    params = dict(variables["params"])
    head = params.pop("AuxLogits")
    assert set(kernels(head).values()) == {(1, 1, 1024, 128), (5, 5, 128, 768)}
    assert count(params) == CLAIMS["inception_v4"].parameters - 993 * 1537


def test_too_small_images_are_refused():
    with pytest.raises(ValueError, match=r"inception_v4 needs images of at least 75x75, got \(2, 74, 80, 3\)"):
        shapes(MODELS["inception_v4"](), (74, 80, 3))
    with pytest.raises(ValueError, match=r"needs 299x299 images, or auxiliary=False"):
        shapes(MODELS["inception_v4"](auxiliary=True), (224, 224, 3))


KINDS = ["Mixed_3a", "Mixed_7b", *(pytest.param(f"Mixed_{name}", marks=pytest.mark.long) for name in OTHERS)]


@pytest.mark.parametrize("name", KINDS)
def test_every_branch_of_a_block_counts(name, draw):
    check_every_branch_counts(Mixed(narrow(STAGES[name], 16), norm=BatchNorm), 4, draw)
