"""Do maxout units reach the error of Goodfellow et al. 2013 on MNIST as a vector in any order?

Claim: Goodfellow et al. 2013 (arXiv:1302.4389), section 5.1: two layers of maxout units with dropout err on 0.94 % of
    MNIST's test images, without any knowledge of where a pixel is.
Protocol: `maxout_mnist_dense`, the sizes of the authors' file for Pylearn2 (mnist_pi.yaml), with its dropout, its ball
    of radius 1.9365 and batches of 100; beside it relu units under the same dropout and bound, 2 layers of 1,200. All
    60,000 training images, the last step tested.
Ours and not the paper's: 40 passes at a rate that falls as a cosine, momentum 0.9. The paper stops by 10,000 held-out
    images and goes on with all 60,000 until their likelihood is that of before; its file lets the rate fall slowly and
    momentum grow from 0.5 to 0.7.
Sources: the authors' file was read; the paper was not: its 0.94 % stands in the project's reference and in
    replications.
Refuted if: relu units test better beyond what the seeds explain (paired t). The published error counts as missed where
    the 95 % interval of the mean is above it.
Cost: 6 runs in 90 minutes of one core, three in one program (--runner population), beside other work.
    TFDS_DATA_DIR=DIR python -m jaxcnn sweep experiments/maxout_mnist.py --workdir runs/maxout_mnist
"""

from jaxcnn.sweeps import Claim, Study, mnist_config

UNITS = "units"


def study():
    """Maxout and relu."""
    config = mnist_config("40 epochs", batch_size=100)
    config.model.dropout, config.model.options.input_dropout = 0.5, 0.2
    config.optimizer.learning_rate, config.optimizer.max_norm = 0.05, 1.9365
    config.schedule.name = "cosine"
    units = {
        "maxout": {"model.name": "maxout_mnist_dense"},
        "relu": {"model.name": "mlp", "model.options.hidden": (1200, 1200)},
    }
    claim = Claim("Maxout units test better than relu.", *({UNITS: name} for name in units))
    return Study(base=config, factors={UNITS: units}, seeds=(0, 1, 2), claims=(claim,))
