"""The common LeNet-5 on MNIST.

Command: python -m jaxcnn train --config=configs/mnist_lenet5.py --config.data.data_dir=DIR --workdir=runs/mnist
    (DIR holds TFDS's mnist; python -m jaxcnn prepare tfds:mnist --data_dir DIR makes it)
Recipe: images padded from 28 to 32, tanh, batch 128, SGD momentum 0.9, rate 0.05 with cosine decay over 6 epochs.
Result: test accuracy 98.95 %, n = 1 (experiments/results).
Hardware and time: one minute on 2 CPU cores.
"""

from jaxcnn import default_config


def get_config():
    """A short recipe of our own; LeCun et al. 1998 report 0.95 % test error for the original LeNet-5."""
    config = default_config()
    config.data.name = "tfds:mnist"
    config.data.image_size, config.data.fit = (32, 32), "pad"
    config.model.name = "lenet5_common"
    config.batch_size = 128
    config.duration = "6 epochs"
    config.optimizer.learning_rate = 0.05
    config.schedule.name = "cosine"
    return config
