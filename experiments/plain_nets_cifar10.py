"""Does a plain network of 56 layers train worse than one of 20 on CIFAR-10, and a residual one better?

Claim: He et al. 2015 (arXiv:1512.03385), figure 6: the training error of plain-56 lies above that of plain-20, that of
    ResNet-56 below that of ResNet-20 at the end.
Protocol: the recipe of configs/cifar10_resnet20.py, which is the paper's, for its first 16,000 steps at the rate of
    0.1; training error and loss over the last 400 steps, a pass.
Ours and not the paper's: a quarter of its length, before the rate falls, though its figure orders the ends.
Refuted if: plain-56 ends with a lower training loss than plain-20 beyond what the seeds explain (paired t, Holm).
Cost: on one core about 5 hours a run of 20 layers and 14 of 56 (estimated): for an accelerator, where it is minutes.
    TFDS_DATA_DIR=DIR python -m jaxcnn sweep experiments/plain_nets_cifar10.py --workdir runs/plain_nets
"""

from jaxcnn.sweeps import Claim, Study
from jaxcnn.training.config import load_config

NETWORK = "model.name"


def study():
    """Plain and residual, of 20 and of 56 layers."""
    config = load_config(["--config=cifar10_resnet20"])
    config.duration, config.log_every = "16000 steps", 400
    config.schedule.name, config.schedule.boundaries = "constant", ()
    config.evaluation.every = config.checkpoint.every = "5%"
    plain20, plain56, resnet20, resnet56 = ({NETWORK: name} for name in ("plain20", "plain56", "resnet20", "resnet56"))
    return Study(
        base=config,
        factors={NETWORK: ("plain20", "plain56", "resnet20", "resnet56")},
        seeds=(0, 1, 2),
        claims=(
            Claim("Plain-56 ends with a higher training loss than plain-20.", plain56, plain20, "train_loss"),
            Claim("Plain-56 ends with a higher training loss than ResNet-56.", plain56, resnet56, "train_loss"),
            Claim("ResNet-20 ends with a higher training loss than ResNet-56.", resnet20, resnet56, "train_loss"),
        ),
    )
