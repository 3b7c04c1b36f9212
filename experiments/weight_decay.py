"""Does weight decay raise test accuracy, and training accuracy too?

Claim: Krizhevsky et al. 2012, section 5: a decay of 0.0005 is needed for the model to learn; it also lowers the
    training error.
Protocol: one convnet, L2 decay of 0, 1e-4, 5e-4 and 5e-3 added to the gradient before momentum.
Margin: of test accuracy that of `scale_margin`, a point at the scale digits; of the training loss 0.01, by which the
    right class is given one per cent less. It was set after the first record (seeds 0 to 4) had left claims open, and
    before the runs that decide, whose seeds are others.
Refuted if: test accuracy at 5e-4 is below that without beyond what the seeds explain.
Cost: 84 runs of about 10 seconds at the scale digits, until the claims are decided (13 minutes of one CPU core).
"""

from jaxcnn.sweeps import Claim, Study, scale_config, scale_margin

DECAY = "optimizer.weight_decay"


def study(scale="digits"):
    """Four decays."""
    none, papers, strong = ({DECAY: value} for value in (0.0, 5e-4, 5e-3))
    return Study(
        base=scale_config(scale),
        factors={DECAY: (0.0, 1e-4, 5e-4, 5e-3)},
        seeds=(5, 6, 7, 8, 9),
        baseline=none,
        claims=(
            Claim("A decay of 5e-4 raises test accuracy.", papers, none, margin=scale_margin(scale)),
            Claim("A decay of 5e-4 lowers the training loss.", none, papers, "train_loss", margin=0.01),
            Claim("A decay of 5e-3 raises the training loss.", strong, none, "train_loss", margin=0.01),
        ),
    )
