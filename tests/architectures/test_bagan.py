import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tracing import count, macs, order, shapes

from jaxcnn.architectures import CLAIMS, create
from jaxcnn.architectures.bagan import BAGAN


@pytest.mark.parametrize(("name", "channels"), [("bagan_28", 1), ("bagan_32", 3)])
def test_counts_by_hand(name, channels):
    model, claim = create(name), CLAIMS[name]
    _, variables = shapes(model, claim.input)
    size, quarter = claim.input[0], claim.input[0] // 4
    trunk = sum(9 * a * b + b for a, b in ((channels, 32), (32, 64), (64, 128), (128, 256)))
    flat = 256 * quarter**2
    projections = 100 * 1024 + 1024 * 128 * quarter**2
    parameters = {
        "encoder": trunk + 100 * flat + 100,
        "discriminator": trunk + 11 * flat + 11,
        "generator": projections + 2 * 25 * 128 * 256 + 4 * 128 * channels,
    }
    assert {key: count(tree) for key, tree in variables["params"].items()} == parameters
    half = (size // 2) ** 2
    multiplied = 9 * (half * (channels * 32 + 32 * 64) + quarter**2 * (64 * 128 + 128 * 256)) + 100 * flat
    multiplied += projections + 25 * 128 * 256 * (half + size**2) + 4 * 128 * channels * size**2
    assert (claim.parameters, claim.macs) == (sum(parameters.values()), multiplied)
    assert macs(model, claim.input) == multiplied
    assert order(model, claim.input) == ["conv1", "conv2", "conv3", "conv4", "code"]


@pytest.fixture(scope="module")
def small(draw):
    """(A network of 8x8 images, its variables)."""
    model = BAGAN(size=8, channels=1, trunk=(3, 3, 3, 4), hidden=5, widths=(4, 3, 2), code=3, num_classes=2)
    return model, draw(model, (8, 8, 1))


def test_codes_are_of_the_gaussian_of_their_class(small):
    model, variables = small
    stats = variables["batch_stats"]["gaussians"]
    keys, labels = jax.random.split(jax.random.key(0), 4000), jnp.full(4000, 1)
    codes = np.asarray(model.apply(variables, keys, labels, method="draw"))
    spread = np.asarray(stats["factor"][1]) @ np.asarray(stats["factor"][1]).T
    assert abs(codes.mean(axis=0) - stats["mean"][1]).max() < 5 * np.sqrt(spread.max() / 4000)
    np.testing.assert_allclose(np.cov(codes, rowvar=False), spread, atol=0.1 * spread.max())
    few = np.asarray(model.apply(variables, keys[:3], labels[:3], method="draw"))
    np.testing.assert_allclose(few, codes[:3], rtol=1e-5, atol=1e-6)  # a code is that of its key alone


def test_the_autoencoder_is_the_encoder_and_the_generator(small):
    model, variables = small
    images = np.random.default_rng(0).uniform(size=(2, 8, 8, 1)).astype(np.float32)

    def run(module, x):
        image, features = module(x, train=False)
        code, _ = module.encode(x, train=False)
        return image, features["code"], module.generate(code, None, train=False), code

    image, feature, generated, code = jax.jit(lambda x: model.apply(variables, x, method=run))(images)
    np.testing.assert_array_equal(image, generated)
    np.testing.assert_array_equal(feature, code)
    assert image.shape == images.shape and 0 <= image.min() < image.max() <= 1


def test_the_discriminator_has_one_output_more_than_classes_for_what_is_generated(small):
    model, variables = small
    images = np.random.default_rng(0).uniform(size=(3, 8, 8, 1)).astype(np.float32)

    def run(module, x):
        source, classes, _ = module.judge(x, train=False)
        return source, classes, module.discriminator(x, train=False)[0]

    source, classes, outputs = jax.jit(lambda x: model.apply(variables, x, method=run))(images)
    assert outputs.shape == (3, 3) and classes.shape == (3, 2)
    np.testing.assert_allclose(jax.nn.sigmoid(source), 1 - jax.nn.softmax(outputs)[:, 2], rtol=1e-5)
    np.testing.assert_allclose(jax.nn.softmax(classes), jax.nn.softmax(outputs[:, :2]), rtol=1e-5)
