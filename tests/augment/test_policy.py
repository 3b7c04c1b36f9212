"""The augmentation of a run, as its config names it."""

import jax
import numpy as np

from jaxcnn import default_config
from jaxcnn.augment import make_augment

IMAGE = np.arange(1.0, 5.0, dtype=np.float32).reshape(2, 2, 1)


def outcomes(pad_crop, flip, count=600):
    config = default_config().augment
    config.pad_crop, config.flip = pad_crop, flip
    keys = jax.random.split(jax.random.key(0), count)
    images = np.asarray(jax.vmap(lambda key: make_augment(config)(key, IMAGE))(keys))
    return {tuple(image.ravel().tolist()) for image in images}


def test_off_is_the_identity():
    assert outcomes(0, False) == {(1, 2, 3, 4)}


def test_flip_alone():
    assert outcomes(0, True) == {(1, 2, 3, 4), (2, 1, 4, 3)}


def test_crops_are_shifts_by_at_most_the_padding():
    found = outcomes(1, False)
    assert len(found) == 9
    assert {(1, 2, 3, 4), (4, 0, 0, 0), (0, 0, 0, 1), (2, 0, 4, 0), (0, 0, 1, 2)} <= found


def test_every_crop_comes_mirrored_and_not():
    cropped = outcomes(1, False)
    mirrored = {(b, a, d, c) for a, b, c, d in cropped}
    assert len(cropped | mirrored) == 18  # of four different numbers no window mirrors another
    assert outcomes(1, True) == cropped | mirrored
