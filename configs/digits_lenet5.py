"""The common LeNet-5 on scikit-learn's embedded digits: the run that needs no download.

Command: python -m jaxcnn train --config=configs/digits_lenet5.py --workdir=runs/digits_lenet5
Recipe: the cell tanh of experiments/digits.py.
Result: test accuracy 98.61 %, standard deviation 0.39, n = 5 (360 images; experiments/results).
Hardware and time: about 10 seconds on 2 CPU cores.
"""

from jaxcnn import default_config


def get_config():
    """Tanh, SGD momentum 0.9, rate 0.05 with cosine decay over 24 epochs, pad-crop by 2."""
    config = default_config()
    config.data.name = "digits"
    config.augment.pad_crop = 2
    config.model.name = "lenet5_common"
    config.batch_size = 32
    config.duration = "24 epochs"
    config.optimizer.learning_rate = 0.05
    config.optimizer.weight_decay = 1e-4
    config.schedule.name = "cosine"
    config.evaluation.every = config.checkpoint.every = "2 epochs"
    return config
