"""The contract of every photometric augmentation, each compiled a few times and asked many things."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.augment import color, filters, noise, weather
from jaxcnn.augment.lighting import lighting
from jaxcnn.augment.superpixels import superpixels

STRONG = {  # operation: a magnitude at which nearly every image changes
    color.brightness: 0.5,
    color.contrast: 0.9,
    color.saturation: 0.9,
    color.hue: 0.5,
    color.gamma: 2.0,
    color.invert: 1.0,
    color.color_cast: 0.5,
    lighting: 1.0,
    filters.sharpen: 0.5,
    filters.emboss: 0.5,
    filters.gaussian_blur: 3.0,
    noise.additive_gaussian_noise: 0.5,
    noise.coarse_salt: 0.9,
    noise.coarse_dropout: 0.6,
    superpixels: 0.9,
    weather.clouds: 1.0,
    weather.fog: 1.0,
    weather.snowflakes: 1.0,
    weather.fast_snowy_landscape: 0.9,
}
OF_COLOURS = {color.saturation, color.hue, color.color_cast, lighting}
NEARLY_IDENTICAL = {color.contrast, color.saturation, color.hue, color.gamma}  # at magnitude 0: within 1e-6
KEYS = jax.random.split(jax.random.key(0), 4)
IMAGES = np.random.default_rng(0).uniform(0.05, 0.95, (4, 12, 15, 3)).astype(np.float32)


@functools.cache
def batched(operation):
    """The jitted operation on a batch, and the list to which every trace adds."""
    traces = []

    def apply(key, image, magnitude):
        traces.append(image.shape)
        return operation(key, image, magnitude=magnitude)

    return jax.jit(jax.vmap(apply, in_axes=(0, 0, None))), traces


@pytest.fixture(params=STRONG, ids=lambda operation: operation.__name__)
def operation(request):
    return request.param


def test_a_key_decides_and_nothing_recompiles(operation):
    apply, traces = batched(operation)
    apply(KEYS, IMAGES, 0.0)
    count = len(traces)
    changed = np.asarray(apply(KEYS, IMAGES, STRONG[operation]))
    assert changed.dtype == np.float32 and changed.shape == IMAGES.shape
    assert changed.min() >= 0 and changed.max() <= 1
    np.testing.assert_array_equal(apply(KEYS, IMAGES, STRONG[operation]), changed)
    one_image = np.repeat(IMAGES[:1], 4, axis=0)
    others = np.asarray(apply(KEYS, one_image, STRONG[operation]))
    assert len({image.tobytes() for image in others}) == 4
    assert not np.array_equal(others, one_image)
    assert len(traces) == count


def test_magnitude_0_is_the_identity(operation):
    unchanged = batched(operation)[0](KEYS, IMAGES, 0.0)
    tolerance = 1e-6 if operation in NEARLY_IDENTICAL else 0
    np.testing.assert_allclose(unchanged, IMAGES, rtol=0, atol=tolerance)


def test_vmap_equals_a_loop(operation):
    alone = jax.jit(functools.partial(operation, magnitude=STRONG[operation]))
    loop = np.stack([alone(key, image) for key, image in zip(KEYS, IMAGES, strict=True)])
    np.testing.assert_allclose(batched(operation)[0](KEYS, IMAGES, STRONG[operation]), loop, rtol=0, atol=2e-6)


def test_grey_images_in_bfloat16(operation):
    images = jnp.asarray(IMAGES[..., :1], jnp.bfloat16)
    apply = batched(operation)[0]
    changed = np.asarray(apply(KEYS, images, STRONG[operation]), np.float32)
    assert apply(KEYS, images, STRONG[operation]).dtype == jnp.bfloat16 and changed.shape == images.shape
    assert changed.min() >= 0 and changed.max() <= 1
    same = np.array_equal(changed, np.asarray(images, np.float32))
    assert same == (operation in OF_COLOURS)
    np.testing.assert_array_equal(apply(KEYS, images, 0.0), images)


@pytest.mark.parametrize(
    "image", [IMAGES, IMAGES[0, ..., :2], np.zeros((4, 4, 3), np.uint8)], ids=["batch", "channels", "bytes"]
)
def test_other_things_than_images_of_floats_are_refused(image):
    with pytest.raises(ValueError, match=r"brightness takes one image \(h, w, 1 or 3\) of floats"):
        color.brightness(KEYS[0], image, magnitude=0.1)
