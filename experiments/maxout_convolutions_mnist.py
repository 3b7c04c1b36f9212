"""Do convolutions of maxout units reach their published error on MNIST?

Claim: Goodfellow et al. 2013 (arXiv:1302.4389), section 5.1: 0.45 % test error without distortions.
Protocol: `maxout_mnist`, the sizes and the dropout of the authors' file for Pylearn2 (mnist.yaml), batches of 128; all
    60,000 training images, the last step tested.
Ours and not the paper's: 20 passes at a rate that falls as a cosine, momentum 0.9; one radius, 1.9365, for the weights
    of all layers, where the file has 0.9 in the first.
Sources: the authors' file was read; the paper was not: its 0.45 % is quoted by Chan et al. 2014 (PCANet).
Refuted if: the published error is below the 95 % interval of the mean.
Cost: about 100 minutes of one core a run (estimated).
    TFDS_DATA_DIR=DIR python -m jaxcnn sweep experiments/maxout_convolutions_mnist.py --workdir runs/maxout_convolutions
"""

from jaxcnn.sweeps import Study, mnist_config


def study():
    """One network; each further seed is a run."""
    config = mnist_config("20 epochs", batch_size=128)
    config.optimizer.learning_rate, config.optimizer.max_norm = 0.05, 1.9365
    config.schedule.name = "cosine"
    return Study(config, {"model.name": ("maxout_mnist",)}, seeds=(0, 1, 2))
