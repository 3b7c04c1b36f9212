"""ResNet-50 on ILSVRC 2012 (He, Zhang, Ren and Sun 2015, arXiv:1512.03385, section 3.4).

Command: python -m jaxcnn train --config=configs/imagenet_resnet50.py --config.data.data_dir=DIR --workdir=runs/resnet50
    (DIR holds TFDS's imagenet2012; python -m jaxcnn prepare tfds:imagenet2012 --data_dir DIR makes it)
Recipe: the paper's: batch 256, SGD momentum 0.9, L2 decay 1e-4 on every parameter, short side from [256, 480], windows
    of 224, mirror images, PCA of the colours. The paper divides the rate of 0.1 by 10 on a plateau, here at 30, 60
    and 80 of 90 epochs, which is another recipe (Goyal et al. 2017, arXiv:1706.02677). Computed in bfloat16; batch norm
    over the images of each device, 32 on 8.
Paper: 22.85 % top-1 and 6.71 % top-5 error, 10 crops; one crop 24.7 and 7.8 (the authors' release). Not yet run here.
Hardware and time: made for 8 accelerators, about a day; evaluate --crops 10 gives the paper's protocol.
"""

from jaxcnn import default_config


def get_config():
    """ResNet-50, 90 epochs of 256, validation on 1 % of train, the paper's 50,000 images as test."""
    config = default_config()
    config.data.name = "tfds:imagenet2012"
    config.data.train, config.data.validation, config.data.test = "train[:99%]", "train[99%:]", "validation"
    config.data.image_size, config.data.resize = (224, 224), 256
    config.data.workers = 16
    config.augment.recipe = "resnet"
    config.model.name = "resnet50"
    config.model.dtype = "bfloat16"
    config.batch_size = 256
    config.duration = "90 epochs"
    config.optimizer.learning_rate = 0.1
    config.optimizer.weight_decay = 1e-4
    config.schedule.name = "step"
    config.schedule.boundaries = ("30 epochs", "60 epochs", "80 epochs")
    return config
