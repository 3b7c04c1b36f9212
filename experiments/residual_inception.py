"""Do shortcuts speed up the training of inception networks?

Claim: Szegedy et al. 2016 (arXiv:1602.07261), section 5: residual inception networks train dramatically quicker; their
    final accuracy is only slightly better.
Protocol: GoogLeNet for small images with batch normalisation at an eighth of its widths (--scale imagenet or folder:
    Inception-v4 against Inception-ResNet-v2), its modules with and without a shortcut around them; the steps to 25 %
    training error, read every 5 steps.
Refuted if: the residual network needs more steps beyond what the seeds explain.
Cost: 10 runs of about 40 seconds on 2 CPU cores at the scale digits.
"""

from jaxcnn.sweeps import Claim, Study, is_large, scale_config, steps_to_training_error

NETWORK = "network"


def study(scale="digits"):
    """With and without shortcuts."""
    config = scale_config(scale)
    config.optimizer.learning_rate = 0.02
    config.log_every = 5
    if scale == "digits":
        config.batch_size, config.duration = 64, "8 epochs"
    config.model.options = {}
    if is_large(scale):
        config.data.image_size, config.data.resize = (299, 299), 342
        levels = {"plain": {"model.name": "inception_v4"}, "residual": {"model.name": "inception_resnet_v2"}}
    else:
        config.model.name = "googlenet_small"
        config.model.options.update({"width": 0.125, "batch_norm": True, "dropout_rate": 0.0})
        levels = {name: {"model.options.residual": name == "residual"} for name in ("plain", "residual")}
    plain, residual = ({NETWORK: name} for name in levels)
    return Study(
        base=config,
        factors={NETWORK: levels},
        seeds=(0, 1, 2, 3, 4),
        baseline=plain,
        claims=(
            Claim("Without shortcuts it needs more steps to 25 % training error.", plain, residual, "steps_to_25"),
            Claim("With shortcuts it tests better.", residual, plain),
        ),
        measures={"steps_to_25": steps_to_training_error(0.25)},
    )
