"""The augmentation of a run: what its config names, in a fixed order, each operation with its own key."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxcnn.augment.crop import pad_crop, random_resized_crop, random_scaled_crop
from jaxcnn.augment.geometry import horizontal_flip, vertical_flip
from jaxcnn.augment.mixing import cutmix, mixup
from jaxcnn.augment.operations import make_operation
from jaxcnn.errors import input_errors

if TYPE_CHECKING:
    from ml_collections import ConfigDict


def make_augment(config: ConfigDict, size: Sequence[int] | None = None) -> Callable[..., jax.Array]:
    """f(key, image, magnitude) of `config.augment`: crop, pad-crop, flips, operations; what is off costs nothing.

    The operations are entries (name, probability, magnitude), or with a dict of options behind it; a name is one that
    `operation` takes. Without `rand_augment` all of them are
    applied in their order. With `rand_augment` = n an image gets n of them, drawn uniformly with replacement
    (RandAugment, Cubuk et al. 2020); under vmap every operation is then computed for every image, n times.

    Args:
      config: crop, crop_area, crop_aspect, crop_scale, pad_crop, flip, vertical_flip, operations, rand_augment and pca.
      size: (height, width) that `crop` cuts; None where the images come cut already.
    Returns:
      The function, for one float image in [0, 1]; its `magnitude`, which may be traced, multiplies every operation's.
    """
    operations = [
        (_operation(config, name, *options), probability, strength)
        for name, probability, strength, *options in config.operations
    ]

    def augment(key, image, magnitude=1.0):
        keys = [jax.random.fold_in(key, number) for number in range(5)]
        if size is not None and config.crop == "resized":
            image = random_resized_crop(keys[2], image, size=size, area=config.crop_area, aspect=config.crop_aspect)
        if size is not None and config.crop == "scaled":
            image = random_scaled_crop(keys[2], image, size=size, scale=config.crop_scale)
        if config.pad_crop:
            image = pad_crop(keys[0], image, padding=config.pad_crop)
        if config.flip:
            image = horizontal_flip(keys[1], image)
        if config.vertical_flip:
            image = vertical_flip(keys[3], image)
        if config.rand_augment:
            return _some(keys[4], image, operations, magnitude, config.rand_augment)
        for number, entry in enumerate(operations):
            image = _maybe(jax.random.fold_in(keys[4], number), image, entry, magnitude)
        return image

    return augment


def _operation(config, name, options=()):
    options = dict(options)
    if name == "lighting" and config.pca:
        values, vectors = config.pca[:3], jnp.reshape(jnp.asarray(config.pca[3:]), (3, 3))
        options = {"values": values, "vectors": vectors, **options}
    with input_errors("config.augment.operations"):
        return make_operation(name, **options)


def _maybe(key, image, entry, magnitude):
    """The image after one entry, which acts with its probability."""
    apply, probability, strength = entry
    chance, drawn = jax.random.split(key)
    changed = apply(drawn, image, magnitude=strength * magnitude)
    return jnp.where(jax.random.bernoulli(chance, probability), changed, image)


def _some(key, image, operations, magnitude, count):
    branches = [lambda key, image, entry=entry: _maybe(key, image, entry, magnitude) for entry in operations]
    for number in range(count):
        which, drawn = jax.random.split(jax.random.fold_in(key, number))
        image = jax.lax.switch(jax.random.randint(which, (), 0, len(branches)), branches, drawn, image)
    return image


def make_mix(config: ConfigDict) -> Callable[..., tuple[jax.Array, jax.Array]] | None:
    """f(key, images, targets) -> (images, targets) of `config.augment`: mixup, cutmix, or one of both for each batch.

    Args:
      config: mixup and cutmix, the alpha of each; 0 is off.
    Returns:
      The function, or None where both are off.
    """
    chosen = [
        functools.partial(function, alpha=alpha)
        for function, alpha in ((mixup, config.mixup), (cutmix, config.cutmix))
        if alpha
    ]
    if len(chosen) < 2:
        return chosen[0] if chosen else None

    def mix(key, images, targets):
        which, drawn = jax.random.split(key)
        return jax.lax.cond(jax.random.bernoulli(which), *chosen, drawn, images, targets)

    return mix
