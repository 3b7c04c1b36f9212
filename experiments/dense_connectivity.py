"""Does dense connectivity test better than residual at fewer parameters and as many operations?

Claim: Huang et al. 2016 (arXiv:1608.06993), table 2: DenseNet (k = 12, 40 layers, 1.0M parameters) has 5.24 % error on
    CIFAR-10 with augmentation, ResNet-110 (1.7M) 6.41 %.
Protocol: densenet_40_12 and resnet110, whose multiply-adds are about equal (--scale imagenet or folder: densenet121,
    8.0M parameters, against resnet50, 25.6M), by one recipe. At the scale digits the images are 8x8, their own size.
Refuted if: the densenet tests below the resnet beyond what the seeds explain.
Cost: 10 runs of 1 to 2 minutes on 2 CPU cores at the scale digits, most of it compilation.
"""

from jaxcnn.sweeps import Claim, Study, is_large, scale_config

NETWORK = "network"
PAPER = {"densenet_40_12": 5.24, "resnet110": 6.41}


def study(scale="digits"):
    """Dense against residual."""
    config = scale_config(scale)
    config.optimizer.learning_rate = 0.1
    config.schedule.warmup = "5%"
    config.model.options = {}
    if scale == "digits":
        config.data.image_size, config.augment.pad_crop = (8, 8), 0
    dense, residual = ("densenet121", "resnet50") if is_large(scale) else ("densenet_40_12", "resnet110")
    paper = {f"{NETWORK}={name}": (error, "error, %, Huang et al. table 2") for name, error in PAPER.items()}
    return Study(
        base=config,
        factors={NETWORK: {name: {"model.name": name} for name in (dense, residual)}},
        seeds=(0, 1, 2, 3, 4),
        baseline={NETWORK: residual},
        claims=(Claim("The densenet tests better.", {NETWORK: dense}, {NETWORK: residual}),),
        paper=paper if scale == "cifar10" else {},
    )
