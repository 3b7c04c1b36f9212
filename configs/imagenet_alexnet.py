"""AlexNet on ILSVRC 2012 (Krizhevsky, Sutskever and Hinton 2012), two towers.

Command: python -m jaxcnn train --config=configs/imagenet_alexnet.py --config.data.data_dir=DIR --workdir=runs/alexnet
    (DIR holds TFDS's imagenet2012; python -m jaxcnn prepare tfds:imagenet2012 --data_dir DIR makes it)
Recipe: the paper's: batch 128, SGD momentum 0.9 with the learning rate inside the buffer, rate 0.01 divided by 10 when
    the held-out error stops falling, L2 decay 5e-4, 90 epochs, N(0, 0.01²) weights, windows of 227 of images of 256,
    mirror images, PCA of the colours, dropout 0.5, the mean of each channel subtracted from pixels of 0 to 255. Biases
    of 1 start some runs badly: Caffe needed 0.1 (--config.model.options="{'bias': 0.1}").
Paper: 40.7 % top-1 and 18.2 % top-5 error, 10 crops. Not yet run here.
Hardware and time: one accelerator, about a day; evaluate --crops 10 gives the paper's protocol.
"""

from jaxcnn import default_config


def get_config():
    """AlexNet, 90 epochs of 128, plateau decay, validation on 1 % of train."""
    config = default_config()
    config.data.name = "tfds:imagenet2012"
    config.data.train, config.data.validation, config.data.test = "train[:99%]", "train[99%:]", "validation"
    config.data.image_size, config.data.resize = (227, 227), 256
    config.data.workers = 16
    config.data.std = str(1 / 255)  # pixels from 0 to 255: N(0, 0.01²) weights leave nothing of smaller ones
    config.augment.recipe = "alexnet"
    config.augment.crop_scale = (256 / 227, 256 / 227)
    config.model.name = "alexnet"
    config.batch_size = 128
    config.duration = "90 epochs"
    config.optimizer.learning_rate = 0.01
    config.optimizer.momentum_convention = "caffe"
    config.optimizer.weight_decay = 5e-4
    config.schedule.name, config.schedule.patience = "plateau", 3
    return config
