"""Does local response normalisation lower the error?

Claim: Krizhevsky et al. 2012, section 3.3: it lowers top-1 and top-5 error on ILSVRC by 1.4 and 1.2 points, and the
    error of a four-layer CIFAR-10 network from 13 to 11 %. Simonyan and Zisserman 2014, section 4.1: it does not help.
Protocol: one convnet, with and without it behind each block (n = 5, k = 2, alpha = 1e-4, beta = 0.75; order
    convolution, relu, normalisation, pooling).
Refuted if: the mean test accuracy with it is below that without beyond what the seeds explain.
Cost: 10 runs of about 10 seconds on 2 CPU cores at the scale digits.
"""

from jaxcnn.sweeps import Claim, Study, scale_config

NORM = "model.options.response_norm"


def study(scale="digits"):
    """With and without."""
    return Study(
        base=scale_config(scale),
        factors={NORM: (False, True)},
        seeds=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
        baseline={NORM: False},
        claims=(
            Claim("Local response normalisation raises test accuracy.", {NORM: True}, {NORM: False}),
            Claim("It lowers the training loss.", {NORM: False}, {NORM: True}, "train_loss"),
        ),
    )
