"""Does network in network reach its published error on MNIST?

Claim: Lin, Chen and Yan 2013 (arXiv:1312.4400), table 4: 0.47 % test error without distortions.
Protocol: `nin_cifar` on one channel, since the paper prints no widths for MNIST, with dropout 0.5 between its blocks;
    all 60,000 training images, the last step tested.
Ours and not the paper's: 20 passes at a rate that falls as a cosine, where the paper divides it twice when the training
    accuracy stops improving; He's weights, batches of 128, momentum 0.9, a decay of 1e-4.
Refuted if: the published error is below the 95 % interval of the mean.
Cost: about 8 hours of one core a run (estimated): for an accelerator.
    TFDS_DATA_DIR=DIR python -m jaxcnn sweep experiments/nin_mnist.py --workdir runs/nin_mnist
"""

from jaxcnn.sweeps import Study, mnist_config


def study():
    """One network; each further seed is a run."""
    config = mnist_config("20 epochs", batch_size=128)
    config.model.options.kernel_init = "he"
    config.optimizer.learning_rate, config.optimizer.weight_decay = 0.02, 1e-4
    config.schedule.name = "cosine"
    return Study(config, {"model.name": ("nin_cifar",)}, seeds=(0, 1, 2))
