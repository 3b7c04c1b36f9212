"""ResNet-20 on CIFAR-10 (He et al. 2015, arXiv:1512.03385, section 4.2).

Command: python -m jaxcnn train --config=configs/cifar10_resnet20.py --config.data.data_dir=DIR --workdir=runs/resnet20
    (DIR holds TFDS's cifar10; python -m jaxcnn prepare tfds:cifar10 --data_dir DIR makes it)
Recipe: the paper's: batch 128, SGD momentum 0.9, rate 0.1 divided by 10 at 32k and 48k of 64k steps, L2 decay 1e-4 on
    every parameter, 45k/5k split, pad 4, crop and flip, per-pixel mean subtracted, but
    after the crop, so that the padding is black and not the mean.
Paper: 8.75 % test error. Not yet run here at full length; cut to 4 epochs it reaches 73.17 % test accuracy, n = 1
    (experiments/results).
Hardware and time: about 0.5 s a step on 2 CPU cores (9 hours); minutes on an accelerator.
"""

from jaxcnn import default_config


def get_config():
    """The paper's recipe."""
    config = default_config()
    config.data.name = "tfds:cifar10"
    config.data.train, config.data.validation, config.data.test = "train[:90%]", "train[90%:]", "test"
    config.data.mean, config.data.std = "pixel", "none"
    config.augment.pad_crop, config.augment.flip = 4, True
    config.model.name = "resnet20"
    config.batch_size = 128
    config.duration = "64000 steps"
    config.optimizer.learning_rate = 0.1
    config.optimizer.weight_decay = 1e-4
    config.schedule.name = "step"
    config.schedule.boundaries = ("32000 steps", "48000 steps")
    return config
