"""A GAN of MNIST's digits, whatever they show.

Command: python -m jaxcnn train --config=configs/gan_mnist.py --config.data.data_dir=DIR --workdir=runs/gan
    (DIR holds TFDS's mnist; python -m jaxcnn prepare tfds:mnist --data_dir DIR makes it)
Recipe: DCGAN at half its width, non-saturating loss, real images labelled 0.9, batch 64, Adam at 0.0002 with a first
    moment of 0.5 (Radford et al. 2016), 4,000 steps.
Hardware and time: about 9 minutes on 2 CPU cores; its samples: experiments/results/gans_mnist.
"""

from jaxcnn import default_config


def get_config():
    """Other options of the task: discriminator_steps, loss "hinge", fake_label; of the network: spectral."""
    config = default_config()
    config.data.name = "tfds:mnist"
    config.model.name = "dcgan_28"
    config.model.options = {"widths": (32, 64)}
    config.task.name = "gan"
    config.task.options = {"real_label": 0.9}
    config.batch_size = 64
    config.duration = "4000 steps"
    config.optimizer.name = "adam"
    config.optimizer.learning_rate, config.optimizer.momentum = 2e-4, 0.5
    config.evaluation.every = config.checkpoint.every = "500 steps"
    return config
