"""Does ResNet-20 reach its published error on CIFAR-10 by the published recipe?

Claim: He et al. 2015 (arXiv:1512.03385), table 6: 8.75 % test error.
Protocol: configs/cifar10_resnet20.py as it is: 64,000 steps of 128, 45,000 training images, 5,000 that choose the
    checkpoint, crops of images padded by 4, mirror images, the mean of each pixel subtracted.
Ours and not the paper's: pixels are normalised before they are padded, so that the padding is black and not the mean;
    the checkpoint with the lowest held-out error is tested.
Refuted if: the published error is below the 95 % interval of the mean; of one run there is no interval, and the verdict
    says so.
Cost: about 9 hours of 2 CPU cores a run (estimated; the same command resumes); minutes on an accelerator.
    TFDS_DATA_DIR=DIR python -m jaxcnn sweep experiments/resnet20_cifar10.py --workdir runs/resnet20_cifar10
"""

from jaxcnn.sweeps import Study
from jaxcnn.training.config import load_config


def study():
    """One network; each further seed is a run."""
    return Study(load_config(["--config=cifar10_resnet20"]), {"model.name": ("resnet20",)}, seeds=(0, 1, 2))
