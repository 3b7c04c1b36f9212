"""BAGAN on MNIST, from its autoencoder: digits of the class that is asked for, rare ones too.

Command: python -m jaxcnn train --config=configs/bagan_mnist.py --config.data.data_dir=DIR --workdir=runs/bagan
    (after configs/bagan_autoencoder_mnist.py, whose run is runs/bagan_autoencoder: config.finetune.source)
Recipe: network and options of the autoencoder's run, whose decoder is the generator and whose encoder starts the
    discriminator; codes of Gaussians fitted to each class (Mariani et al. 2018); batch 64, Adam at 0.0002 with a first
    moment of 0.5, 4,000 steps.
Hardware and time: about 10 minutes on 2 CPU cores; its samples: experiments/results/gans_mnist.
"""

from jaxcnn import default_config


def get_config():
    """Dropout is that of the source, 0.3, in the discriminator alone."""
    config = default_config()
    config.data.name = "tfds:mnist"
    config.model.name = ""
    config.finetune.source = "runs/bagan_autoencoder"
    config.task.name = "bagan"
    config.batch_size = 64
    config.duration = "4000 steps"
    config.optimizer.name = "adam"
    config.optimizer.learning_rate, config.optimizer.momentum = 2e-4, 0.5
    config.evaluation.every = config.checkpoint.every = "500 steps"
    return config
