"""CIFAR-10 to 94 % as fast as it goes: nine layers, 24 epochs (after Page 2018 and Jordan 2024, arXiv:2404.00498).

Command: python -m jaxcnn train --config=configs/cifar10_speed.py --config.data.data_dir=DIR --workdir=runs/speed
    (DIR holds TFDS's cifar10; python experiments/accelerator.py run --only speed times several seeds)
Recipe: a convnet of three blocks of two 3x3 convolutions with batch norm, 128, 256 and 512 channels, without hidden
    full connection, in bfloat16; batch 512, SGD with Nesterov momentum 0.9, peak rate 0.4 after 20 % of the run, then
    to 0 by a cosine, L2 decay 5e-4 on kernels alone, label smoothing 0.2, pad 4, crop and flip, average of weights.
    49,500 images train, 500 are held out; the only checkpoint is the last one, so nothing is chosen.
Source: Page, "How to train your ResNet" (2018), 94 % in 24 epochs with a ResNet-9; Jordan's airbench94 has this
    network's blocks with a whitened first layer and takes 9.9 epochs. Protocol: airbench's, the mean of the last test
    accuracy over runs, and the time of training without compilation.
Expected: 94 %; not run yet.
Hardware and time: an accelerator, about a minute; hours on CPU.
"""

from jaxcnn import default_config


def get_config():
    """The recipe of 24 epochs."""
    config = default_config()
    config.data.name = "tfds:cifar10"
    config.data.train, config.data.validation, config.data.test = "train[:99%]", "train[99%:]", "test"
    config.augment.pad_crop, config.augment.flip = 4, True
    config.model.name = "convnet"
    config.model.options.update({"widths": (128, 256, 512), "convolutions": 2, "hidden": (), "batch_norm": True})
    config.model.dtype = "bfloat16"
    config.loss.label_smoothing = 0.2
    config.batch_size, config.duration = 512, "24 epochs"
    config.optimizer.learning_rate, config.optimizer.nesterov = 0.4, True
    config.optimizer.weight_decay, config.optimizer.decay_mask = 5e-4, "kernels"
    config.optimizer.ema = 0.995
    config.schedule.name, config.schedule.warmup = "cosine", "20%"
    config.evaluation.every = config.checkpoint.every = "100%"
    config.evaluation.batch_size = 2000
    return config
