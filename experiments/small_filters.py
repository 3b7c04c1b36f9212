"""Do three 3x3 convolutions do better than one 7x7, and a 1xN with an Nx1 as well as an NxN?

Claim: Simonyan and Zisserman 2014, section 2.3: three 3x3 layers see what one 7x7 sees with 27 weights for 49 and two
    more relus; a shallow net with 5x5 had a 7 % higher top-1 error. Szegedy et al. 2015 (arXiv:1512.00567), section
    3.2: 1xN and Nx1 replace NxN where maps are not large.
Protocol: a convnet with one 7x7, three 3x3 or one 1x7 and 7x1 (relu between) in each block; the first convolution of
    the last is a 7x7. One learning rate.
Margin: of test accuracy that of `scale_margin`, a point at the scale digits. It was set after the first record (seeds 0
    to 4) had left claims open, and before the runs that decide, whose seeds are others.
Refuted if: the 7x7 tests above the three 3x3 beyond what the seeds explain.
Cost: 33 runs of about 30 seconds at the scale digits, until the claims are decided (15 minutes of one CPU core).
"""

from jaxcnn.sweeps import Claim, Study, scale_config, scale_margin

KERNELS = "kernels"


def study(scale="digits"):
    """7x7, three 3x3, 1x7 and 7x1."""
    config = scale_config(scale)
    config.optimizer.learning_rate = 0.01
    size, number, factorized = (f"model.options.{key}" for key in ("kernel_size", "convolutions", "factorized"))
    levels = {
        "7x7": {size: 7, number: 1},
        "three 3x3": {size: 3, number: 3},
        "1x7 and 7x1": {size: 7, number: 1, factorized: True},
    }
    large, small, factors = ({KERNELS: name} for name in levels)
    margin = scale_margin(scale)
    return Study(
        base=config,
        factors={KERNELS: levels},
        seeds=(5, 6, 7, 8, 9),
        baseline=large,
        claims=(
            Claim("Three 3x3 convolutions test better than one 7x7.", small, large, margin=margin),
            Claim("A 1x7 and a 7x1 test better than one 7x7.", factors, large, margin=margin),
        ),
    )
