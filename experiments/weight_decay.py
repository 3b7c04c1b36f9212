"""Does weight decay raise test accuracy, and training accuracy too?

Claim: Krizhevsky et al. 2012, section 5: a decay of 0.0005 is needed for the model to learn; it also lowers the
    training error.
Protocol: one convnet, L2 decay of 0, 1e-4, 5e-4 and 5e-3 added to the gradient before momentum.
Refuted if: test accuracy at 5e-4 is below that without beyond what the seeds explain.
Cost: 20 runs of about 10 seconds on 2 CPU cores at the scale digits; --runner population trains them together.
"""

from jaxcnn.sweeps import Claim, Study, scale_config

DECAY = "optimizer.weight_decay"


def study(scale="digits"):
    """Four decays."""
    none, papers, strong = ({DECAY: value} for value in (0.0, 5e-4, 5e-3))
    return Study(
        base=scale_config(scale),
        factors={DECAY: (0.0, 1e-4, 5e-4, 5e-3)},
        seeds=(0, 1, 2, 3, 4),
        baseline=none,
        claims=(
            Claim("A decay of 5e-4 raises test accuracy.", papers, none),
            Claim("A decay of 5e-4 lowers the training loss.", none, papers, "train_loss"),
            Claim("A decay of 5e-3 raises the training loss.", strong, none, "train_loss"),
        ),
    )
