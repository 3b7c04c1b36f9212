"""The deep autoencoder of Hinton and Salakhutdinov 2006 on MNIST: 784 pixels through 30 numbers.

Command: python -m jaxcnn train --config=configs/mnist_autoencoder.py --config.data.data_dir=DIR --workdir=runs/mnist
    (DIR holds TFDS's mnist; python -m jaxcnn prepare tfds:mnist --data_dir DIR makes it)
Recipe: the cell deep of experiments/mnist_autoencoder.py at the scale mnist.
Result: summed squared error 2.77 on the test images, spread 0.006, n = 5 (experiments/results); the paper has 3.00.
Hardware and time: about 15 minutes on 2 CPU cores.
"""

from jaxcnn import default_config


def get_config():
    """Relu, Adam on the squared error, rate 0.002 with cosine decay, half of the images distorted; no pretraining."""
    config = default_config()
    config.data.name = "tfds:mnist"
    config.data.train, config.data.validation, config.data.test = "train[:98%]", "train[98%:]", "test"
    config.model.name = "autoencoder_mlp"
    config.model.options.activation = "relu"
    config.task.name, config.task.options = "reconstruction", {"corrupt": "identity", "loss": "squared"}
    config.augment.operations = (("affine", 0.5, 0.7),)
    config.batch_size = 256
    config.duration = "60 epochs"
    config.optimizer.name, config.optimizer.learning_rate = "adam", 2e-3
    config.schedule.name, config.schedule.warmup = "cosine", "5%"
    config.evaluation.every = config.checkpoint.every = "10%"
    return config
