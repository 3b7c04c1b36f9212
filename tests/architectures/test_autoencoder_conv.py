import jax
import numpy as np
import pytest
from tracing import count, macs, order, shapes

from jaxcnn.architectures import CLAIMS, create


def layers(decoder):
    """(taps, c_in, c_out, pixels that a weight meets, numbers besides the weights) of a 32x32x3 image, by hand."""
    yield from ((9, 3, 32, 256, 64), (9, 32, 64, 64, 128), (9, 64, 128, 16, 256), (1, 128, 16, 16, 0))
    yield 1, 16, 128, 16, 256
    for c_in, c_out, side, others in ((128, 64, 8, 128), (64, 32, 16, 64), (32, 3, 32, 3)):
        transposed = decoder == "transposed"  # its weights meet the pixels that go in
        yield 16 if transposed else 9, c_in, c_out, side**2 // (4 if transposed else 1), others


@pytest.mark.parametrize("decoder", ["resize", "transposed"])
def test_counts_by_hand(decoder):
    model, claim = create("autoencoder_conv", decoder=decoder), CLAIMS["autoencoder_conv"]
    _, variables = shapes(model, claim.input)
    parameters = sum(taps * a * b + others for taps, a, b, _, others in layers(decoder))
    multiplied = sum(taps * a * b * pixels for taps, a, b, pixels, _ in layers(decoder))
    assert (count(variables["params"]), macs(model, claim.input)) == (parameters, multiplied)
    assert decoder == "transposed" or (claim.parameters, claim.macs) == (parameters, multiplied)


@pytest.mark.parametrize("decoder", ["resize", "transposed"])
def test_stages_of_an_image_that_no_halving_fits(decoder):
    model = create("autoencoder_conv", decoder=decoder, code=5)
    (image, features), _ = shapes(model, (30, 17, 1))
    assert image.shape == (2, 30, 17, 1)
    assert {name: features[name].shape[1:] for name in order(model, (30, 17, 1))} == {
        "conv1": (16, 12, 32), "conv2": (8, 6, 64), "conv3": (4, 3, 128), "code": (4, 3, 5), "expand": (4, 3, 128),
        "deconv3": (8, 6, 64), "deconv2": (16, 12, 32),
    }  # fmt: skip


def test_a_padded_image_is_that_with_its_edges_repeated(draw):
    model = create("autoencoder_conv", widths=(4, 6), code=3)
    x = np.random.default_rng(0).uniform(size=(2, 7, 10, 1)).astype(np.float32)
    variables = draw(model, (8, 12, 1))
    run = jax.jit(lambda x: model.apply(variables, x, train=False)[0])
    padded = np.pad(x, ((0, 0), (0, 1), (0, 2), (0, 0)), mode="edge")
    np.testing.assert_allclose(run(x), run(padded)[:, :7, :10], rtol=1e-5, atol=1e-6)


def test_an_unknown_decoder_is_refused():
    with pytest.raises(ValueError, match="unknown decoder 'deconv'; known: resize, transposed"):
        create("autoencoder_conv", decoder="deconv")
