"""Augmentations: pure functions f(key, image, *, ...) that run on the device, under jit and vmap."""

from jaxcnn.augment.crop import pad_crop
from jaxcnn.augment.geometry import horizontal_flip
from jaxcnn.augment.policy import make_augment

__all__ = ["horizontal_flip", "make_augment", "pad_crop"]
