"""Which pooling tests best: maximum, overlapping, average, L2 or a strided convolution?

Claim: Krizhevsky et al. 2012, section 3.4: overlapping windows (3 at stride 2) lower the error by 0.4 points against
    2 at stride 2. Scherer et al. 2010: the maximum is above the average. Springenberg et al. 2014 (arXiv:1412.6806): a
    strided convolution, which has weights of its own, does as well as the maximum.
Protocol: one convnet, five ways to halve the map, everything else the same.
Refuted if: the overlapping maximum is below the plain one, or the average above the maximum, beyond what seeds explain.
Cost: 25 runs of about 10 seconds on 2 CPU cores at the scale digits.
"""

from jaxcnn.sweeps import Claim, Study, scale_config

POOLING = "model.options.pooling"


def study(scale="digits"):
    """Five poolings."""
    most, overlapping, average = ({POOLING: name} for name in ("max", "max_overlapping", "average"))
    return Study(
        base=scale_config(scale),
        factors={POOLING: ("max", "max_overlapping", "average", "l2", "strided")},
        seeds=(0, 1, 2, 3, 4),
        baseline=most,
        claims=(
            Claim("Overlapping windows test better than windows side by side.", overlapping, most),
            Claim("The maximum tests better than the average.", most, average),
        ),
    )
