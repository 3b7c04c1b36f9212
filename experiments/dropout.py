"""Does dropout of the full connections raise test accuracy?

Claim: Srivastava et al. 2014 (JMLR 15), section 6, and Krizhevsky et al. 2012, section 4.2: without it the network
    overfits; with it, training needs about twice the steps.
Protocol: one convnet with a hidden full connection, rates 0, 0.25 and 0.5 before both full connections, no
    augmentation, so that there is something to overfit.
Refuted if: test accuracy at 0.5 is below that at 0 beyond what the seeds explain.
Cost: 15 runs of about 10 seconds on 2 CPU cores at the scale digits; --runner population trains them together.
"""

from jaxcnn.sweeps import Claim, Study, scale_config

RATE = "model.dropout"


def study(scale="digits"):
    """Rates 0, 0.25 and 0.5."""
    config = scale_config(scale)
    config.augment.pad_crop, config.augment.flip = 0, False
    none, half = {RATE: 0.0}, {RATE: 0.5}
    return Study(
        base=config,
        factors={RATE: (0.0, 0.25, 0.5)},
        seeds=(0, 1, 2, 3, 4),
        baseline=none,
        claims=(
            Claim("Dropout of one half raises test accuracy.", half, none),
            Claim("It ends with a higher training loss.", half, none, "train_loss"),
        ),
    )
