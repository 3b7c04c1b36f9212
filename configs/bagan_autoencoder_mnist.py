"""The autoencoder of BAGAN on MNIST, the first of its two runs.

Command: python -m jaxcnn train --config=configs/bagan_autoencoder_mnist.py --config.data.data_dir=DIR --workdir=runs/bagan_autoencoder
    (DIR holds TFDS's mnist; python -m jaxcnn prepare tfds:mnist --data_dir DIR makes it; configs/bagan_mnist.py is next)
Recipe: the layers of Mariani et al. 2018 at an eighth of their width or so, squared error, batch 64, Adam at 0.001 with
    a first moment of 0.5, 4,000 steps.
Hardware and time: about 5 minutes on 2 CPU cores, by its multiply-adds.
"""  # noqa: E501

from jaxcnn import default_config


def get_config():
    """The game takes network and options from this run."""
    config = default_config()
    config.data.name = "tfds:mnist"
    config.model.name = "bagan_28"
    config.model.options = {"trunk": (16, 32, 32, 64), "hidden": 256, "widths": (32, 16, 8)}
    config.task.name = "reconstruction"
    config.batch_size = 64
    config.duration = "4000 steps"
    config.optimizer.name = "adam"
    config.optimizer.learning_rate, config.optimizer.momentum = 1e-3, 0.5
    config.evaluation.every = config.checkpoint.every = "1000 steps"
    return config
