import itertools

import jax
import numpy as np
import pytest
from tracing import count, macs, shapes

from jaxcnn.architectures import CLAIMS, create
from jaxcnn.architectures.dcgan import DCGAN


def counts(size, channels, widths):
    """(parameters of the generator, of the discriminator, its multiply-adds), by hand."""
    side = size // 2 ** len(widths)
    generator = 100 * side**2 * widths[-1] + 16 * widths[0] * channels + channels + 2 * sum(widths)
    discriminator = 16 * channels * widths[0] + widths[0] + 2 * sum(widths[1:]) + side**2 * widths[-1] + 1
    multiplied = 16 * channels * widths[0] * (size // 2) ** 2 + side**2 * widths[-1]
    for layer, (narrow, wide) in enumerate(itertools.pairwise(widths), start=2):
        generator, discriminator = (x + 16 * narrow * wide for x in (generator, discriminator))
        multiplied += 16 * narrow * wide * (size // 2**layer) ** 2
    return generator, discriminator, multiplied


@pytest.mark.parametrize(("name", "channels", "widths"), [("dcgan_28", 1, (64, 128)), ("dcgan_32", 3, (64, 128, 256))])
def test_counts_by_hand(name, channels, widths):
    model, claim = create(name), CLAIMS[name]
    _, variables = shapes(model, claim.input)
    generator, discriminator, multiplied = counts(claim.input[0], channels, widths)
    assert {key: count(tree) for key, tree in variables["params"].items()} == {
        "generator": generator,
        "discriminator": discriminator,
    }
    assert (claim.parameters, claim.macs) == (generator + discriminator, multiplied)
    assert macs(model, claim.input) == multiplied


def test_the_class_enters_the_generator_and_is_judged():
    model = create("dcgan_28", conditional=True, num_classes=7)
    _, variables = shapes(model, (28, 28, 1))
    plain = shapes(create("dcgan_28"), (28, 28, 1))[1]
    assert count(variables["params"]) - count(plain["params"]) == 7 * 49 * 128 + (49 * 128 + 1) * 7
    assert variables["params"]["generator"]["project"]["kernel"].shape == (107, 49 * 128)


def test_other_labels_give_other_images_of_one_code(draw):
    model = DCGAN(size=8, channels=1, widths=(3, 4), code=5, conditional=True, num_classes=2)
    variables, codes = draw(model, (8, 8, 1)), np.ones((2, 5), np.float32)
    run = jax.jit(lambda labels: model.apply(variables, codes, labels, train=False, method="generate"))
    first, second = run(np.array([0, 1]))
    assert abs(first - second).max() > 1e-3 and 0 <= first.min() < first.max() <= 1
    assert np.array_equal(*run(np.array([1, 1])))


def test_a_spectral_discriminator_has_layers_of_norm_one(draw):
    """Power iteration finds each layer's largest singular value, by which it is divided; there is no batch norm."""
    model = DCGAN(size=8, channels=1, widths=(3, 4), spectral=True)
    variables, images = draw(model, (8, 8, 1)), np.random.default_rng(0).uniform(size=(2, 8, 8, 1)).astype(np.float32)
    assert not [name for name in variables["params"]["discriminator"] if name.startswith("norm")]
    step = jax.jit(lambda v: model.apply(v, images, train=True, mutable=["batch_stats"])[1])
    for _ in range(60):
        variables = {**variables, **step(variables)}
    params, stats = variables["params"]["discriminator"], variables["batch_stats"]["discriminator"]
    for layer in ("conv1", "conv2", "source"):
        kernel = np.asarray(params[layer]["kernel"])
        found = stats[f"{layer}_spectral"][f"{layer}/kernel/sigma"]
        assert float(found) == pytest.approx(np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), 2), rel=1e-3)
    wider = {**params, "source": {**params["source"], "kernel": 5 * params["source"]["kernel"]}}
    changed = {**variables, "params": {**variables["params"], "discriminator": wider}}
    judge = jax.jit(lambda v: model.apply(v, images, train=False)[0])
    np.testing.assert_allclose(judge(changed), judge(variables), rtol=1e-4, atol=1e-5)


def test_widths_that_do_not_halve_the_size_are_refused():
    with pytest.raises(ValueError, match="images of 28 pixels are not halved 3 times: give fewer widths"):
        create("dcgan_28", widths=(4, 5, 6))
