"""What do bottlenecks, batch normalisation and factorised kernels do to the inception module?

Claim: Szegedy et al. 2014, section 4: 1x1 reductions save most of the operations and cost no accuracy. Ioffe and
    Szegedy 2015, section 4.2: with batch normalisation it trains in a fraction of the steps. Szegedy et al. 2015,
    section 3.1: two 3x3 for a 5x5 are cheaper and at least as good.
Protocol: GoogLeNet for small images at an eighth of its widths (--scale imagenet or folder: in full), its modules
    naive, with bottlenecks, normalised, or normalised and factorised; the steps to 25 % training error, read every 5.
Refuted if: the normalised network needs more steps than the plain one beyond what the seeds explain.
Cost: 20 runs of about a minute on 2 CPU cores at the scale digits, where 8 epochs are enough.
"""

from jaxcnn.sweeps import Claim, Study, is_large, scale_config, steps_to_training_error

MODULE = "module"


def study(scale="digits"):
    """Naive, bottlenecks, with batch norm, factorised."""
    config = scale_config(scale)
    config.optimizer.learning_rate = 0.02
    config.log_every = 5
    if scale == "digits":
        config.duration = "8 epochs"
    config.model.name, config.model.options = "googlenet_small", {"dropout_rate": 0.0}
    config.model.options.width = 1.0 if is_large(scale) else 0.125
    norm = {"model.options.batch_norm": True}
    levels = {
        "naive": {"model.options.bottlenecks": False},
        "bottlenecks": {},
        "batch norm": norm,
        "factorised": {**norm, "model.options.factorized": True},
    }
    naive, bottlenecks, normed, factorised = ({MODULE: name} for name in levels)
    return Study(
        base=config,
        factors={MODULE: levels},
        seeds=(0, 1, 2, 3, 4),
        baseline=bottlenecks,
        claims=(
            Claim("Bottlenecks test better than naive modules.", bottlenecks, naive),
            Claim("Without batch norm it needs more steps to 25 % training error.", bottlenecks, normed, "steps_to_25"),
            Claim("Two 3x3 test better than a 5x5.", factorised, normed),
        ),
        measures={"steps_to_25": steps_to_training_error(0.25)},
    )
