"""The scales of a study: the data set, its splits and the length of a run that every cell starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxcnn.errors import InputError, nearest
from jaxcnn.training.config import default_config

if TYPE_CHECKING:
    from ml_collections import ConfigDict


def scale_config(scale: str) -> ConfigDict:
    """The config that the runs of a study at this scale start from; a study then sets its network and its factors.

    - digits: the embedded digits at 16x16, 20 epochs; minutes on two CPU cores, no download.
    - mnist: TFDS's mnist, 10 epochs.
    - cifar10-subset: the first 5,000 training images of TFDS's cifar10, 2,500 others held out, all test images,
      8 epochs; minutes on two CPU cores.
    - cifar10: all of it, 64,000 steps of 128, by the schedule and the crops of He et al. 2015 (section 4.2).
    - imagenet: TFDS's imagenet2012 at 224x224, 90 epochs of 256, random resized crops (Szegedy et al. 2014).
    - folder:PATH: class folders of images at 64x64, 30 epochs.

    Args:
      scale: one of these.
    Returns:
      A locked ConfigDict: SGD of momentum 0.9, a `convnet` whose widths suit the scale, without normalisation.
    Raises:
      InputError: there is no such scale.
    """
    check_scale(scale)
    config = default_config()
    if scale.startswith("folder:"):
        _folder(config)
        config.data.name = scale
    else:
        SCALES[scale](config)
    config.model.name = "convnet"
    config.model.options.update(_convnet(scale))
    return config


def scale_margin(scale: str) -> float:
    """The difference of test accuracy below which a choice does not matter, the margin of such claims.

    One point at digits (4 of its 360 test images), a fifth of one at mnist, whose errors are near one per cent, half a
    point elsewhere. `conventions` had these before any study was run with a margin.

    Args:
      scale: as in scale_config.
    Raises:
      InputError: there is no such scale.
    """
    check_scale(scale)
    return {"digits": 0.01, "mnist": 0.002}.get(scale, 0.005)


def mnist_config(duration: str, *, batch_size: int) -> ConfigDict:
    """The config of a run whose number is to stand beside a published error on MNIST.

    All 60,000 training images are trained on, and what is tested is the network of the last step: nothing is held out,
    so that no image chooses anything. TFDS's mnist lies where TFDS_DATA_DIR says.

    Args:
      duration, batch_size: as in a config.
    Returns:
      A locked ConfigDict without a network, augmentation or schedule.
    """
    config = default_config()
    config.data.name = "tfds:mnist"
    config.data.train, config.data.validation, config.data.test = "train", "test", "test"
    config.duration, config.batch_size = duration, batch_size
    config.evaluation.every, config.checkpoint.every = "100%", "10%"
    return config


def _convnet(scale):
    if is_large(scale):
        return {"widths": (64, 128, 256, 512, 512), "convolutions": 2, "hidden": (1024,)}
    if scale == "cifar10":
        return {"widths": (64, 128, 256), "convolutions": 2, "hidden": (512,)}
    return {"widths": (16, 32, 64), "convolutions": 1, "hidden": (64,)}


def check_scale(scale: str) -> None:
    """Raises InputError for what is no scale."""
    if scale not in SCALES and not scale.startswith("folder:"):
        raise InputError(f"there is no scale '{scale}'; {nearest(scale, (*SCALES, 'folder:PATH'))}")


def is_large(scale: str) -> bool:
    """Whether the images are photographs, for which the papers' own networks are made; else the small variants fit."""
    return scale == "imagenet" or scale.startswith("folder:")


def _digits(config):
    config.data.name = "digits"
    config.data.image_size = (16, 16)
    config.augment.pad_crop = 1
    _short(config, epochs=20, batch=32)


def _mnist(config):
    config.data.name = "tfds:mnist"
    config.data.train, config.data.validation, config.data.test = "train[:90%]", "train[90%:]", "test"
    config.augment.pad_crop = 2
    _short(config, epochs=10, batch=128)


def _cifar10_subset(config):
    config.data.name = "tfds:cifar10"
    config.data.train, config.data.validation, config.data.test = "train[:10%]", "train[95%:]", "test"
    config.augment.pad_crop, config.augment.flip = 4, True
    _short(config, epochs=8, batch=64)


def _short(config, *, epochs, batch):
    config.duration, config.batch_size = f"{epochs} epochs", batch
    config.optimizer.learning_rate, config.optimizer.weight_decay = 0.05, 1e-4
    config.schedule.name = "cosine"
    config.evaluation.every = config.checkpoint.every = "10%"


def _cifar10(config):
    config.data.name = "tfds:cifar10"
    config.data.train, config.data.validation, config.data.test = "train[:90%]", "train[90%:]", "test"
    config.augment.pad_crop, config.augment.flip = 4, True
    config.duration, config.batch_size = "64000 steps", 128
    config.optimizer.learning_rate, config.optimizer.weight_decay = 0.02, 1e-4  # 0.1 for what is normalised
    config.schedule.name, config.schedule.boundaries = "step", ("32000 steps", "48000 steps")


def _imagenet(config):
    config.data.name = "tfds:imagenet2012"
    config.data.train, config.data.validation, config.data.test = "train[:99%]", "train[99%:]", "validation"
    config.data.image_size, config.data.resize = (224, 224), 256
    config.augment.crop, config.augment.flip = "resized", True
    config.duration, config.batch_size = "90 epochs", 256
    config.optimizer.learning_rate, config.optimizer.weight_decay = 0.01, 1e-4  # 0.1 for what is normalised
    config.schedule.name, config.schedule.boundaries = "step", ("30 epochs", "60 epochs", "80 epochs")
    config.model.dtype = "bfloat16"


def _folder(config):
    config.data.image_size = (64, 64)
    config.augment.pad_crop, config.augment.flip = 8, True
    _short(config, epochs=30, batch=64)


SCALES = {
    "digits": _digits,
    "mnist": _mnist,
    "cifar10-subset": _cifar10_subset,
    "cifar10": _cifar10,
    "imagenet": _imagenet,
}
