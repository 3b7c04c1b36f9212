"""LeNet-5 as LeCun et al. 1998 describe it, on MNIST.

Command: python -m jaxcnn train --config=configs/mnist_lenet5_1998.py --config.data.data_dir=DIR --workdir=runs/lenet5
Recipe: trained sub-sampling, C3's table, RBF outputs and their discriminative loss; pixels from -0.1 (background) to
    1.175 (ink). The paper trains by stochastic diagonal Levenberg-Marquardt on single images; here SGD with momentum.
Paper: 0.95 % test error after 20 passes. Not yet run here to the end.
Hardware and time: about three minutes on 2 CPU cores.
"""

from jaxcnn import default_config


def get_config():
    """The network and the loss of the paper, our optimizer."""
    config = default_config()
    config.data.name = "tfds:mnist"
    config.data.image_size, config.data.fit = (32, 32), "pad"
    # (x - mean) / std takes 0 to -0.1 and 1 to 1.175.
    config.data.mean, config.data.std = "0.0784314", "0.784314"
    config.model.name = "lenet5"
    config.loss.name = "rbf_loss"
    config.batch_size = 32
    config.duration = "10 epochs"
    config.optimizer.learning_rate = 0.002
    config.schedule.name = "cosine"
    return config
