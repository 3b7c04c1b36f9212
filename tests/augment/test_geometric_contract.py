"""The contract of every geometric augmentation with a magnitude, over one table of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.augment import crop, warp
from jaxcnn.augment.elastic import elastic

OPERATIONS = {
    "crop_and_pad": (crop.crop_and_pad, 0.3),
    "rotate": (warp.rotate, 40.0),
    "shear_x": (warp.shear_x, 20.0),
    "shear_y": (warp.shear_y, 20.0),
    "translate_x": (warp.translate_x, 0.3),
    "translate_y": (warp.translate_y, 0.3),
    "scale": (warp.scale, 0.5),
    "affine": (warp.affine, 1.5),
    "perspective": (warp.perspective, 0.2),
    "elastic": (elastic, 2.0),
}
KEYS = jax.random.split(jax.random.key(0), 6)
IMAGES = np.random.default_rng(0).uniform(0.1, 1, (6, 9, 12, 3)).astype(np.float32)


@pytest.fixture(scope="module", params=OPERATIONS)
def operation(request):
    """(function, magnitude, f(keys, images, magnitude) mapped over images and compiled, the list of its traces)."""
    function, magnitude = OPERATIONS[request.param]
    traces = []

    def traced(key, image, magnitude):
        traces.append(image.shape)
        return function(key, image, magnitude=magnitude)

    return function, magnitude, jax.jit(jax.vmap(traced, in_axes=(0, 0, None))), traces


def test_another_magnitude_does_not_recompile(operation):
    _, magnitude, mapped, traces = operation
    weak, strong = (mapped(KEYS, IMAGES, np.float32(m)) for m in (0.1 * magnitude, magnitude))
    assert len(traces) == 1
    change = [float(jnp.abs(y - IMAGES).mean()) for y in (weak, strong)]
    assert 0 < change[0] < change[1]


@pytest.mark.parametrize(("dtype", "channels"), [(jnp.float32, 3), (jnp.bfloat16, 1)], ids=["float32", "bfloat16"])
def test_magnitude_0_is_the_identity_and_shape_and_dtype_stay(operation, dtype, channels):
    _, magnitude, mapped, _ = operation
    images = jnp.asarray(IMAGES[..., :channels], dtype)
    np.testing.assert_array_equal(mapped(KEYS, images, np.float32(0)), images)
    changed = mapped(KEYS, images, np.float32(magnitude))
    assert changed.shape == images.shape and changed.dtype == dtype
    assert jnp.isfinite(changed).all() and changed.min() >= 0 and changed.max() <= images.max() + 1e-6


def test_a_batch_equals_its_images_one_by_one(operation):
    function, magnitude, mapped, _ = operation
    alone = jax.jit(lambda key, image: function(key, image, magnitude=magnitude))
    expected = np.stack([alone(key, image) for key, image in zip(KEYS, IMAGES, strict=True)])
    np.testing.assert_allclose(mapped(KEYS, IMAGES, np.float32(magnitude)), expected, atol=1e-5)


def test_the_key_decides(operation):
    _, magnitude, mapped, _ = operation
    images = np.broadcast_to(IMAGES[:1], IMAGES.shape)
    first, again = (np.asarray(mapped(KEYS, images, np.float32(magnitude))) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first.reshape(len(first), -1), axis=0)) == len(first)


def test_pixels_that_are_not_floats_are_refused(operation):
    function, magnitude, _, _ = operation
    with pytest.raises(ValueError, match="image is uint8"):
        jax.eval_shape(lambda key: function(key, np.zeros((4, 4, 3), np.uint8), magnitude=magnitude), KEYS[0])
