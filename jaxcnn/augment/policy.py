"""The augmentation of a run: the operations that its config names, in a fixed order, each with its own key."""

import jax

from jaxcnn.augment import crop, geometry


def make_augment(config):
    """f(key, image) of `config.augment`: pad-crop, then flip; operations that are off cost nothing.

    Args:
      config: with pad_crop (pixels, 0 for off) and flip (bool).
    """

    def augment(key, image):
        if config.pad_crop:
            image = crop.pad_crop(jax.random.fold_in(key, 0), image, padding=config.pad_crop)
        if config.flip:
            image = geometry.horizontal_flip(jax.random.fold_in(key, 1), image)
        return image

    return augment
