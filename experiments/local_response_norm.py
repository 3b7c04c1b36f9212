"""Does local response normalisation lower the error?

Claim: Krizhevsky et al. 2012, section 3.3: it lowers top-1 and top-5 error on ILSVRC by 1.4 and 1.2 points, and the
    error of a four-layer CIFAR-10 network from 13 to 11 %. Simonyan and Zisserman 2014, section 4.1: it does not help.
Protocol: one convnet, with and without it behind each block (n = 5, k = 2, alpha = 1e-4, beta = 0.75; order
    convolution, relu, normalisation, pooling).
Margin: of test accuracy that of `scale_margin`, a point at the scale digits; of the training loss 0.01, by which the
    right class is given one per cent less. It was set after the first record (seeds 0 to 9) had left claims open, and
    before the runs that decide, whose seeds are others.
Refuted if: the mean test accuracy with it is below that without beyond what the seeds explain.
Cost: 60 runs of about 10 seconds at the scale digits, until the claims are decided (31 minutes of one CPU core).
"""

from jaxcnn.sweeps import Claim, Study, scale_config, scale_margin

NORM = "model.options.response_norm"


def study(scale="digits"):
    """With and without."""
    with_it, without = {NORM: True}, {NORM: False}
    return Study(
        base=scale_config(scale),
        factors={NORM: (False, True)},
        seeds=(10, 11, 12, 13, 14),
        baseline=without,
        claims=(
            Claim("Local response normalisation raises test accuracy.", with_it, without, margin=scale_margin(scale)),
            Claim("It lowers the training loss.", without, with_it, "train_loss", margin=0.01),
        ),
    )
