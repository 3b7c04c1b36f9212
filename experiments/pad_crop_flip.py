"""Do pad-crop and mirror images beat no augmentation on CIFAR-10 after equal steps?

Claim: He et al. 2015 (arXiv:1512.03385, section 4.2) train every CIFAR network with 4 pixels of padding, a random
    window of 32x32 and mirror images; Krizhevsky et al. 2012 (section 4.1): without, it overfits.
Protocol: a convnet of three convolutions (32, 64, 128) on the first 10,000 training images, the last 5,000 held out for
    the choice of the checkpoint, all 10,000 test images; SGD momentum 0.9, cosine decay, 3,000 steps of 128 (38 epochs)
    with and without, 3 seeds a cell. Small, so that it runs on two CPU cores: the claim's network is a deeper one.
Refuted if: the mean test accuracy with pad-crop and flip is not above that without.
Cost: 6 runs of about 2 minutes on 2 CPU cores. DIR holds TFDS's cifar10:
    TFDS_DATA_DIR=DIR python -m jaxcnn sweep experiments/pad_crop_flip.py --workdir runs/pad_crop_flip
"""

from jaxcnn import default_config
from jaxcnn.sweeps import Claim, Study


def study():
    """Recipe "cifar" (pad 4, crop, flip) against none, three seeds each."""
    config = default_config()
    config.data.name = "tfds:cifar10"
    config.data.train, config.data.validation, config.data.test = "train[:20%]", "train[90%:]", "test"
    config.model.name = "convnet"
    config.model.options.update({"widths": (32, 64, 128), "convolutions": 1, "hidden": (128,)})
    config.duration = "3000 steps"
    config.batch_size = 128
    config.optimizer.learning_rate = 0.02
    config.optimizer.weight_decay = 5e-4
    config.schedule.name = "cosine"
    config.evaluation.every = config.checkpoint.every = "500 steps"
    none, crops = {"augment.recipe": ""}, {"augment.recipe": "cifar"}
    claim = Claim("Pad-crop and mirror images raise test accuracy.", crops, none)
    return Study(
        base=config, factors={"augment.recipe": ("", "cifar")}, seeds=(0, 1, 2), baseline=none, claims=(claim,)
    )
