"""An ACGAN of MNIST: digits of the class that is asked for.

Command: python -m jaxcnn train --config=configs/acgan_mnist.py --config.data.data_dir=DIR --workdir=runs/acgan
    (DIR holds TFDS's mnist; python -m jaxcnn prepare tfds:mnist --data_dir DIR makes it)
Recipe: DCGAN at half its width with the class beside the code and an auxiliary classifier (Odena et al. 2017), real
    images labelled 0.9, batch 64, Adam at 0.0002 with a first moment of 0.5, 4,000 steps.
Hardware and time: about 7 minutes on 2 CPU cores; its samples: experiments/results/gans_mnist.
"""

from jaxcnn import default_config


def get_config():
    """As configs/gan_mnist.py, by class."""
    config = default_config()
    config.data.name = "tfds:mnist"
    config.model.name = "dcgan_28"
    config.model.options = {"widths": (32, 64), "conditional": True}
    config.task.name = "acgan"
    config.task.options = {"real_label": 0.9}
    config.batch_size = 64
    config.duration = "4000 steps"
    config.optimizer.name = "adam"
    config.optimizer.learning_rate, config.optimizer.momentum = 2e-4, 0.5
    config.evaluation.every = config.checkpoint.every = "500 steps"
    return config
